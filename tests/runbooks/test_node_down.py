"""docs/runbooks/node-down.md, on a server that was killed."""

from tests.e2e.conftest import exchange, generation, refresh

STATUS = "curl -sS http://127.0.0.1:3601/health/ready"


def test_a_killed_server_raises_the_alarm_and_starts_again_with_all_that_it_had(
    serve, prometheus, open_runbook, await_symptom
):
    server = serve(admin_listen=prometheus.target())
    pair = exchange(server, server.create_key()["api_key"]).json()
    prometheus.await_scraped(server.admin)
    server.kill()
    book = open_runbook("node-down", server, hands={"systemctl start hourpass": server.restart})
    prometheus.await_fired(server.admin, "HourpassDown")
    assert book.is_over() != ""

    said = book.run(fails={STATUS: 7})
    book.await_over()

    assert "good" in said["hourpass config check"]
    assert generation(refresh(server, pair["refresh_token"]).json()["refresh_token"]) == 1
