"""`hourpass keys rotate`."""

import pytest

from hourpass.core.api_key import is_well_formed
from hourpass.core.errors import InvalidCredentials, InvalidGrant


def test_rotate_shows_the_new_secret_of_the_same_key_once(hourpass):
    created = hourpass.create_key("--expires-in", "90d")

    rotated = hourpass.json("keys", "rotate", created["key_id"])

    assert rotated.keys() == {"api_key", "key_id", "external_id", "overlap", "expires_at"}
    assert is_well_formed(rotated["api_key"])
    assert rotated["api_key"].startswith(f"hp_production_{created['key_id']}_")
    assert (rotated["overlap"], rotated["expires_at"]) == (86_400, created["expires_at"])
    secret = rotated["api_key"].rsplit("_", 1)[1]
    for arguments in (("keys", "list"), ("keys", "show", created["key_id"]), ("audit",)):
        assert secret not in hourpass(*arguments, "--json").stdout


def test_the_overlap_begins_with_the_first_use(hourpass):
    created = hourpass.create_key()
    rotated = hourpass.json("keys", "rotate", created["key_id"], "--overlap", "1h")
    waiting = hourpass.json("keys", "show", created["key_id"])
    hourpass.exchange(created["api_key"])
    assert (waiting["next_secret_at"] is None, waiting["old_secret_until"]) == (False, None)

    hourpass.exchange(rotated["api_key"])

    shown = hourpass.json("keys", "show", created["key_id"])
    assert (shown["next_secret_at"], shown["old_secret_until"] is None) == (None, False)
    refused = hourpass("keys", "rotate", created["key_id"], code=1)
    assert f"two secrets of {created['key_id']} are alive: the old one ends at {shown['old_secret_until']}" in (
        refused.stderr
    )


def test_a_key_from_standard_input_is_rotated_and_not_repeated(hourpass):
    created = hourpass.create_key()

    result = hourpass("keys", "rotate", "-", input=created["api_key"])

    assert created["api_key"] not in result.stdout + result.stderr
    assert result.stdout.splitlines()[0].split()[-1].startswith(f"hp_production_{created['key_id']}_")
    assert "shown this once" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nosuchkey000"], 1, "no API key has the id"),
        (["--overlap", "31d", "ID"], 2, "--overlap"),
        (["hp_production_3fK9mZ8qLx2P_7Qm1XcVb"], 2, "every user of this machine can read an argument"),
    ],
    ids=["an unknown key", "too long an overlap", "a key as an argument"],
)
def test_a_wrong_rotation_says_why(hourpass, arguments, code, words):
    assert words in hourpass("keys", "rotate", *arguments, code=code).stderr


def test_a_revoked_key_does_not_rotate(hourpass):
    key_id = hourpass.create_key()["key_id"]
    hourpass("keys", "revoke", key_id)

    assert "the key is revoked: it cannot rotate" in hourpass("keys", "rotate", key_id, code=1).stderr


def test_after_a_leak_the_old_secret_ends_at_once_and_the_new_one_works(hourpass):
    created = hourpass.create_key()
    pair = hourpass.exchange(created["api_key"])

    rotated = hourpass.json("keys", "rotate", created["key_id"], "--now")

    assert rotated["overlap"] == 0
    with pytest.raises(InvalidCredentials) as refused:
        hourpass.exchange(created["api_key"])
    assert refused.value.reason == "rotated"
    with pytest.raises(InvalidGrant) as ended:
        hourpass.refresh(pair.refresh_token)
    assert ended.value.reason == "revoked"
    hourpass.refresh(hourpass.exchange(rotated["api_key"]).refresh_token)
    assert {grant["state"] for grant in hourpass.json("grants", "list", "--all")} == {"ended", "live"}


def test_a_leak_leaves_no_overlap(hourpass):
    refused = hourpass("keys", "rotate", "3fK9mZ8qLx2P", "--now", "--overlap", "1h", code=2)

    assert "give --now or --overlap" in refused.stderr


def test_a_secret_that_has_ended_does_not_end_the_key(hourpass):
    """Its owner has another one by now. Over HTTP it ends nothing either."""
    made = hourpass.create_key()
    hourpass("keys", "rotate", made["key_id"], "--now")

    result = hourpass("keys", "revoke", "-", input=made["api_key"], code=1)

    assert made["key_id"] in result.stderr
    assert made["api_key"] not in result.stderr
    assert hourpass.json("keys", "show", made["key_id"])["state"] == "active"
    assert hourpass.json("keys", "show", "-", input=made["api_key"])["key_id"] == made["key_id"]
