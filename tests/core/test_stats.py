"""What the overview adds up: nothing is counted twice or lost, and a chart has few points."""

import pytest

from hourpass.core.policy import HOUR, MINUTE
from hourpass.core.stats import MAX_HOURS, POINTS, STATS_KEPT, Stats, since, total, window

NOW = 1_800_000_000_000


def test_a_sum_adds_each_number():
    assert total([Stats(exchanges=1, failures=2), Stats(exchanges=3)]) == Stats(exchanges=4, failures=2)
    assert total([]) == Stats()


def test_what_happened_is_the_difference_of_two_looks():
    assert since(Stats(1, 5, 3), Stats(1, 7, 4)) == Stats(0, 2, 1)


@pytest.mark.parametrize("hours", range(1, MAX_HOURS + 1))
def test_a_chart_has_at_most_96_points_and_covers_its_hours(hours):
    first, width, points = window(hours, NOW)

    assert points <= POINTS
    assert width * points >= hours * 60 > width * (points - 1)
    assert first % width == 0
    assert first + width * (points - 1) <= NOW // MINUTE < first + width * points


def test_a_day_has_a_point_for_each_quarter_of_an_hour():
    assert window(24, NOW)[1:] == (15, 96)


def test_the_longest_chart_is_not_longer_than_rows_are_kept():
    assert MAX_HOURS * HOUR == STATS_KEPT


def test_a_minute_is_in_the_same_point_whenever_it_is_asked_for():
    """Or the past would look different after each minute."""
    first, width, points = window(24, NOW)

    later = window(24, NOW + width * MINUTE - NOW // MINUTE % width * MINUTE - 1)

    assert later == (first, width, points)
    assert window(24, NOW + width * MINUTE).first == first + width


def test_a_point_in_which_nothing_happened_is_zero():
    shown = window(1, NOW)
    busy = shown.first + 7

    series = shown.series({busy: Stats(exchanges=3), shown.first - 1: Stats(exchanges=9)})

    assert len(series) == 60
    assert series[7] == (busy, Stats(exchanges=3))
    assert total(stats for _, stats in series) == Stats(exchanges=3)
