"""docs/runbooks/after-a-restore.md, on a server that was filled from a backup with its grants."""

import json

from tests.e2e.conftest import exchange, refresh, verify

EXAMPLE_KEY = "esfgQNdftXvX"


def test_a_client_ahead_of_the_database_raises_the_alarm_and_the_page_revokes_again(
    serve, prometheus, open_runbook, await_symptom, tmp_path
):
    server = serve(admin_listen=prometheus.target())
    ended, going_on = server.create_key(), server.create_key()
    pair = exchange(server, going_on["api_key"]).json()
    backup = tmp_path / "backup.db"
    server.command("backup", str(backup))
    server.command("keys", "revoke", ended["key_id"])
    for _ in range(2):
        pair = refresh(server, pair["refresh_token"]).json()
    assert server.stop() == 0
    for path in server.data.glob("hourpass.db*"):
        path.unlink()
    server.command("restore", str(backup), "--keep-grants")
    server.restart()
    prometheus.await_scraped(server.admin)
    assert exchange(server, ended["api_key"]).status_code == 200
    assert refresh(server, pair["refresh_token"]).json()["reason"] == "ahead"
    book = open_runbook("after-a-restore", server, {EXAMPLE_KEY: ended["key_id"]})
    await_symptom(book, server)

    said = book.run()
    book.await_over()

    assert going_on["key_id"] in said["hourpass keys list"]
    assert exchange(server, ended["api_key"]).json()["reason"] == "revoked"
    assert verify(server, pair["access_token"]) == 401
    assert exchange(server, going_on["api_key"]).status_code == 200
    assert json.loads(server.command("keys", "show", ended["key_id"], "--json").stdout)["state"] == "revoked"
