"""The worth of a presented refresh token: its tag, its key and the caller's address come before its generation."""

import pytest
from tests.core.test_api_key import stored_key
from tests.core.test_grant import POLICY, START, new_grant, rotated

from hourpass.core.grant import Dead, Replay, Retry, generation_tag, judge, revoke
from hourpass.core.policy import HOUR


def judged(grant, key, address="192.0.2.1", **changes):
    asked = {"generation": 0, "tag": generation_tag(b"s" * 16, 0), "now": START, "policy": POLICY, **changes}
    return judge(grant, key, address=address, **asked)


def test_a_refresh_token_with_another_tag_is_of_no_grant_that_is_known():
    assert judged(new_grant(), stored_key(), tag=bytes(16)) == Dead("unknown")
    assert judged(None, None) == Dead("unknown")


def test_without_its_key_a_grant_is_over():
    assert judged(new_grant(), None) == Dead("key_disabled")
    assert judged(new_grant(), stored_key(revoked_at=START)) == Dead("key_disabled")


def test_a_keys_own_window_decides():
    grant = rotated(new_grant(), START)

    assert isinstance(judged(grant, stored_key(retry_window=0)), Replay)
    assert isinstance(judged(grant, stored_key()), Retry)


@pytest.mark.parametrize("generation", [0, 1, 2], ids=["superseded", "current", "ahead"])
@pytest.mark.parametrize("address", ["198.51.100.1", None, ""])
def test_from_a_foreign_address_nothing_is_rotated_replayed_or_told_of(address, generation):
    grant = rotated(new_grant(), START - HOUR)
    tag = generation_tag(grant.seed, generation)
    listed = stored_key(allowed_ips=("192.0.2.0/24",))

    assert judged(grant, listed, address, generation=generation, tag=tag) == Dead("address_not_allowed")
    assert not isinstance(judged(grant, listed, generation=generation, tag=tag), Dead)


@pytest.mark.parametrize("generation", [0, 1, 2], ids=["superseded", "current", "ahead"])
@pytest.mark.parametrize("role", [None, "owner"], ids=["ordinary", "admin"])
def test_each_listener_refreshes_its_own_keys_and_changes_nothing_of_the_others(role, generation):
    grant = rotated(new_grant(), START - HOUR)
    key = stored_key(admin=role)
    asked = {"generation": generation, "tag": generation_tag(grant.seed, generation)}

    assert judged(grant, key, **asked, admin=role is None) == Dead("unknown")
    assert not isinstance(judged(grant, key, **asked, admin=role is not None), Dead)


def test_an_ended_grant_is_over_from_every_address():
    """The client learns that its grant or key has ended, and not that it should go elsewhere."""
    listed = stored_key(allowed_ips=("192.0.2.0/24",))

    assert judged(revoke(new_grant(), START, "revoked"), listed, "198.51.100.1") == Dead("revoked")
    assert judged(new_grant(), listed._replace(revoked_at=START), "198.51.100.1") == Dead("key_disabled")


def rotated_from(address, *more):
    """The grant after a rotation from each address."""
    grant = new_grant()
    for each in (address, *more):
        tag = generation_tag(grant.seed, grant.generation)
        grant = judged(grant, stored_key(), each, generation=grant.generation, tag=tag).grant
    return grant


@pytest.mark.parametrize(
    ("rotated", "retried", "elsewhere"),
    [
        ("192.0.2.1", "192.0.2.1", False),
        ("192.0.2.1", "192.0.2.2", True),
        ("192.0.2.1", "::ffff:192.0.2.1", False),
        ("2001:db8::1", "2001:db8::2", False),
        ("2001:db8::1", "2001:db8:0:1::1", True),
        ("192.0.2.1", "2001:db8::1", True),
        ("192.0.2.1", None, False),
        (None, "192.0.2.1", False),
        ("unix:", "192.0.2.1", False),
    ],
)
def test_a_retry_says_whether_it_came_from_another_address_than_the_rotation(rotated, retried, elsewhere):
    """An IPv6 host changes its address within its /64 all day long."""
    grant = rotated_from(rotated)

    assert judged(grant, stored_key(), retried) == Retry(grant, elsewhere)


def test_the_last_rotation_is_the_one_that_is_remembered():
    grant = rotated_from("192.0.2.1", "198.51.100.1")

    assert judged(grant, stored_key(), "192.0.2.1") == Retry(grant, elsewhere=True)
    assert judged(grant, stored_key(), "198.51.100.1") == Retry(grant, elsewhere=False)
    assert len(grant.last_from) == 4


@pytest.mark.parametrize(("valid_from", "dead"), [(-1, False), (0, False), (1, True)])
def test_a_grant_from_before_its_key_became_valid_is_dead(valid_from, dead):
    grant = rotated_from("192.0.2.1")

    decision = judged(grant, stored_key(valid_from=grant.created_at + valid_from), "192.0.2.1")

    assert (decision == Dead("revoked")) == dead


@pytest.mark.parametrize(
    ("of_grant", "of_key", "more", "dead"),
    [
        (None, "a", (), False),
        ("a", "a", (), False),
        ("b", "a", ("b",), False),
        ("b", "a", (), True),
        ("b", None, (), False),
    ],
)
def test_a_grant_for_an_audience_that_its_key_has_lost_gets_nothing_and_is_not_moved(of_grant, of_key, more, dead):
    """RFC 8707 §2.2. A key that names none is for the server's audience, which is judged when the token is made."""
    grant = new_grant()._replace(audience=of_grant)

    decision = judged(grant, stored_key(audience=of_key, more_audiences=more))

    assert (decision == Dead("invalid_target")) == dead
