"""A grant outside its refreshes: opening, revoking, pruning, the cap, and the tag that binds a token to its row."""

import pytest
from tests.core.test_api_key import stored_key

from hourpass.core.grant import generation_tag, is_live, keys_of_grant, new_grant_id, open_grant, revoke, state_of
from hourpass.core.grant_life import ended_at
from hourpass.core.grant_room import REVOKED_KEPT, GrantAge, closing_order, excess_grants, is_prunable
from hourpass.core.policy import DAY, HOUR, Policy

START = 1_800_000_000_000
POLICY = Policy(idle_lifetime=30 * DAY, absolute_lifetime=90 * DAY)


@pytest.fixture
def grant():
    return open_grant(grant_id=b"g" * 16, seed=b"s" * 16, key_id="key", scope="a b", now=START, policy=POLICY)


def test_an_exchange_opens_generation_0_with_both_expiries(grant):
    assert grant.generation == 0
    assert grant.superseded == ()
    assert (grant.created_at, grant.idle_expires_at, grant.expires_at) == (START, START + 30 * DAY, START + 90 * DAY)
    assert (grant.revoked_at, grant.revoked_why) == (None, None)


def test_a_grant_is_found_by_its_key_and_its_id(grant):
    assert grant.ref == ("key", b"g" * 16)


def test_a_grant_is_never_idle_longer_than_it_may_live():
    policy = Policy(idle_lifetime=30 * DAY, absolute_lifetime=DAY)
    grant = open_grant(grant_id=b"g" * 16, seed=b"s" * 16, key_id="key", scope=None, now=START, policy=policy)

    assert grant.idle_expires_at == grant.expires_at == START + DAY


def test_a_grant_does_not_show_its_seed(grant):
    assert repr(b"s" * 16) not in repr(grant)
    assert (b"s" * 16).hex() not in repr(grant)
    assert (b"g" * 16).hex() in repr(grant)


def test_the_first_decision_to_revoke_stands(grant):
    revoked = revoke(grant, START + 1, "replayed")

    assert (revoked.revoked_at, revoked.revoked_why) == (START + 1, "replayed")
    assert revoke(revoked, START + 2, "revoked") == revoked


def test_a_generation_s_tag_is_keyed_by_the_seed():
    """A known answer (BLAKE2b, computed with OpenSSL): a change would end every refresh token in the world."""
    assert generation_tag(bytes(range(16)), 1).hex() == "14001822c19f9ca338643be4077fee19"
    assert generation_tag(b"s" * 16, 1) != generation_tag(b"t" * 16, 1)


def test_no_two_generations_share_a_tag():
    generations = [0, 1, 2, 255, 256, 65_536, 2**63 - 1]

    assert len({generation_tag(b"s" * 16, generation) for generation in generations}) == len(generations)


@pytest.mark.parametrize("expiry", ["idle_expires_at", "expires_at"])
def test_a_grant_is_live_until_a_millisecond_before_its_expiry(grant, expiry):
    ending = grant._replace(**{expiry: START + HOUR})

    assert is_live(ending, START + HOUR - 1)
    assert not is_live(ending, START + HOUR)


def test_a_revoked_grant_is_not_live(grant):
    assert not is_live(revoke(grant, START, "revoked"), START)


@pytest.mark.parametrize(
    ("idle", "absolute", "revoked", "prunable"),
    [
        (1, 1, None, False),
        (0, 1, None, True),
        (1, 0, None, True),
        (1, 1, -REVOKED_KEPT + 1, False),
        (1, 1, -REVOKED_KEPT, True),
        (0, 1, 0, True),
    ],
    ids=["alive", "idle-expired", "expired", "revoked-within-a-day", "revoked-a-day-ago", "revoked-and-expired"],
)
def test_a_row_is_prunable_once_it_says_nothing_any_more(idle, absolute, revoked, prunable):
    revoked_at = None if revoked is None else START + revoked

    assert is_prunable(START + idle, START + absolute, revoked_at, START) is prunable


@pytest.mark.parametrize(
    ("live", "cap", "excess"),
    [(0, 1, 0), (1, 1, 0), (2, 1, 1), (99, 99, 0), (100, 99, 1), (100, 100, 0), (101, 100, 2), (10_001, 10_000, 101)],
)
def test_over_the_cap_a_hundredth_more_than_the_excess_is_closed(live, cap, excess):
    assert excess_grants(live, Policy(grants_per_key=cap)) == excess


