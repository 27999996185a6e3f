"""Which keys a filter takes: conditions combine with AND, and one that is not set takes every key."""

import pytest
from tests.core.test_api_key import START, stored_key

from hourpass.core.api_key import KeySecret, key_state
from hourpass.core.key_filter import KeyFilter
from hourpass.core.last_use import LastUse

KEYS = {
    "plain": stored_key(),
    "tagged": stored_key(tags=(("team", "a"), ("cost", "1")), subject="bob"),
    "imported": stored_key(external_id="42"),
    "soon": stored_key(expires_at=START + 9),
    "at the end": stored_key(expires_at=START + 10),
    "disabled": stored_key(disabled_at=START, expires_at=START + 9),
    "expired": stored_key(expires_at=START),
    "revoked": stored_key(revoked_at=START, expires_at=START + 9),
    "owner": stored_key(admin="owner"),
    "auditor": stored_key(admin="auditor"),
}


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        (KeyFilter(), set(KEYS)),
        (KeyFilter(state="active"), {"plain", "tagged", "imported", "soon", "at the end", "owner", "auditor"}),
        (KeyFilter(state="disabled"), {"disabled"}),
        (KeyFilter(state="expired"), {"expired"}),
        (KeyFilter(state="revoked"), {"revoked"}),
        (KeyFilter(subject="bob"), {"tagged"}),
        (KeyFilter(external_id="42"), {"imported"}),
        (KeyFilter(tags=(("team", "a"),)), {"tagged"}),
        (KeyFilter(tags=(("team", "a"), ("cost", "2"))), set()),
        (KeyFilter(text="BO"), {"tagged"}),
        (KeyFilter(text="42"), {"imported"}),
        (KeyFilter(text="nobody's"), set()),
        (KeyFilter(subject_prefix="bo"), {"tagged"}),
        (KeyFilter(subject_prefix="Bo"), set()),
        (KeyFilter(admin="any"), {"owner", "auditor"}),
        (KeyFilter(admin="owner"), {"owner"}),
        (KeyFilter(admin="operator"), set()),
        (KeyFilter(expires_before=START + 10), {"soon", "disabled"}),
        (KeyFilter(expires_before=START + 10, state="active"), {"soon"}),
    ],
)
def test_a_filter_takes_those_that_fulfil_every_condition(wanted, taken):
    assert {name for name, key in KEYS.items() if wanted.takes(key, START, {})} == taken


def test_a_key_has_one_state():
    states = {name: key_state(key, START) for name, key in KEYS.items()}

    assert states["plain"] == "active"
    assert (states["disabled"], states["expired"], states["revoked"]) == ("disabled", "expired", "revoked")


@pytest.mark.parametrize(
    ("ended", "taken"),
    [({}, True), ({"revoked_at": START}, False), ({"expires_at": START}, False), ({"disabled_at": START}, True)],
)
def test_a_key_waits_for_its_holder_until_the_next_secret_is_used_or_the_key_has_ended(ended, taken):
    first, second = KeySecret(b"1", 0, START), KeySecret(b"2", 1, START, seed=b"s")
    filter_ = KeyFilter(next_secret_waits=True)

    assert filter_.takes(stored_key(secrets=(first, second), **ended), START, {}) is taken
    assert not filter_.takes(stored_key(secrets=(first._replace(ends_at=START), second), **ended), START, {})
    assert not filter_.takes(stored_key(secrets=(first,), **ended), START, {})


USES = {
    "never": {},
    "raw": {"raw": LastUse(START + 10, None)},
    "raw before": {"raw": LastUse(START + 9, None), "refreshed": LastUse(START + 20, None)},
    "refreshed": {"refreshed": LastUse(START + 10, None), "exchanged": LastUse(START, None)},
}


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        (KeyFilter(raw_since=START + 10), {"raw"}),
        (KeyFilter(raw_since=START + 9), {"raw", "raw before"}),
        (KeyFilter(raw_since=START + 11), set()),
        (KeyFilter(unused_since=START), set()),
        (KeyFilter(unused_since=START + 1), {"never"}),
        (KeyFilter(unused_since=START + 10), {"never"}),
        (KeyFilter(unused_since=START + 11), {"never", "raw", "refreshed"}),
        (KeyFilter(raw_since=START + 9, unused_since=START + 11), {"raw"}),
        (KeyFilter(raw_since=START + 9, subject="nobody"), set()),
    ],
)
def test_a_filter_judges_the_last_uses_and_takes_the_record_for_a_key_never_used(wanted, taken):
    assert {name for name, uses in USES.items() if wanted.takes(stored_key(), START + 30, uses)} == taken
