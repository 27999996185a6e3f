"""The trivial endpoint that everything is measured against, on hourpass's own HTTP front.

`python -m bench.trivial PORT`. A POST gets a constant answer of the size of a token answer. A GET gets constant headers
as forward auth answers them.
"""

import asyncio
import signal
import sys
import time

import uvloop

from hourpass.server.sockets import bind
from hourpass.server.transport.listener import Front
from hourpass.server.transport.request import Reply

BODY = b'{"token_type":"Bearer","expires_in":3600,"access_token":"%b","refresh_token":"%b"}' % (b"a" * 520, b"r" * 400)
TOKEN_HEADERS = [
    (b"content-type", b"application/json"),
    (b"cache-control", b"no-store"),
]
IDENTITY = [
    (b"hourpass-subject", b"vLN4aeuHv8ZP"),
    (b"hourpass-key-id", b"vLN4aeuHv8ZP"),
    (b"hourpass-scope", b"introspect videos.read"),
    (b"hourpass-environment", b"production"),
    (b"hourpass-grant", b"39e5a45f1fb76a68f7bfcceabd88f491"),
    (b"hourpass-auth", b"bearer"),
]


class Constant:
    def body_limit(self, path):
        return 8_192

    def answer_at_once(self, request):
        return Reply(204, IDENTITY)

    async def answer(self, request):
        return Reply(200, TOKEN_HEADERS, BODY)


async def serve(port):
    told_to_stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told_to_stop.set)
    front = Front(Constant(), [bind("127.0.0.1", port)], clock=lambda: time.time_ns() // 1_000_000)
    await front.start()
    await told_to_stop.wait()
    await front.drain()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
