"""What webhooks cost the token endpoints: the p99 of a refresh while events go to a dead, a slow and a good receiver.

`python -m bench.webhooks [SECONDS [ROUNDS]]` prints it with and without webhooks, in turns, and the ratio of the two.
The same events happen in both servers.
"""

import contextlib
import json
import os
import socket
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from bench.grants import ISSUER, fill
from bench.servers import Hourpass
from bench.table import interleaved

RATE, CONNECTIONS, EVENTS = 300, 16, 20
"""Refreshes a second, over how many connections, and events a second."""

SLOW = 2.0
"""Seconds that the slow receiver takes."""


def webhooks(work, *, seconds=10.0, rounds=5):
    """The medians of p99 in milliseconds, their ratio, and how many events arrived."""
    with contextlib.ExitStack() as opened:
        good, slow = (opened.enter_context(Receiver(wait)) for wait in (0, SLOW))
        dead = opened.enter_context(socket.create_server(("127.0.0.1", 0), backlog=1))
        urls = [good.url, slow.url, f"http://127.0.0.1:{dead.getsockname()[1]}/"]
        servers = {"without": Site(work / "without", []), "with": Site(work / "with", urls)}
        for each in servers.values():
            opened.callback(each.server.stop)
        figures = interleaved(rounds, {name: lambda site=site: site.measure(seconds) for name, site in servers.items()})
        p99 = {name: statistics.median(each["p99_ms"] for each in found) for name, found in figures.items()}
        cpu = {name: statistics.median(each["cpu_us"] for each in found) for name, found in figures.items()}
        rounded = {name: [round(each["p99_ms"], 2) for each in found] for name, found in figures.items()}
        return {
            "p99_ms": p99,
            "ratio": p99["with"] / p99["without"],
            "cpu_us": cpu,
            "all": rounded,
            "arrived": good.received,
        }


class Site:
    """A server with a thousand grants and some webhooks, and the events that happen in it."""

    def __init__(self, folder, urls):
        from hourpass.core.actor import Actor
        from hourpass.server.run.open import open_secrets, open_store
        from hourpass.server.settings.settings import Settings
        from hourpass.server.store import transaction
        from hourpass.server.webhooks.destination import read_destination
        from hourpass.server.webhooks.webhooks import create_webhook

        self.server = Hourpass("webhooks", folder, issuer=ISSUER, webhook_allow_private="true")
        self._tokens = fill(folder, self.server.key_id, 1_000, tokens=1_000, issuer=ISSUER)
        self._work = folder
        self._actor = Actor("bench")
        settings, now = Settings(data=str(folder)), int(time.time() * 1000)
        self._store = open_store(settings)
        master, _ = open_secrets(self._store, settings, {}, now)
        for url in urls:
            with transaction(self._store) as store:
                to = read_destination(url, allow_private=True)
                create_webhook(store, master, to, now, os.urandom, actor=self._actor)

    def measure(self, seconds):
        ended = threading.Event()
        events = threading.Thread(target=self._happen, args=[ended])
        path = self._work / "tokens.txt"
        path.write_text("\n".join(self._tokens))
        events.start()
        try:
            more = {"tokens": path, "keep_tokens": True, "rate": RATE}
            told = self.server.load(seconds, CONNECTIONS, path="/auth/refresh", **more)
        finally:
            ended.set()
            events.join()
        self._tokens = path.read_text().split()
        return told

    def _happen(self, ended):
        from hourpass.core.key_events import KeyCreated
        from hourpass.server.store import transaction

        while not ended.wait(1 / EVENTS):
            with transaction(self._store) as store:
                store.append_audit(int(time.time() * 1000), [KeyCreated(self.server.key_id, "bench", self._actor)])


class Receiver:
    """Takes events on loopback, each after a while."""

    def __init__(self, wait):
        self.received = 0
        self._wait = wait
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection):
        with contextlib.suppress(OSError, ValueError), connection, connection.makefile("rb") as reader:
            while reader.readline():
                size = 0
                while line := reader.readline().strip():
                    name, _, value = line.partition(b":")
                    size = int(value) if name.lower() == b"content-length" else size
                reader.read(size)
                time.sleep(self._wait)
                self.received += 1
                connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.close()


if __name__ == "__main__":
    seconds, rounds = (float(sys.argv[1]) if sys.argv[1:] else 10), (int(sys.argv[2]) if sys.argv[2:] else 5)
    with tempfile.TemporaryDirectory(prefix="hourpass-bench-") as folder:
        print(json.dumps(webhooks(Path(folder), seconds=seconds, rounds=rounds), indent=1))
