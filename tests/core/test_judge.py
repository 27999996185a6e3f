"""What a presented refresh token is worth: its tag, its key and the caller's address come before its generation."""

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


def test_what_is_over_is_over_from_everywhere():
    """The client learns that its grant or key has ended, and not that it should go elsewhere."""
    listed = stored_key(allowed_ips=("192.0.2.0/24",))

    assert judged(revoke(new_grant(), START, "revoked"), listed, "198.51.100.1") == Dead("revoked")
    assert judged(new_grant(), listed._replace(revoked_at=START), "198.51.100.1") == Dead("key_disabled")
