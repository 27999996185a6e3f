"""To whom keys may go: https to a server that proves its name, this machine, or another one if the caller says so."""

import ssl
import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from tests.client.conftest import setting
from tests.client.scripted_server import KEEPS, ScriptedServer

from hourpass.client.refresh.token_endpoint import TokenEndpoint
from hourpass.client.refresh.transaction import Transient, Unknown
from hourpass.client.source import TokenSource
from hourpass.core.errors import ConfigurationError, Unavailable

KEY = "KEY-SECRET"
TODAY = datetime.now(UTC)


def self_signed(folder, *, address="127.0.0.1", ends_in=timedelta(hours=1)):
    """A certificate and its key in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hourpass test")])
    usage = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(TODAY - timedelta(days=2))
        .not_valid_after(TODAY + ends_in)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.KeyUsage(digital_signature=True, key_cert_sign=True, crl_sign=True, **usage), critical=True)
        .sign(key, SHA256())
    )
    path = folder / f"{certificate.serial_number:x}.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + certificate.public_bytes(Encoding.PEM))
    return path


@pytest.fixture
def serve_with(monkeypatch):
    """A factory of https servers. The environment names no proxy and no other authority."""
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    servers = []

    def start(certificate, clients=None):
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)
        if clients is not None:
            tls.load_verify_locations(clients)
            tls.verify_mode = ssl.CERT_REQUIRED
        servers.append(ScriptedServer(tls))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def test_a_certificate_that_the_environment_trusts_is_trusted(serve_with, source_of, tmp_path, monkeypatch):
    certificate = self_signed(tmp_path)
    server = serve_with(certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    source = source_of(server, KEY)

    source.token()

    assert source.refresh(rejected=1).access_token == "opaque-2"
    assert server.bodies == [{"apiKey": KEY}, {"refreshToken": KEEPS}]


def trusting(certificate) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificate)


def test_a_private_authority_may_be_named_for_one_source(serve_with, source_of, tmp_path):
    certificate = self_signed(tmp_path)
    server = serve_with(certificate)
    source = source_of(server, KEY, tls=trusting(certificate))

    assert source.token() == "opaque-1"
    with pytest.raises(Unavailable):
        source_of(server, KEY, tls=trusting(self_signed(tmp_path))).token()


def test_a_source_may_prove_itself_with_a_certificate_of_its_own(serve_with, source_of, tmp_path):
    ours, theirs = self_signed(tmp_path), self_signed(tmp_path)
    server = serve_with(theirs, clients=ours)
    tls = trusting(theirs)
    tls.load_cert_chain(ours)

    assert source_of(server, KEY, tls=tls).token() == "opaque-1"
    with pytest.raises(Unavailable):
        source_of(server, KEY, tls=trusting(theirs)).token()


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_no_proxy_of_the_environment_stands_before_this_machine(serve_with, source_of, tmp_path, monkeypatch, name):
    certificate = self_signed(tmp_path)
    server = serve_with(certificate)
    monkeypatch.setenv(name, "http://127.0.0.1:9")

    assert source_of(server, KEY, tls=trusting(certificate)).token() == "opaque-1"


@pytest.mark.parametrize("url", ["http://127.0.0.1:3600", "http://localhost", "http://[::1]:3600"])
def test_a_proxy_never_gets_a_key_in_plain_unless_the_caller_allows_it(url):
    """Loopback is this machine's alone only if nothing stands before it."""
    with pytest.raises(ConfigurationError, match="allow_http"):
        TokenSource(url, KEY, proxy="http://127.0.0.1:9")
    TokenSource("https://127.0.0.1", KEY, proxy="http://127.0.0.1:9")


def test_a_proxy_may_be_named_for_one_source(other, source_of):
    """Plain http to a proxy asks for the whole URL (RFC 9112 §3.2.2)."""
    source = source_of(other, KEY, url="http://auth.example.com", allow_http=True, proxy=other.url)

    assert source.token() == "opaque-1"
    assert other.requests[0][0] == "http://auth.example.com/auth/api-key"


@pytest.mark.parametrize(
    ("trusted", "options", "why"),
    [
        pytest.param(False, {}, "self-signed certificate", id="by nobody we know"),
        pytest.param(True, {"address": "127.0.0.2"}, "not valid for '127.0.0.1'", id="for another host"),
        pytest.param(True, {"ends_in": timedelta(days=-1)}, "certificate has expired", id="expired"),
    ],
)
def test_an_untrusted_certificate_is_trouble_that_says_so_and_no_key_is_sent(
    serve_with, source_of, tmp_path, monkeypatch, trusted, options, why
):
    certificate = self_signed(tmp_path, **options)
    server = serve_with(certificate)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    source = source_of(server, KEY)

    with pytest.raises(Unavailable) as caught:
        source.token()

    assert str(caught.value).startswith("the token endpoint's certificate is not trusted: ")
    assert why in str(caught.value)
    assert KEY not in str(caught.value)
    assert (server.requests, server.connections) == ([], 1)


