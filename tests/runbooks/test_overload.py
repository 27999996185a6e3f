"""docs/runbooks/overload.md, on a server that stands still, waits for its database and runs out of descriptors."""

import contextlib
import signal
import threading
import time
from collections.abc import Iterator

import apsw
import httpx2
from tests.e2e.conftest import PLAIN, allow_descriptors

CONNECTIONS = 6
HELD, FREE = 0.6, 0.05
"""Seconds for which another process holds the database, again and again, and leaves it alone in between."""


@contextlib.contextmanager
def held_again_and_again(server, api_key: str, clients: int) -> Iterator[None]:
    """Clients exchange their key all the time, and somebody holds the database most of the time."""
    over = threading.Event()

    def ask() -> None:
        with httpx2.Client(base_url=server.url, **PLAIN) as http:
            while not over.is_set():
                with contextlib.suppress(httpx2.TransportError):  # turned away, as one too many
                    http.post("/auth/api-key", json={"apiKey": api_key})
                over.wait(FREE)

    def hold() -> None:
        other = apsw.Connection(str(server.data / "hourpass.db"))
        other.set_busy_timeout(5_000)
        while not over.is_set():
            other.execute("begin immediate")
            over.wait(HELD)
            other.execute("rollback")
            over.wait(FREE)
        other.close()

    threads = [threading.Thread(target=each) for each in (*[ask] * clients, hold)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(10)


def test_a_slow_a_stalled_and_a_crowded_server_raise_the_alarm_until_it_is_well_again(
    serve, prometheus, open_runbook, await_symptom
):
    server = serve(admin_listen=prometheus.target(), retry_window=4, exchange_limit=0, max_connections=CONNECTIONS)
    api_key = server.create_key()["api_key"]
    prometheus.await_scraped(server.admin)
    book = open_runbook("overload", server)
    with held_again_and_again(server, api_key, CONNECTIONS + 2):
        alerts = ("HourpassSlow", "HourpassQueueGrows", "HourpassConnectionsFull")
        prometheus.await_fired(server.admin, *alerts, within=80)  # on a busy machine
        allow_descriptors(server, 3)
        server.process.send_signal(signal.SIGSTOP)
        time.sleep(2)  # longer than a quarter of the retry window: a stall
        server.process.send_signal(signal.SIGCONT)
        await_symptom(book, server)
        said = book.run()
    allow_descriptors(server, None)
    book.await_over()

    assert "/auth/api-key" in "".join(said.values())
