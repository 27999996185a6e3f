"""Which keys a filter takes: conditions combine with AND, and one that is not set takes every key."""

import pytest
from tests.core.test_api_key import START, stored_key

from hourpass.core.api_key import key_state
from hourpass.core.key_filter import KeyFilter

KEYS = {
    "plain": stored_key(),
    "tagged": stored_key(tags=(("team", "a"), ("cost", "1")), subject="bob"),
    "soon": stored_key(expires_at=START + 9),
    "at the end": stored_key(expires_at=START + 10),
    "disabled": stored_key(disabled_at=START, expires_at=START + 9),
    "expired": stored_key(expires_at=START),
    "revoked": stored_key(revoked_at=START, expires_at=START + 9),
}


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        (KeyFilter(), set(KEYS)),
        (KeyFilter(state="active"), {"plain", "tagged", "soon", "at the end"}),
        (KeyFilter(state="disabled"), {"disabled"}),
        (KeyFilter(state="expired"), {"expired"}),
        (KeyFilter(state="revoked"), {"revoked"}),
        (KeyFilter(subject="bob"), {"tagged"}),
        (KeyFilter(tags=(("team", "a"),)), {"tagged"}),
        (KeyFilter(tags=(("team", "a"), ("cost", "2"))), set()),
        (KeyFilter(expires_before=START + 10), {"soon", "disabled"}),
        (KeyFilter(expires_before=START + 10, state="active"), {"soon"}),
    ],
)
def test_a_filter_takes_those_that_fulfil_every_condition(wanted, taken):
    assert {name for name, key in KEYS.items() if wanted.takes(key, START)} == taken


def test_a_key_has_one_state():
    states = {name: key_state(key, START) for name, key in KEYS.items()}

    assert states["plain"] == "active"
    assert (states["disabled"], states["expired"], states["revoked"]) == ("disabled", "expired", "revoked")
