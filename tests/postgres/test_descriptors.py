"""Running out of descriptors or memory is trouble of the storage: 503 with Retry-After, and it passes by itself."""

import httpx2
from tests.e2e.conftest import PLAIN, allow_descriptors
from tests.postgres.test_workers import until


def test_connections_that_are_cut_while_no_descriptor_is_free_are_503_and_heal(nodes, own_database):
    server = nodes.start()
    api_key = nodes.create_key()["api_key"]
    with httpx2.Client(base_url=server.url, **PLAIN) as client:
        pair = client.post("/auth/api-key", json={"apiKey": api_key}).raise_for_status().json()
        allow_descriptors(server, 0)
        own_database.run(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'hourpass%'"
        )

        refused = [
            client.post("/auth/refresh", json={"refreshToken": pair["refresh_token"]}),
            client.post("/auth/api-key", json={"apiKey": api_key}),
            client.post("/oauth/revoke", data={"token": pair["refresh_token"]}),
        ]
        ready = client.get("/health/ready").status_code
        live = client.get("/health/live").status_code
        allow_descriptors(server, None)
        until(lambda: client.get("/health/ready").status_code == 200)
        refreshed = client.post("/auth/refresh", json={"refreshToken": pair["refresh_token"]})

    assert [(answer.status_code, answer.headers.get("retry-after")) for answer in refused] == [(503, "1")] * 3
    assert (ready, live) == (503, 200)
    assert refreshed.status_code == 200
    assert server.stop() == 0
    assert "Traceback" not in server.log.read_text()
