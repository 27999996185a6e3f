"""Commands that change several keys at once: each is changed and told of, and a wrong id stops them."""

import json
import os

import pytest


def made(hourpass, number):
    return [hourpass.create_key()["key_id"] for _ in range(number)]


def lines(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_each_of_several_keys_is_rotated_and_told_on_a_line_of_its_own(hourpass):
    ids = made(hourpass, 5)

    told = lines(hourpass("keys", "rotate", *ids, "--json"))

    assert [each["key_id"] for each in told] == ids
    assert all(each["api_key"].startswith(f"hp_production_{each['key_id']}_") for each in told)
    assert {key["key_id"] for key in hourpass.json("keys", "list", "--next-waits")} == set(ids)


def test_a_key_is_listed_as_waiting_until_its_next_secret_is_used_or_it_has_ended(hourpass):
    used, ended, waiting = made(hourpass, 3)
    told = lines(hourpass("keys", "rotate", used, ended, waiting, "--json"))
    hourpass.exchange(told[0]["api_key"])
    hourpass("keys", "revoke", ended)

    assert [key["key_id"] for key in hourpass.json("keys", "list", "--next-waits")] == [waiting]


def test_each_of_several_keys_is_updated(hourpass):
    ids = made(hourpass, 3)

    told = lines(hourpass("keys", "update", *ids, "--raw-until", "2027-01-31", "--json"))

    assert [(each["key_id"], each["raw_until"]) for each in told] == [(key, "2027-01-31T00:00:00Z") for key in ids]


@pytest.mark.parametrize(
    ("command", "member", "words"),
    [("disable", "disabled", "is disabled."), ("revoke", "revoked", "is revoked.")],
)
def test_each_of_several_keys_is_ended(hourpass, command, member, words):
    first, second, third = made(hourpass, 3)

    said = hourpass("keys", command, first, second).stderr

    assert said.endswith(f"{first} {words}\n{second} {words}\n")
    assert lines(hourpass("keys", command, second, third, "--json")) == [
        {"key_id": second, member: False},
        {"key_id": third, member: True},
    ]


def test_a_wrong_id_changes_no_key_of_its_transaction_and_the_ones_before_are_told(hourpass):
    """A transaction has a hundred keys."""
    rows = "".join(f"customer {number},{os.urandom(20).hex()}\n" for number in range(105))
    hourpass("keys", "import", "-", input="name,key\n" + rows)
    ids = [key["key_id"] for key in hourpass.json("keys", "list")]

    result = hourpass("keys", "disable", *ids[:103], "nosuchkey000", *ids[103:], code=1)

    assert "nosuchkey000" in result.stderr
    assert [f"{key} is disabled." in result.stderr for key in ids] == [True] * 100 + [False] * 5
    states = {key["key_id"]: key["state"] for key in hourpass.json("keys", "list")}
    assert [states[key] for key in ids] == ["disabled"] * 100 + ["active"] * 5


@pytest.mark.parametrize("command", ["rotate", "revoke"])
def test_a_key_from_standard_input_stands_alone(hourpass, command):
    key = hourpass.create_key()

    result = hourpass("keys", command, key["key_id"], "-", input=key["api_key"], code=2)

    assert "stands alone" in result.stderr
    assert hourpass.json("keys", "list")[0]["state"] == "active"
