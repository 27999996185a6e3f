"""`hourpass keys update`, `disable`, `enable`, and the filters of `keys list`."""

import json

import pytest


def ids(listed) -> list[str]:
    return [key["key_id"] for key in listed]


def test_update_changes_what_is_given_and_nothing_else(hourpass):
    made = hourpass.create_key("--scope", "a", "--claim", "tenant=acme", "--tag", "team=x", "--tag", "cost=1")
    key_id = made.pop("key_id")

    changed = hourpass.json(
        *("keys", "update", key_id, "--name", "other", "--scope", "b a", "--audience", "p", "--audience", "q"),
        *("--claim-json", "seats=5", "--remove-tag", "cost", "--retry-window", "5s", "--access-token-lifetime", "10m"),
        *("--allow-ip", "192.0.2.0/24", "--self-rotation"),
    )

    del made["api_key"]
    assert {**changed, "last_used": {}} == hourpass.json("keys", "list")[0]
    assert {name: value for name, value in changed.items() if made.get(name) != value} == {
        "key_id": key_id,
        "name": "other",
        "scope": "a b",
        "audience": "p",
        "audiences": ["p", "q"],
        "claims": {"tenant": "acme", "seats": 5},
        "tags": {"team": "x"},
        "retry_window": 5,
        "access_token_lifetime": 600,
        "allowed_ips": ["192.0.2.0/24"],
        "self_rotation": True,
    }


def test_update_takes_back_what_was_set(hourpass):
    given = (
        *("--scope", "a", "--audience", "p", "--claim", "tenant=acme", "--expires-in", "9d", "--raw-until", "2d"),
        *("--retry-window", "5s", "--access-token-lifetime", "10m", "--allow-ip", "192.0.2.0/24", "--self-rotation"),
    )
    key_id = hourpass.create_key(*given)["key_id"]

    changed = hourpass.json(
        *("keys", "update", key_id, "--scope", "", "--audience", "default", "--remove-claim", "tenant"),
        *("--expires-in", "never", "--raw-until", "never", "--retry-window", "default"),
        *("--access-token-lifetime", "default", "--allow-ip", "any", "--no-self-rotation"),
    )

    plain = hourpass.create_key()
    own = {"key_id", "subject", "created_at", "api_key"}
    assert {name: changed[name] for name in changed.keys() - own} == {name: plain[name] for name in plain.keys() - own}


@pytest.mark.parametrize(
    ("given", "at"),
    [
        ("2027-01-31", "2027-01-31T00:00:00Z"),
        ("20270131", "2027-01-31T00:00:00Z"),
        ("2027-01-31T12:00:00+02:00", "2027-01-31T10:00:00Z"),
    ],
)
def test_the_end_of_raw_use_is_an_instant_or_a_time_from_now(hourpass, given, at):
    assert hourpass.create_key("--raw-until", given)["raw_until"] == at
    later = hourpass.create_key("--raw-until", "30d")
    assert later["raw_until"] > later["created_at"]


def test_a_disabled_key_is_refused_with_its_reason_until_it_is_enabled(hourpass):
    made = hourpass.create_key()

    assert hourpass("keys", "disable", made["key_id"]).stderr.endswith(f"{made['key_id']} is disabled.\n")
    assert hourpass.json("keys", "disable", made["key_id"]) == {"key_id": made["key_id"], "disabled": False}
    assert hourpass.json("keys", "list")[0]["state"] == "disabled"
    assert hourpass.json("keys", "enable", made["key_id"]) == {"key_id": made["key_id"], "enabled": True}
    assert hourpass.json("keys", "list")[0]["state"] == "active"


def test_list_takes_the_keys_that_fulfil_every_condition(hourpass):
    team = hourpass.create_key("--tag", "team=billing", "--subject", "acme")["key_id"]
    soon = hourpass.create_key("--expires-in", "5d")["key_id"]
    ended = hourpass.create_key("--expires-in", "5d")["key_id"]
    hourpass("keys", "revoke", ended)

    assert ids(hourpass.json("keys", "list", "--tag", "team=billing")) == [team]
    assert ids(hourpass.json("keys", "list", "--subject", "acme", "--state", "active")) == [team]
    assert ids(hourpass.json("keys", "list", "--expires-within", "6d")) == [soon]
    assert ids(hourpass.json("keys", "list", "--expires-within", "4d")) == []
    assert ids(hourpass.json("keys", "list", "--state", "revoked")) == [ended]
    assert ids(hourpass.json("keys", "list", "--tag", "team=billing", "--state", "revoked")) == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("update", "KEY"), 2),
        (("update", "KEY", "--expires-in", "soon"), 2),
        (("update", "KEY", "--raw-until", "soon"), 2),
        (("update", "KEY", "--raw-until", "9999-12-31T23:59:59-23:00"), 2),
        (("update", "KEY", "--claim", "tenant"), 2),
        (("update", "KEY", "--claim-json", "tenant={}"), 2),
        (("update", "KEY", "--claim-json", "tenant=x"), 2),
        (("update", "KEY", "--allow-ip", "nowhere"), 2),
        (("update", "KEY", "--claim", "sub=x"), 1),
        (("update", "nosuchkey000", "--name", "x"), 1),
        (("disable", "nosuchkey000"), 1),
        (("enable", "nosuchkey000"), 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else str(value),
)
def test_what_cannot_be_done_is_said_and_changes_nothing(hourpass, arguments, code):
    key_id = hourpass.create_key()["key_id"]
    before = hourpass.json("keys", "list")

    result = hourpass("keys", *(key_id if word == "KEY" else word for word in arguments), code=code)

    assert result.stderr
    assert hourpass.json("keys", "list") == before


@pytest.mark.parametrize("command", ["update", "disable"])
def test_now_ends_the_tokens_that_are_out(hourpass, command):
    made = hourpass.create_key()
    token = hourpass.exchange(made["api_key"]).access_token.decode()

    hourpass("keys", command, made["key_id"], "--now")

    assert hourpass.json("tokens", "inspect", "-", input=token, code=1)["words"].startswith("no")
    assert [line["event"] for line in hourpass.json("audit")][-1] == "key.tokens_ended"


def test_a_key_that_is_disabled_already_still_loses_its_tokens_and_the_answer_says_so(hourpass):
    key_id = hourpass.create_key()["key_id"]

    first, again = (hourpass("keys", "disable", key_id, "--now").stderr for _ in range(2))

    ended = "Its access tokens that were out have ended.\n"
    assert first.endswith(f"{key_id} is disabled. {ended}")
    assert again.endswith(f"{key_id} was disabled before. {ended}")
    told = {"key_id": key_id, "disabled": False}
    assert hourpass.json("keys", "disable", key_id, "--now") == {**told, "tokens_ended": True}
    assert hourpass.json("keys", "disable", key_id) == told


def test_a_prefix_that_fits_more_subjects_than_it_seems_is_pointed_out(hourpass):
    delegated = ("--admin", "operator", "--subject-prefix", "acme", "--max-scope", "a")

    made = hourpass("keys", "create", "--name", "a", "--json", *delegated)

    assert "End it with a slash: acme/" in made.stderr
    key_id = json.loads(made.stdout)["key_id"]
    assert "slash" not in hourpass("keys", "update", key_id, "--name", "b").stderr
    assert "fits the subject globex-two" in hourpass("keys", "update", key_id, "--subject-prefix", "globex").stderr
