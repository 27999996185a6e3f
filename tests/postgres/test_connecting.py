"""Database URLs: what they may say, what is made of mistakes, and that a password in one is shown nowhere."""

import datetime as dt
import socket

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hourpass.core.errors import ConfigurationError
from hourpass.server.config import Settings
from hourpass.server.opening import open_store
from hourpass.server.store import Unreachable
from hourpass.server.store.postgres import PostgresStore

PASSWORD = "hunter2hunter2"


def said_of(url: str) -> str:
    with pytest.raises((ConfigurationError, Unreachable)) as refused:
        PostgresStore(url)
    assert PASSWORD not in repr(refused.getrepr(showlocals=False, style="short"))
    return refused.value.detail


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://me:{PASSWORD}%zz@127.0.0.1/x",
        f"postgresql://me:{PASSWORD}@127.0.0.1:port/x",
        f"postgresql://me:{PASSWORD}@127.0.0.1:1/x?nonsense=1",
        f"postgresql://me:{PASSWORD}@127.0.0.1:1/x?sslmode=sometimes",
        f"postgresql://me:{PASSWORD}@127.0.0.1:1/x",
        f"postgresql://me:{PASSWORD}@/x?host=/nowhere",
    ],
    ids=["bad escape", "bad port", "unknown parameter", "bad value", "nobody listens", "no socket"],
)
def test_no_error_shows_the_password(url):
    assert PASSWORD not in said_of(url)


def test_a_store_shows_nothing_of_its_url(database):
    store = database.connect()

    assert repr(store) == "PostgresStore(…)"


def test_a_database_that_cannot_be_reached_is_the_operators_to_mend(tmp_path):
    settings = Settings(data=str(tmp_path), database_url=f"postgresql://me:{PASSWORD}@127.0.0.1:1/x")

    with pytest.raises(ConfigurationError, match="cannot open the database") as refused:
        open_store(settings)

    assert PASSWORD not in str(refused.value)


def test_a_command_makes_no_tables_in_a_database_that_has_none(database, tmp_path):
    """A misspelt name is an error, not an empty hourpass."""
    settings = Settings(data=str(tmp_path / "data"), database_url=database.url)

    with pytest.raises(ConfigurationError, match="no hourpass in this database"):
        open_store(settings, create=False)

    assert database.run("select count(*) from pg_tables where schemaname = 'public'") == [(0,)]
    assert not (tmp_path / "data").exists()
    database.connect()
    open_store(settings, create=False).close()


# TLS.


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def certificate(name: str, signer: tuple | None, *names: str) -> tuple:
    """A certificate with its key, signed by another or by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer, issuer_key = (signer[0].subject, signer[1]) if signer else (subject, key)
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(each) for each in names]), False)
    return builder.sign(issuer_key, hashes.SHA256()), key


def pem(certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


@pytest.fixture(scope="module")
def tls(request, tmp_path_factory):
    """A server that takes nothing but TLS, with a password; the URL's query and the authority that signed for it."""
    from tests.postgres.cluster import clusters_of

    authority = certificate("authority", None)
    server, key = certificate("server", authority, "localhost")
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    files = {
        "server.crt": pem(server),
        "server.key": key.private_bytes(serialization.Encoding.PEM, *plain).decode(),
        "pg_hba.conf": "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n",
    }
    port = free_port()
    cluster = clusters_of(request.config).new(17, port=port, files=files, ssl="on", ssl_min_protocol_version="TLSv1.3")
    cluster.run(f"create role me login password '{PASSWORD}'")
    roots = tmp_path_factory.mktemp("roots")
    (roots / "authority.pem").write_text(pem(authority[0]))
    (roots / "stranger.pem").write_text(pem(certificate("stranger", None)[0]))
    yield roots, port
    cluster.stop()


def url(port: int, host: str, password: str = PASSWORD, **query: object) -> str:
    return f"postgresql://me:{password}@{host}:{port}/postgres?" + "&".join(f"{k}={v}" for k, v in query.items())


def test_a_connection_is_encrypted_and_its_server_proven(tls):
    """`sslmode=verify-full`, with the password bound to this very channel (RFC 5929)."""
    roots, port = tls
    query = {"sslmode": "verify-full", "sslrootcert": roots / "authority.pem", "channel_binding": "require"}

    store = PostgresStore(url(port, "localhost", **query))

    ssl = store._execute("select ssl, version from pg_stat_ssl where pid = pg_backend_pid()").fetchone()
    assert ssl == (True, "TLSv1.3")
    store.close()


@pytest.mark.parametrize(
    ("host", "root", "more"),
    [
        ("localhost", "stranger.pem", {"sslmode": "verify-full"}),
        ("127.0.0.1", "authority.pem", {"sslmode": "verify-full"}),
        ("localhost", "authority.pem", {"sslmode": "disable"}),
        ("localhost", "authority.pem", {"sslmode": "verify-full", "password": "wrong"}),
    ],
    ids=["an authority that did not sign", "another name than the certificate's", "no encryption", "a wrong password"],
)
def test_any_other_server_or_channel_is_refused(tls, host, root, more):
    roots, port = tls

    said = said_of(url(port, host, more.pop("password", PASSWORD), sslrootcert=roots / root, **more))

    assert PASSWORD not in said
