"""docs/runbooks/server-errors.md, on a server whose database somebody has changed by hand."""

import apsw
from tests.e2e.conftest import exchange


def test_a_500_raises_the_alarm_and_its_line_in_the_log_says_where_it_came_from(
    serve, prometheus, open_runbook, await_symptom
):
    server = serve(admin_listen=prometheus.target())
    key = server.create_key("--allow-ip", "127.0.0.1")
    rows = apsw.Connection(str(server.data / "hourpass.db"))

    def allow(network: str) -> None:
        rows.execute("update api_keys set allowed_ips = ?", (network,))
        rows.execute("update control set version = version + 1")

    def fails() -> bool:
        return exchange(server, key["api_key"]).status_code == 500

    ((allowed,),) = rows.execute("select allowed_ips from api_keys").fetchall()
    prometheus.await_scraped(server.admin)
    allow("not a network")
    book = open_runbook("server-errors", server)
    prometheus.wait(
        lambda: fails() and book.page.alerts <= prometheus.fired(server.admin), "the alerts do not fire", 15
    )
    await_symptom(book, server)

    said = book.run()
    allow(allowed)
    prometheus.wait(lambda: not fails(), "the server does not see the row", 5)
    book.await_over()

    assert "Traceback" in said["journalctl --unit hourpass --since -1h | grep '\"failed\"'"]
