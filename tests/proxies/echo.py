"""The protected API as a process: it answers with what it received. `python echo.py PORT`.

A request to upgrade is accepted, and then every byte comes back.
`GET /received` says what came since it was last asked.
"""

import base64
import hashlib
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

received = []
"""Every request since `/received` was last asked for."""


class Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *arguments):
        """Nothing is logged: requests hold tokens."""

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while line := self.rfile.readline().strip():
            self.trailers.append(line.decode("latin-1"))
        return body

    def answer(self):
        if self.path == "/received":
            self.reply(received.copy())
            received.clear()
            return
        if self.headers.get("Upgrade"):
            received.append({"method": self.command, "path": self.path, "headers": self.headers.items()})
            self.echo()
            return
        self.trailers = []
        body = self.body()
        request = {
            "method": self.command,
            "path": self.path,
            "headers": self.headers.items(),
            "trailers": self.trailers,
            "length": len(body),
            "sha256": hashlib.sha256(body).hexdigest(),
        }
        received.append(request)
        self.reply(request)

    def reply(self, value):
        content = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = answer  # noqa: N815 - http.server's names

    def echo(self):
        # HAProxy believes no upgrade without the accept key (RFC 6455 §4.2.2).
        key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
        self.send_response(101)
        self.send_header("Sec-WebSocket-Accept", accept)
        self.send_header("Connection", "Upgrade")
        self.send_header("Upgrade", self.headers["Upgrade"])
        self.end_headers()
        self.close_connection = True
        while data := self.rfile.read1(65_536):
            self.wfile.write(data)


class Server(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """Connections that break are what some tests are about."""


if __name__ == "__main__":
    Server(("127.0.0.1", int(sys.argv[1])), Echo).serve_forever()