def test_an_untrusted_certificate_costs_neither_the_good_token_nor_the_refresh_token(
    serve_with, source_of, tmp_path, monkeypatch, clock
):
    certificate = self_signed(tmp_path)
    server = serve_with(certificate)
    cache = tmp_path / "token"
    with monkeypatch.context() as trusting:
        trusting.setenv("SSL_CERT_FILE", str(certificate))
        source_of(server, KEY, cache_at=cache).token()
    source = source_of(server, None, cache_at=cache)
    clock.advance(2_800)

    with pytest.raises(Unavailable, match="not trusted"):
        source.refresh(retry=False)
    assert source.token() == "opaque-1"

    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    clock.advance(60)
    assert source_of(server, None, cache_at=cache).refresh().access_token == "opaque-2"
    assert server.paths == ["api-key", "refresh"]


@pytest.mark.usefixtures("serve_with")
def test_a_server_that_speaks_plain_http_at_an_https_url_gets_no_key(other, source_of):
    plain = other.url
    other.url = plain.replace("http:", "https:")

    with pytest.raises(Unavailable, match="no connection"):
        source_of(other, KEY).token()

    assert (other.requests, other.connections) == ([], 1)


@pytest.mark.parametrize("content", [None, b"no certificate"], ids=["missing", "empty of certificates"])
def test_authorities_that_cannot_be_read_are_a_matter_of_configuration(
    serve_with, source_of, tmp_path, monkeypatch, content
):
    server = serve_with(self_signed(tmp_path))
    authorities = tmp_path / "authorities.pem"
    if content is not None:
        authorities.write_bytes(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(authorities))

    with pytest.raises(ConfigurationError, match="trusted certificates cannot be loaded"):
        source_of(server, KEY).token()

    assert server.connections == 0


@pytest.mark.parametrize(
    "url", ["http://192.0.2.1", "http://api.example.com:8080/prefix", "HTTP://API.EXAMPLE.COM", "http://[2001:db8::1]"]
)
def test_plain_http_to_another_machine_is_refused_unless_the_caller_allows_it(url):
    asked = []

    def answer(request):
        asked.append(str(request.url))
        return httpx2.Response(400, json={"name": "", "status": 400})

    with pytest.raises(ConfigurationError, match="anyone on the way could read"):
        TokenSource(url, KEY)
    allowed = TokenSource(url, KEY, allow_http=True, transport=httpx2.MockTransport(answer))
    with pytest.raises(Exception, match="does not accept the API key"):
        allowed.token()

    assert asked == [f"{url}/auth/api-key".replace("HTTP://API.EXAMPLE.COM", "http://api.example.com")]
    assert allowed.allows(f"{url}/videos")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://127.8.8.8", "http://localhost", "http://[::1]:1"])
def test_plain_http_to_this_machine_needs_no_permission(url):
    assert TokenSource(url, KEY).allows(f"{url}/videos")


def endpoint_of(server):
    return TokenEndpoint(setting(server.url), total=0.3)


def test_a_secured_answer_that_stops_is_cut_off_at_the_whole_time(serve_with, tmp_path, monkeypatch):
    certificate = self_signed(tmp_path)
    server = serve_with(certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    server.script = [drip]

    begun = time.monotonic()
    outcome = endpoint_of(server).exchange(KEY)

    assert isinstance(outcome, Unknown)
    assert 0.2 < time.monotonic() - begun < 2
    assert server.bodies == [{"apiKey": KEY}]


def test_a_handshake_that_takes_all_of_the_time_leaves_none_for_the_answer(serve_with, tmp_path, monkeypatch):
    certificate = self_signed(tmp_path)
    server = serve_with(certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    server.before_tls = 0.4
    server.script = [drip]

    begun = time.monotonic()
    outcome = endpoint_of(server).exchange(KEY)

    assert isinstance(outcome, Transient | Unknown)
    assert time.monotonic() - begun < 2
    assert server.requests == []


def drip(connection):
    """A byte of an answer every 50 ms, for five seconds."""
    for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 75:
        connection.sendall(bytes([byte]))
        time.sleep(0.05)
