"""Database URLs: what they may say, what is made of mistakes, and that a password in one is shown nowhere."""

import datetime as dt
import json
import signal
import socket
import subprocess
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.conftest import HOURPASS, clean_environment, run_command

from hourpass.core.errors import ConfigurationError
from hourpass.server.run.open import open_store
from hourpass.server.settings.settings import Settings
from hourpass.server.store.connection import Unreachable
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


def test_postgres_is_as_good_a_scheme_as_postgresql(database, tmp_path):
    """libpq takes both, and so do settings, commands and copies."""
    database.connect()
    url = database.url.replace("postgresql://", "postgres://")
    settings = Settings(data=str(tmp_path / "data"), database_url=url)

    assert settings.shares_database
    open_store(settings, create=False).close()
    run_command("keys", "create", "--name", "test", "--data", str(tmp_path / "data"), "--database", url)
    run_command("copy", "--from", url, "--to", f"sqlite:{tmp_path}/copy.db", "--data", str(tmp_path / "data"))


# A URL may say what is otherwise a setting of ours.


@pytest.mark.parametrize("form", ["-c%20{}%3D{}", "-c{}%3D{}", "--{}%3D{}", "-c%20jit%3Don%20-c%20{}%3D{}"])
@pytest.mark.parametrize(
    ("name", "value"),
    [("plan_cache_mode", "auto"), ("lock_timeout", "300ms"), ("enable_seqscan", "on"), ("synchronous_commit", "off")],
)
def test_the_options_of_a_url_win(database, form, name, value):
    store = database.open(options=form.format(name.replace("_", "-") if form.startswith("--") else name, value))

    assert store._execute(f"show {name}").fetchone() == (value,)
    assert store._execute("show statement_timeout").fetchone() == ("5s",)


def test_the_options_of_the_environment_win_too(database, monkeypatch):
    monkeypatch.setenv("PGOPTIONS", "-c statement_timeout=700ms")

    store = database.open()

    shown = [store._execute(f"show {name}").fetchone()[0] for name in ("statement_timeout", "lock_timeout")]
    assert shown == ["700ms", "2s"]


# Waiting for a database that is not up yet.


class Starting:
    """`hourpass serve` on a database that may not be there yet, and its log line by line."""

    def __init__(self, url: str, folder, **more: object) -> None:
        self.port = free_port()
        flags = {"data": folder / "data", "port": self.port, "admin-listen": "off", "database": url, **more}
        command = [HOURPASS, "serve", *(f"--{name}={value}" for name, value in flags.items())]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=clean_environment())

    def next_line(self) -> dict:
        return json.loads(self.process.stderr.readline())

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(10)
        self.process.stderr.close()
        return code


@pytest.fixture
def starting(tmp_path):
    started: list[Starting] = []

    def start(url: str, **more: object) -> Starting:
        started.append(Starting(url, tmp_path, **more))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.end(signal.SIGKILL)
        each.process.stderr.close()


def test_a_start_waits_for_a_database_that_is_not_up_yet(own_database, starting):
    own_database.cluster.stop()
    server = starting(own_database.url)
    said = server.next_line()
    own_database.cluster.start()

    lines = [said, server.next_line(), server.next_line()]

    assert [line["event"] for line in lines] == ["waiting for the database", "the database is up", "listening"]
    assert (said["up_to_seconds"], said["level"]) == (30, "warning")
    assert "cannot open the database" in said["detail"]
    assert server.end() == 0


@pytest.mark.parametrize(("seconds", "lines"), [(1, ["waiting for the database"]), (0, [])], ids=["waits", "does not"])
def test_a_start_that_has_waited_long_enough_says_so_once_and_fails(tmp_path, seconds, lines):
    url = f"postgresql://me:{PASSWORD}@/x?host={tmp_path}"
    began = time.monotonic()

    place = ("--data", str(tmp_path), "--port=0", "--admin-listen=off", "--database", url)
    ended = run_command("serve", *place, f"--wait-for-database={seconds}s", check=False)

    *said, last = ended.stderr.splitlines()
    assert [json.loads(line)["event"] for line in said] == lines
    assert last.startswith("hourpass: cannot open the database")
    assert ended.returncode == 1
    assert time.monotonic() - began >= seconds
    assert PASSWORD not in ended.stderr


@pytest.mark.parametrize("host", ["nobody listens", "nobody answers"])
def test_term_ends_a_start_that_waits_at_once(starting, host):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if host == "nobody answers":
            silent.listen()
        server = starting(f"postgresql://me@127.0.0.1:{silent.getsockname()[1]}/x?connect_timeout=2")
        assert server.next_line()["event"] == "waiting for the database"
        began = time.monotonic()

        assert server.end() == 0
        assert time.monotonic() - began < 5


def test_a_url_that_can_never_work_is_not_waited_for(tmp_path):
    url = f"postgresql://me:{PASSWORD}%zz@127.0.0.1/x"

    place = ("--data", str(tmp_path), "--port=0", "--admin-listen=off", "--database", url)
    ended = run_command("serve", *place, check=False)

    assert (ended.returncode, ended.stderr) == (1, "hourpass: database_url: not a PostgreSQL URL\n")


# These are not supported.


def test_citus_is_noticed_at_the_start(clusters, tmp_path, starting):
    """An extension of that name, with nothing in it."""
    folder = tmp_path / "extension"
    folder.mkdir()
    (folder / "citus.control").write_text("default_version = '13.2'\n")
    (folder / "citus--13.2.sql").write_text("select 1;\n")
    cluster = clusters.new(18, extension_control_path=f"{tmp_path}:$system")
    cluster.run("create extension citus")

    server = starting(cluster.url("postgres"))

    said = server.next_line()
    assert (said["event"], said["level"]) == ("the database is not supported", "warning")
    assert "Citus" in said["detail"]
    assert server.next_line()["event"] == "listening"
    assert server.end() == 0
    cluster.stop()


def test_nothing_is_said_against_a_database_that_is_tested(database):
    assert database.connect().cautions() == []


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
    """A server that takes nothing but TLS, with a password. The URL's query and the authority that signed for it."""
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
