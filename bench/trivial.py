"""The trivial endpoint that everything is measured against, on the HTTP server that hourpass runs on, as that comes.

`python -m bench.trivial HTTP_SERVER PORT`. A POST reads its body and gets a constant answer of a token answer's size; a
GET gets constant headers of the shape that forward auth answers. What hourpass adds to the server, or spares it, is
hourpass's and therefore not in here.
"""

import asyncio
import signal
import sys

import uvicorn
import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server as Granian

BODY = b'{"token_type":"Bearer","expires_in":3600,"access_token":"%b","refresh_token":"%b"}' % (b"a" * 520, b"r" * 400)
TOKEN_HEADERS = [
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
    (b"content-length", b"%d" % len(BODY)),
]
IDENTITY = [
    (b"hourpass-subject", b"vLN4aeuHv8ZP"),
    (b"hourpass-key-id", b"vLN4aeuHv8ZP"),
    (b"hourpass-scope", b"introspect videos.read"),
    (b"hourpass-environment", b"production"),
    (b"hourpass-grant", b"39e5a45f1fb76a68f7bfcceabd88f491"),
    (b"hourpass-auth", b"bearer"),
]


async def app(scope, receive, send):
    if scope["method"] == "POST":
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": TOKEN_HEADERS})
        await send({"type": "http.response.body", "body": BODY})
    else:
        await send({"type": "http.response.start", "status": 204, "headers": IDENTITY})
        await send({"type": "http.response.body", "body": b""})


async def on_uvicorn(port):
    quiet = {"log_config": None, "access_log": False, "server_header": False, "proxy_headers": False}
    config = uvicorn.Config(app, port=port, lifespan="off", ws="none", **quiet)
    await uvicorn.Server(config).serve()


async def on_granian(port):
    interface = {"interface": Interfaces.ASGINL, "http": HTTPModes.http1, "websockets": False}
    server = Granian(app, address="127.0.0.1", port=port, log_enabled=False, **interface)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)
    await server.serve()


if __name__ == "__main__":
    uvloop.run({"uvicorn": on_uvicorn, "granian": on_granian}[sys.argv[1]](int(sys.argv[2])))
