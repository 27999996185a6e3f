"""When the trail tells that a key expires."""

import pytest

from hourpass.core.key_events import KeyExpired, KeyExpiring
from hourpass.core.key_expiry import LAST, KeyExpiry, first_worth_telling, notice, told_until
from hourpass.core.policy import DAY

NOW = 1_800_000_000_000


@pytest.mark.parametrize(("days", "after"), [(30, 7), (7, 1), (1, 0)])
def test_after_a_pause_a_key_gets_only_the_notice_that_is_the_nearest(days, after):
    assert first_worth_telling(days, KeyExpiry(0, ""), NOW) == told_until(after, NOW)


@pytest.mark.parametrize("days", [30, 7, 1, 0])
def test_notices_go_on_where_they_ended(days):
    told = KeyExpiry(NOW + days * DAY - 1, LAST)

    assert first_worth_telling(days, told, NOW) == told


def test_the_end_itself_is_told_however_long_ago_it_was():
    assert first_worth_telling(0, KeyExpiry(0, ""), NOW) == KeyExpiry(0, "")


def test_the_last_notice_is_the_end():
    assert notice(7, KeyExpiry(NOW, "key1"), "x") == KeyExpiring("key1", "x", 7, NOW)
    assert notice(0, KeyExpiry(NOW, "key1"), "x") == KeyExpired("key1", "x", NOW)
