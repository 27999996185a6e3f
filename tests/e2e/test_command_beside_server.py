"""A command knows its own settings only. The settings on the server's command line must survive it."""

import time

import httpx2

from hourpass.server.store import transaction
from hourpass.server.store.sqlite import SqliteStore


def key_set(server) -> list[dict]:
    return httpx2.get(f"{server.url}/.well-known/jwks.json").json()["keys"]


def test_a_revocation_by_a_command_lasts_for_the_longest_lifetime_a_server_may_have(serve):
    server = serve(access_token_lifetime=7200)
    made = server.create_key()

    server.command("keys", "revoke", made["key_id"])

    store = SqliteStore(server.data / "hourpass.db")
    with transaction(store):
        (entry,) = store.revocations_after(0, 0)
    store.close()
    assert entry.until > (time.time() + 7200) * 1000


def test_a_command_leaves_the_servers_signing_algorithm_alone(serve):
    server = serve(signing_algorithm="Ed25519")
    before = key_set(server)

    server.create_key()
    server.stop()
    server.restart()

    assert [key["alg"] for key in before] == ["Ed25519"]
    assert key_set(server) == before


def test_a_token_for_another_audience_is_revoked_and_introspected_all_the_same(serve):
    """RFC 7009 §2.1: the issuer revokes what it issued, for any API."""
    server = serve()
    made = server.create_key("--audience", "https://other.example", "--scope", "introspect")
    token = httpx2.post(f"{server.url}/auth/api-key", json={"apiKey": made["api_key"]}).json()["access_token"]

    def active() -> bool:
        answer = httpx2.post(
            f"{server.url}/oauth/introspect", data={"token": token}, auth=(made["key_id"], made["api_key"])
        )
        return answer.json()["active"]

    assert active()
    assert httpx2.post(f"{server.url}/oauth/revoke", data={"token": token}).status_code == 200
    assert not active()
