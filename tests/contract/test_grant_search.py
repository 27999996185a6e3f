"""Lists of grants: page by page, in any state, and counted as the rule would count them."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contract.conftest import KEY, NOW, make_grant, make_key

from hourpass.core.grant import GrantRef, state_of
from hourpass.server.keys.listing import grants_of_keys, grants_page
from hourpass.server.store.grants import FIRST_GRANT, LAST_GRANT

KEYS = {
    "000000000000": {},
    "AAAAAAAAAAAA": {"revoked_at": NOW},
    "BBBBBBBBBBBB": {"expires_at": NOW},
    "ZZZZZZZZZZZZ": {"disabled_at": NOW},
    "aaaaaaaaaaaa": {"valid_from": NOW},
    "zzzzzzzzzzzz": {"expires_at": NOW + 1, "valid_from": NOW - 1},
}
STATES = ["live", "expired", "ended", "disabled", "replayed", "revoked", "token_revoked", "restored"]

times = st.integers(NOW - 1, NOW + 1)


@st.composite
def grants(draw):
    why = draw(st.none() | st.sampled_from(STATES[4:]))
    return make_grant(
        draw(st.integers(0, 5)),
        key_id=draw(st.sampled_from(list(KEYS))),
        created_at=draw(times),
        idle_expires_at=draw(times),
        expires_at=draw(times),
        revoked_at=None if why is None else NOW,
        revoked_why=why,
    )


def walk(store, *key_ids, pages=grants_page, **asked):
    """All pages, which may be short, and the page sizes."""
    found, after = [], FIRST_GRANT
    while after is not None:
        page = pages(store, NOW, *key_ids, after=after, **asked)
        assert len(page.grants) <= asked["limit"]
        found += page.grants
        after = page.next
    return found


def onward(store, now, key_ids, *, after, **asked):
    """A page of some keys, without those that the pages before it are through with."""
    return grants_of_keys(store, now, [key_id for key_id in key_ids if key_id >= after.key_id], after=after, **asked)


@pytest.fixture
def stocked(store):
    for key_id, members in KEYS.items():
        store.add_key(make_key(key_id, **members))
    store.commit()
    store.begin(wait=True)
    return store


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    found=st.lists(grants(), max_size=12, unique_by=lambda grant: grant.ref),
    limit=st.integers(1, 13),
    distance=st.integers(1, 13),
)
def test_each_state_has_its_grants_with_pages_of_any_size(stocked, found, limit, distance):
    stocked.rollback()
    stocked.begin(wait=True)
    stocked.add_grants(found)
    states = [
        (grant, state_of(grant, make_key(grant.key_id, **KEYS[grant.key_id]), NOW))
        for grant in sorted(found, key=lambda grant: grant.ref)
    ]

    assert walk(stocked, limit=limit, distance=distance) == states
    for state in STATES:
        wanted = [each for each in states if each[1] == state]
        assert walk(stocked, state=state, limit=limit, distance=distance) == wanted
        for key_id in KEYS:
            mine = [each for each in wanted if each[0].key_id == key_id]
            assert walk(stocked, state=state, key_id=key_id, limit=limit, distance=distance) == mine
        some = list(KEYS)[::2]
        theirs = [each for each in wanted if each[0].key_id in some]
        assert walk(stocked, some, pages=onward, state=state, limit=limit, distance=distance) == theirs
    live = [grant.ref for grant, state in states if state == "live"]
    assert stocked.count_grants_in_use(NOW) == len(live)
    middle = GrantRef("BBBBBBBBBBBB", bytes(16))
    assert stocked.count_grants_in_use(NOW, FIRST_GRANT, middle) == sum(ref <= middle for ref in live)
    assert stocked.count_grants_in_use(NOW, middle, LAST_GRANT) == sum(ref > middle for ref in live)


def test_a_page_looks_at_no_more_grants_than_it_may(stocked):
    """So that a state which nothing has costs a bounded time, however many grants there are."""
    stocked.add_grants([make_grant(number) for number in range(10)])

    page = grants_page(stocked, NOW, state="replayed", distance=4)

    assert page == ([], make_grant(3).ref)
    assert grants_page(stocked, NOW, state="replayed", after=page.next, distance=7) == ([], None)


def test_a_page_of_some_keys_looks_at_no_more_grants_of_all_of_them_than_it_may(stocked):
    keys = list(KEYS)[:4]
    stocked.add_grants([make_grant(number, key_id=key_id) for key_id in keys for number in range(3)])

    page = grants_of_keys(stocked, NOW, keys, state="replayed", distance=7)

    assert page == ([], make_grant(0, key_id=keys[2]).ref)
    assert onward(stocked, NOW, keys, state="replayed", after=page.next, distance=6) == ([], None)


def test_which_grant_is_so_many_after_one(stocked):
    stocked.add_grants([make_grant(number) for number in range(3)])

    assert stocked.grant_after(FIRST_GRANT, 1) == make_grant(0).ref
    assert stocked.grant_after(make_grant(0).ref, 2) == make_grant(2).ref
    assert stocked.grant_after(make_grant(0).ref, 3) is None


def test_which_grant_of_a_key_is_so_many_after_one(stocked):
    """The grants of other keys are not even read: a delegated caller asks for each of its keys."""
    stocked.add_grants([make_grant(number) for number in range(3)])
    stocked.add_grants([make_grant(number, key_id="z" * 12) for number in range(3)])

    assert stocked.grant_after(GrantRef(KEY, b""), 3, KEY) == make_grant(2).ref
    assert stocked.grant_after(GrantRef(KEY, b""), 4, KEY) is None
    assert stocked.grant_after(GrantRef(KEY, b""), 4) == make_grant(0, key_id="z" * 12).ref
