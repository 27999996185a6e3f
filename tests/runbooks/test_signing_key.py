"""docs/runbooks/signing-key.md, on a server whose only signing key was given an end by hand."""

import time

import apsw
from tests.e2e.conftest import exchange, verify

DAY = 86_400_000


def test_a_key_without_a_successor_raises_the_alarm_and_a_rotation_ends_it(
    serve, prometheus, open_runbook, await_symptom
):
    server = serve(admin_listen=prometheus.target())
    api_key = server.create_key()["api_key"]
    prometheus.await_scraped(server.admin)
    assert "HourpassSigningKeyEnds" not in prometheus.firing(server.admin)
    now = time.time_ns() // 1_000_000
    rows = apsw.Connection(str(server.data / "hourpass.db"))
    rows.execute("update signing_keys set signs_from = ?, retired_at = ?", (now - 401 * DAY, now + DAY))
    rows.execute("update control set version = version + 1")
    rows.close()
    book = open_runbook("signing-key", server)
    prometheus.wait(lambda: "HourpassSigningKeyEnds" in prometheus.firing(server.admin), "the alert does not fire", 20)
    await_symptom(book, server)

    book.run()
    book.await_over()
    assert "HourpassSigningKeyEnds" not in prometheus.firing(server.admin)

    assert verify(server, exchange(server, api_key).json()["access_token"]) == 204