def test_never_refreshed_grants_close_first_then_the_least_recently_refreshed():
    ages = [
        GrantAge(b"refreshed last", 1, START + 9, created_at=START),
        GrantAge(b"new", 0, START + 3, created_at=START + 3),
        GrantAge(b"refreshed first", 7, START + 8, created_at=START + 1),
        GrantAge(b"old", 0, START + 5, created_at=START + 2),
    ]
    order = [b"old", b"new", b"refreshed first", b"refreshed last"]

    assert closing_order(ages, 4) == order
    assert closing_order(ages, 3) == order[:3]
    assert closing_order(ages, 0) == []


def test_grants_refreshed_in_the_same_millisecond_close_in_the_order_of_their_opening():
    ages = [GrantAge(b"second", 1, START, created_at=2), GrantAge(b"first", 1, START, created_at=1)]

    assert closing_order(ages, 2) == [b"first", b"second"]


def test_grants_opened_later_sort_later_and_differ_within_a_millisecond():
    """RFC 9562 §5.7: big-endian milliseconds first, so that byte order is the order of time."""
    early, late = new_grant_id(START, b"\xff" * 7, "key1"), new_grant_id(START + 1, b"\x00" * 7, "key1")
    assert early < late
    assert len(early) == 16
    assert new_grant_id(START, b"\x00" * 7, "key1") != early


@pytest.mark.parametrize("entropy", [6, 8])
def test_a_grant_id_is_made_from_exactly_seven_random_bytes(entropy):
    with pytest.raises(ValueError, match="7 random bytes"):
        new_grant_id(START, b"\x00" * entropy, "key1")


@pytest.mark.parametrize("key_id", ["zzzzzzzzzzzz", "000000000000", "AbC123456789"])
def test_a_grant_id_tells_how_the_id_of_its_key_begins(key_id):
    first, last = keys_of_grant(new_grant_id(START, b"\xff" * 7, key_id)) or ("", "")

    assert first == key_id[:3]
    assert first <= key_id <= last


@pytest.mark.parametrize(
    "grant_id", [b"", bytes(16), b"\xff" * 16, b"012345" + "ab\u00e9".encode("latin-1") + bytes(7)]
)
def test_an_id_that_is_not_made_like_this_tells_nothing_of_its_key(grant_id):
    """No database is asked for a key's id that it could not even read."""
    assert keys_of_grant(grant_id) is None


@pytest.mark.parametrize(
    ("key", "after", "state", "ended"),
    [
        (stored_key(), 0, "live", None),
        (stored_key(expires_at=START + DAY), DAY - 1, "live", None),
        (stored_key(expires_at=START + DAY), DAY, "ended", DAY),
        (stored_key(expires_at=START + DAY, revoked_at=START + 2), DAY, "ended", 2),
        (stored_key(revoked_at=START), 0, "ended", 0),
        (None, 0, "ended", None),
        (stored_key(), 30 * DAY - 1, "live", None),
        (stored_key(), 30 * DAY, "expired", 30 * DAY),
        (stored_key(revoked_at=START), 30 * DAY, "expired", 0),
        (stored_key(disabled_at=START), 0, "disabled", None),
        (stored_key(disabled_at=START, revoked_at=START), 0, "ended", 0),
        (stored_key(valid_from=START), 0, "live", None),
        (stored_key(valid_from=START + 1), 1, "ended", 1),
    ],
)
def test_a_grant_ends_with_its_key_or_expires_by_itself(grant, key, after, state, ended):
    assert state_of(grant, key, START + after) == state
    assert ended_at(grant, key, START + after) == (None if ended is None else START + ended)


@pytest.mark.parametrize("why", ["replayed", "revoked", "token_revoked", "restored"])
def test_a_revoked_grant_says_why_even_if_its_key_ends(grant, why):
    revoked = revoke(grant, START, why)
    assert state_of(revoked, None, START + 90 * DAY) == why
    assert ended_at(revoked, stored_key(revoked_at=START - 1), START + 90 * DAY) == START


@pytest.mark.parametrize(("since", "state"), [(START, "live"), (START + 1, "ended")])
def test_a_grant_ends_with_the_secret_of_its_refresh_token(grant, since, state):
    assert state_of(grant, stored_key(), START, refresh_since=since) == state
