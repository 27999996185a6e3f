"""`hourpass grants`."""

DAY = 86_400

FACTS = {
    "grant_id",
    "key_id",
    "generation",
    "scope",
    "state",
    "created_at",
    "idle_expires_at",
    "expires_at",
    "revoked_at",
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


def test_the_list_can_be_of_one_key(hourpass):
    mine, other = hourpass.create_key(), hourpass.create_key()
    hourpass.exchange(mine["api_key"])
    hourpass.exchange(other["api_key"])

    assert [grant["key_id"] for grant in hourpass.json("grants", "list", "--key", mine["key_id"])] == [mine["key_id"]]
    assert hourpass.json("grants", "list", "--key", "nobody000000") == []


def test_revoke_ends_a_grant_and_says_whether_it_did(hourpass, api_key):
    hourpass.exchange(api_key)
    [grant] = hourpass.json("grants", "list")

    assert hourpass.json("grants", "revoke", grant["grant_id"]) == {"grant_id": grant["grant_id"], "revoked": True}
    assert hourpass.json("grants", "revoke", grant["grant_id"]) == {"grant_id": grant["grant_id"], "revoked": False}
    assert hourpass.json("grants", "list") == []
    [ended] = hourpass.json("grants", "list", "--all")
    assert ended["state"] == "revoked"
    assert ended["revoked_at"] is not None


def test_the_grants_of_a_key_that_was_revoked_have_ended(hourpass, api_key):
    hourpass.exchange(api_key)
    hourpass("keys", "revoke", api_key.split("_")[2])

    assert hourpass.json("grants", "list") == []
    assert [grant["state"] for grant in hourpass.json("grants", "list", "--all")] == ["ended"]


def test_the_human_forms_are_a_table_and_a_sentence(hourpass, api_key):
    hourpass.exchange(api_key)

    header, row = hourpass("grants", "list").stdout.splitlines()
    assert header.split() == ["grant_id", "key_id", "generation", "state", "created_at", "idle_expires_at"]
    grant_id = row.split()[0]
    result = hourpass("grants", "revoke", grant_id)
    assert (result.stdout, result.stderr) == ("", f"Database: {hourpass.name}\n{grant_id} is revoked.\n")
