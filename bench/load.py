"""A load generator for one keep-alive HTTP/1.1 endpoint: `python -m bench.load SPEC.json`, the result on stdout.

Each connection sends its next request when the last answer is complete, or with a `rate` at steady moments, at most one
at a time. With `reconnect` each request has a connection of its own, and with `tls` a handshake that does not check the
certificate. It is limited in time and to loopback. Only a 2xx answer with the expected content is accepted.
"""

import asyncio
import itertools
import json
import random
import ssl
import sys
import time
from collections import deque
from pathlib import Path

import uvloop


class Traffic:
    """The requests to send: the same ones in turn, or refreshes, each with the token of the last answer."""

    def __init__(self, spec):
        method, path, headers = spec["method"], spec["path"], spec["headers"]
        body = spec.get("body", "").encode()
        authorized = [{"authorization": f"Bearer {token}"} for token in _lines(spec.get("access_tokens"))] or [{}]
        self._constant = itertools.cycle([_request(method, path, {**headers, **each}, body) for each in authorized])
        self._spec = spec
        self._tokens = deque(_lines(spec["tokens"])) if spec.get("tokens") else None
        self._before, self._after = spec.get("template", '{"refreshToken":"%s"}').encode().split(b"%s")
        self._field = b'"%b":"' % spec.get("field", "refresh_token").encode()
        self._expected = spec.get("expected", "").encode()

    def next(self):
        """The next request. None if refusals have used up the tokens."""
        if self._tokens is None:
            return next(self._constant)
        if not self._tokens:
            return None
        body = self._before + self._tokens.popleft().encode() + self._after
        return _request("POST", self._spec["path"], self._spec["headers"], body)

    def answered(self, body):
        """Whether the answer holds the expected content."""
        if self._tokens is not None:
            at = body.find(self._field)
            if at < 0:
                return False
            start = at + len(self._field)
            self._tokens.append(body[start : body.index(b'"', start)].decode())
        return self._expected in body

    def finish(self):
        """Keep the tokens for the next load, if the spec asks for it."""
        if self._spec.get("keep_tokens"):
            Path(self._spec["tokens"]).write_text("\n".join(self._tokens))


def _lines(path):
    return Path(path).read_text().split() if path else []


def _request(method, path, headers, body):
    lines = [f"{method} {path} HTTP/1.1", "host: bench", *(f"{name}: {value}" for name, value in headers.items())]
    if method == "POST":
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Connection(asyncio.Protocol):
    def __init__(self, run):
        self._run = run
        self._finished = False
        self._began = time.perf_counter()

    def connection_made(self, transport):
        self._transport = transport
        self._buffer = b""
        self._due = time.perf_counter() + self._run.pause * random.random()
        if self._run.pause:
            self._run.loop.call_later(self._due - time.perf_counter(), self._send)
        else:
            self._send()

    def _send(self):
        request = self._run.traffic.next()
        if request is None:
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data):
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        at = head.find(b"content-length:")
        if at < 0 and b"transfer-encoding: chunked" in head:
            # The next request is sent only after this answer, so nothing follows its last chunk.
            total = len(self._buffer) if self._buffer.endswith(b"\r\n0\r\n\r\n") else sys.maxsize
        else:
            total = end + 4 + (int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0)
        if len(self._buffer) < total:
            return
        body, self._buffer = self._buffer[end + 4 : total], self._buffer[total:]
        run = self._run
        now = time.perf_counter()
        run.latencies.append(now - (self._began if run.reconnect else self._sent_at))
        if head[9:10] != b"2" or not run.traffic.answered(body):
            run.refused += 1
            # Only errors are shown: other answers may hold tokens.
            run.refusal = run.refusal or (head[9:12] + (b"" if head[9:10] == b"2" else b" " + body[:200])).decode()
        if now < run.end and not run.reconnect:
            if run.pause:
                self._due += run.pause
                run.loop.call_later(max(0.0, self._due - now), self._send)
            else:
                self._send()
        else:
            self._finished = True
            self._transport.close()

    def connection_lost(self, error):
        run = self._run
        run.refused += not self._finished
        if run.reconnect and self._finished and time.perf_counter() < run.end:
            run.connecting.add(task := run.loop.create_task(run.connect()))
            task.add_done_callback(run.connecting.discard)
            return
        run.open -= 1
        if not run.open:
            run.done.set()


def _unchecked():
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


class Run:
    def __init__(self, spec):
        self.spec = spec
        self.traffic = Traffic(spec)
        self.latencies = []
        self.refused = 0
        self.refusal = ""
        self.reconnect = spec.get("reconnect", False)
        self.connecting = set()
        self._tls = _unchecked() if spec.get("tls") else None
        rate = spec.get("rate")
        self.pause = spec["connections"] / rate if rate else 0.0

    async def connect(self):
        await self.loop.create_connection(lambda: Connection(self), "127.0.0.1", self.spec["port"], ssl=self._tls)

    async def go(self):
        self.open = self.spec["connections"]
        self.done = asyncio.Event()
        begin = time.perf_counter()
        self.end = begin + self.spec["seconds"]
        self.loop = asyncio.get_running_loop()
        for _ in range(self.open):
            await self.connect()
        await asyncio.wait_for(self.done.wait(), self.spec["seconds"] + 30)
        elapsed = time.perf_counter() - begin
        self.traffic.finish()
        ordered = sorted(self.latencies)
        count = len(ordered)
        return {
            "requests": count,
            "per_second": count / elapsed,
            "p50_ms": ordered[count // 2] * 1e3,
            "p99_ms": ordered[int(count * 0.99)] * 1e3,
            "refused": self.refused,
            "refusal": self.refusal,
        }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(Run(json.loads(Path(sys.argv[1]).read_text())).go())))
