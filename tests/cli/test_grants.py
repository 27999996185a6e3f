"""`hourpass grants`."""

import re

import pytest

from hourpass.core.token_request import TokenRequest

DAY = 86_400

FACTS = {
    "grant_id",
    "key_id",
    "generation",
    "scope",
    "state",
    "created_at",
    "opened_from",
    "refreshed_at",
    "last_from",
    "idle_expires_at",
    "expires_at",
    "revoked_at",
    "ended_at",
    "key_name",
    "subject",
}


def test_an_exchange_opens_a_grant_that_the_list_shows(hourpass, api_key):
    pair = hourpass.exchange(api_key)
    hourpass.refresh(pair.refresh_token)

    [grant] = hourpass.json("grants", "list")

    assert grant.keys() == FACTS
    assert grant["key_id"] == api_key.split("_")[2]
    assert grant["generation"] == 1
    assert grant["state"] == "live"
    assert grant["revoked_at"] is None


def test_the_list_is_of_live_grants_unless_all_are_asked_for(hourpass, api_key):
    """A grant that nobody refreshed for 30 days has ended."""
    hourpass.exchange(api_key, seconds_ago=31 * DAY)
    hourpass.exchange(api_key)

    live, everything = hourpass.json("grants", "list"), hourpass.json("grants", "list", "--all")

    assert [grant["state"] for grant in live] == ["live"]
    assert sorted(grant["state"] for grant in everything) == ["expired", "live"]


def test_a_grant_has_the_scope_that_its_next_token_will_have(hourpass):
    key = hourpass.create_key("--scope", "a b")
    hourpass.exchange(key["api_key"])
    hourpass("keys", "update", key["key_id"], "--scope", "b c")

    [grant] = hourpass.json("grants", "list")

    assert grant["scope"] == hourpass.json("grants", "show", grant["grant_id"])["scope"] == "b c"


def test_the_list_can_be_of_one_key(hourpass):
    mine, other = hourpass.create_key(), hourpass.create_key()
    hourpass.exchange(mine["api_key"])
    hourpass.exchange(other["api_key"])

    assert [grant["key_id"] for grant in hourpass.json("grants", "list", "--key", mine["key_id"])] == [mine["key_id"]]
    hourpass("grants", "list", "--key", "nobody000000", code=1)


def test_revoke_ends_a_grant_and_says_whether_it_did(hourpass, api_key):
    hourpass.exchange(api_key)
    [grant] = hourpass.json("grants", "list")

    assert hourpass.json("grants", "revoke", grant["grant_id"]) == {"grant_id": grant["grant_id"], "revoked": True}
    assert hourpass.json("grants", "revoke", grant["grant_id"]) == {"grant_id": grant["grant_id"], "revoked": False}
    assert hourpass.json("grants", "list") == []
    [ended] = hourpass.json("grants", "list", "--all")
    assert ended["state"] == "revoked"
    assert ended["revoked_at"] is not None
    assert ended["ended_at"] == ended["revoked_at"]


def test_the_grants_of_a_key_that_was_revoked_have_ended(hourpass, api_key):
    hourpass.exchange(api_key)
    hourpass("keys", "revoke", api_key.split("_")[2])

    assert hourpass.json("grants", "list") == []
    [grant] = hourpass.json("grants", "list", "--all")
    revoked_at = hourpass.json("keys", "show", api_key.split("_")[2])["revoked_at"]
    assert (grant["state"], grant["revoked_at"], grant["ended_at"]) == ("ended", None, revoked_at)
    assert re.search(rf"^ended_at +{revoked_at}$", hourpass("grants", "show", grant["grant_id"]).stdout, re.MULTILINE)


def test_the_human_forms_are_a_table_and_a_sentence(hourpass, api_key):
    hourpass.exchange(api_key)

    header, row = hourpass("grants", "list").stdout.splitlines()
    assert header.split() == ["grant_id", "key_id", "generation", "state", "created_at", "idle_expires_at"]
    grant_id = row.split()[0]
    result = hourpass("grants", "revoke", grant_id)
    assert (result.stdout, result.stderr) == ("", f"Database: {hourpass.name}\n{grant_id} is revoked.\n")


ADDRESSES = {"IPv4": "192.0.2.7", "IPv6": "2001:db8::7"}


@pytest.fixture(params=ADDRESSES.values(), ids=ADDRESSES)
def used(request, hourpass, api_key):
    """The grant of an exchange and a refresh a minute apart, from two addresses."""

    async def use(server):
        issuer = server.app.issuer
        pair = await issuer.exchange(api_key, TokenRequest(), request.param, server.clock())
        server.clock.advance(60)
        await issuer.refresh(pair.refresh_token.decode(), TokenRequest(), "198.51.100.9", server.clock())

    hourpass.with_server(use, seconds_ago=120)
    [grant] = hourpass.json("grants", "list")
    return {**grant, "expected": request.param}


def test_a_grant_says_from_where_and_when_it_was_opened_and_last_refreshed(hourpass, api_key, used):
    expected = used.pop("expected")
    shown = hourpass.json("grants", "show", used["grant_id"])

    assert (used["opened_from"], used["last_from"]) == (expected, "198.51.100.9")
    assert used["created_at"] < used["refreshed_at"] < used["idle_expires_at"]
    assert shown == {**used, "key_name": "test", "subject": api_key.split("_")[2]}


def test_the_table_of_one_key_has_the_addresses_and_the_times(hourpass, api_key, used):
    header, row = hourpass("grants", "list", "--key", api_key.split("_")[2]).stdout.splitlines()

    columns = dict(zip(header.split(), row.split(), strict=True))
    assert columns["opened_from"] == used["expected"]
    assert columns["last_from"] == "198.51.100.9"
    assert columns["refreshed_at"] == used["refreshed_at"]
    assert used["expected"] in hourpass("grants", "show", used["grant_id"]).stdout


def test_a_grant_that_nobody_refreshed_and_whose_caller_is_not_known_has_no_address(hourpass, api_key):
    hourpass.exchange(api_key)
    [grant] = hourpass.json("grants", "list")

    assert [grant[name] for name in ("opened_from", "refreshed_at", "last_from")] == [None] * 3


@pytest.mark.usefixtures("was_started")
def test_a_grant_that_nobody_has_is_not_shown(hourpass):
    assert "no grant has" in hourpass("grants", "show", "00" * 16, code=1).stderr
    assert "a whole id has 32 digits" in hourpass("grants", "show", "03e0ea77", code=1).stderr
