"""The trivial endpoint that everything is measured against, on the very HTTP server that hourpass runs on.

`python -m bench.trivial HTTP_SERVER PORT`. A POST reads its body and gets a constant answer of a token answer's size; a
GET gets constant headers of the shape that forward auth answers.
"""

import asyncio
import dataclasses
import signal
import sys

import uvloop

from hourpass.server.config import Settings
from hourpass.server.http import Granian, Uvicorn, bind

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


async def main(http_server, port):
    settings = dataclasses.replace(Settings(), port=port)
    granian = http_server == "granian"
    carrier = Granian(app, settings) if granian else Uvicorn(app, bind("127.0.0.1", port), settings)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await carrier.start()
    await stop.wait()
    await carrier.drain()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
