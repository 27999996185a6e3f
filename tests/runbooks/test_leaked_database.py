"""docs/runbooks/leaked-database.md, on a server whose whole data folder was copied, master key and all."""

import json
import shutil

import apsw
from tests.e2e.conftest import exchange, refresh, verify

ISSUER = "https://auth.example.com"
EXAMPLE_KEY, EXAMPLE_KID = "esfgQNdftXvX", "1c402d94f724"
MINUTE = 60_000


def gets_in(server, owner: dict) -> bool:
    return verify(server, exchange(server, owner["api_key"]).json()["access_token"]) == 204


def test_nothing_that_a_thief_can_make_of_the_copy_is_good_any_more_and_the_owners_go_on(
    serve, prometheus, open_runbook, tmp_path
):
    server = serve(admin_listen=prometheus.target(), issuer=ISSUER)
    owner, rotated = server.create_key(), server.create_key()
    derived = json.loads(server.command("keys", "rotate", rotated["key_id"], "--now", "--json").stdout)["api_key"]
    pair, stolen = (exchange(server, owner["api_key"]).json() for _ in range(2))
    loot = {}
    shutil.copytree(server.data, tmp_path / "data-1", ignore=shutil.ignore_patterns("*.lock"))
    copy = serve(issuer=ISSUER)
    # He needs no key for that: his copy has what signs.
    forged = exchange(copy, owner["api_key"]).json()["access_token"]
    assert verify(server, forged) == 204
    (signing,) = json.loads(server.command("signing-keys", "list", "--json").stdout)

    def make_older() -> None:
        assert server.stop() == 0
        rows = apsw.Connection(str(server.data / "hourpass.db"))
        rows.execute("update secrets set created_at = created_at - ?", (MINUTE,))
        rows.close()
        server.restart()
        # He refreshes once more before the old secret ends, and has tokens of the new one.
        loot.update(refresh(server, stolen["refresh_token"]).json())
        prometheus.wait(goes_over, "the key does not go over to the new pepper", 20)

    def goes_over() -> bool:
        assert exchange(server, owner["api_key"]).status_code == 200
        return owner["key_id"] not in server.command("secrets", "status", "--keys").stdout

    book = open_runbook(
        "leaked-database",
        server,
        {EXAMPLE_KEY: rotated["key_id"], EXAMPLE_KID: signing["kid"]},
        {"sleep 61": make_older},
    )
    assert book.is_over() != ""

    said = book.run()
    book.await_over()

    assert rotated["key_id"] in said["hourpass audit --event key.rotated --since 3650d"]
    assert verify(server, forged) == verify(server, pair["access_token"]) == 401
    assert verify(server, loot["access_token"]) == 401
    for token in (pair["refresh_token"], stolen["refresh_token"], loot["refresh_token"]):
        assert refresh(server, token).status_code == 400
    assert exchange(server, derived).status_code == 400
    # Tokens of the first two seconds after the retirement are refused with those from before.
    prometheus.wait(lambda: gets_in(server, owner), "the owner does not get in again", 10)
