"""An API on loopback that answers as the test says and remembers the requests, and a client of each library."""

import ssl
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.client.adapters.clients import CLIENTS

CHALLENGE = 'Bearer realm="api", error="invalid_token", error_description="expired"'


class Asked(NamedTuple):
    method: str
    path: str
    authorization: str | None
    body: bytes


class Api:
    """Accepts any bearer token but the `rejected` ones, unless `script` says otherwise.

    An entry of the script is a status and headers, for the next request of any kind. `gate` is waited for before
    every 401. `/stream` sends events until `ended`.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.script: list[tuple[int, dict[str, str]]] = []
        self.rejected: set[str] = set()
        self.asked: list[Asked] = []
        self.connections = 0
        self.gate: threading.Barrier | None = None
        self.ended = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.api = self
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def tokens(self) -> list[str | None]:
        return [one.authorization and one.authorization.removeprefix("Bearer ") for one in self.asked]

    def judge(self, asked: Asked) -> tuple[int, dict[str, str]]:
        self.asked.append(asked)
        if self.script:
            return self.script.pop(0)
        token = (asked.authorization or "").removeprefix("Bearer ")
        if token and token not in self.rejected:
            return 200, {}
        if self.gate is not None:
            self.gate.wait(30)
        return 401, {"WWW-Authenticate": CHALLENGE}

    def close(self) -> None:
        self.ended.set()
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = True
    block_on_close = False
    api: Api

    def handle_error(self, request, client_address):
        """A client that goes away in the middle causes no output."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def setup(self):
        super().setup()
        self.server.api.connections += 1

    def answer(self):
        api = self.server.api
        asked = Asked(self.command, self.path, self.headers.get("Authorization"), self.body())
        status, headers = api.judge(asked)
        self.send_response(status)
        for name, value in headers.items():
            for line in value.split("\n"):
                self.send_header(name, line)
        if status == 200 and self.path == "/stream":
            self.stream()
            return
        content = str(status).encode()
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self):
        self.answer()

    def do_POST(self):
        self.answer()

    def do_PUT(self):
        self.answer()

    def stream(self):
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        while not self.server.api.ended.wait(0.01):
            self.wfile.write(b"data: tick\n\n")
            self.wfile.flush()
        self.wfile.write(b"data: end\n\n")
        self.close_connection = True

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().strip(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def log_message(self, *_):
        """Nobody reads it."""


@pytest.fixture
def start_api():
    """A factory of APIs. All are ended with the test."""
    running = []

    def start(tls=None) -> Api:
        running.append(Api(tls))
        return running[-1]

    yield start
    for api in running:
        api.close()


@pytest.fixture
def api(start_api):
    return start_api()


@pytest.fixture
def source(make, api):
    """On the scripted token endpoint: its tokens are access-1, access-2 and so on. They may go to the API."""
    return make(origins=[api.url])


@pytest.fixture(params=list(CLIENTS))
def library(request):
    """The name of each library, one after the other."""
    return request.param


@pytest.fixture
def open_client(library):
    """A factory of clients of that library. All are closed with the test."""
    opened = []

    def open_client(source, certificate=None):
        opened.append(CLIENTS[library](source, certificate))
        return opened[-1]

    yield open_client
    for client in opened:
        client.close()


@pytest.fixture
def client(open_client, source):
    return open_client(source)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A certificate for 127.0.0.1 with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(secret + made.public_bytes(pem))
    return path


@pytest.fixture
def tls_api(start_api, certificate):
    """The same over https."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return start_api(context)
