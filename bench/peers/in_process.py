"""The check alone, without HTTP: `python -m bench.peers.in_process ISSUER TOKENS`, the result on stdout.

It measures CPU microseconds of PyJWT's decode, of `Verifier.verify` on a new token and on one that it has seen, and of
what PyJWT's dependency adds to a FastAPI request and our middleware to any ASGI request.
"""

import asyncio
import json
import statistics
import sys
import time
from pathlib import Path

import jwt

from bench.peers.fastapi_api import signing_key, with_pyjwt, without
from hourpass.verifier import Verifier
from hourpass.verifier.asgi import HourpassMiddleware

REPEAT = 7


def cpu_us(work, tokens):
    """The median CPU microseconds of one token."""
    taken = []
    for _ in range(REPEAT):
        begin = time.process_time()
        for token in tokens:
            work(token)
        taken.append((time.process_time() - begin) / len(tokens) * 1e6)
    return statistics.median(taken)


async def request_us(app, tokens):
    """The median CPU microseconds of one request to an ASGI application, called as a server calls it."""
    statuses = set()

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        if message["type"] == "http.response.start":
            statuses.add(message["status"])

    def scope(token):
        headers = [(b"host", b"api.example.com"), (b"authorization", b"Bearer " + token)]
        headers += [(b"user-agent", b"bench"), (b"accept", b"*/*")]
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": "/videos",
            "raw_path": b"/videos",
            "query_string": b"",
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
        }

    taken = []
    for _ in range(REPEAT):
        begin = time.process_time()
        for token in tokens:
            await app(scope(token), receive, send)
        taken.append((time.process_time() - begin) / len(tokens) * 1e6)
    if statuses != {200}:
        raise RuntimeError(f"answered {statuses}")
    return statistics.median(taken)


async def bare(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def measure(issuer, tokens):
    key = signing_key(issuer)
    with Verifier(issuer=issuer, audience=issuer) as verifier:
        first, *others = tokens
        verifier.verify(first)  # waits for the keys
        begin = time.process_time()
        for token in others:
            verifier.verify(token)
        unseen = (time.process_time() - begin) / len(others) * 1e6
        many = tokens * (20_000 // len(tokens))
        return {
            "pyjwt_us": cpu_us(lambda token: jwt.decode(token, key, ["ES256"], audience=issuer, issuer=issuer), tokens),
            "verify_new_us": unseen,
            "verify_us": cpu_us(verifier.verify, many),
            "dependency_us": asyncio.run(request_us(with_pyjwt(issuer), tokens))
            - asyncio.run(request_us(without(), tokens)),
            "middleware_us": asyncio.run(request_us(HourpassMiddleware(bare, verifier=verifier), many))
            - asyncio.run(request_us(bare, many)),
        }


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]).read_bytes().split())))
