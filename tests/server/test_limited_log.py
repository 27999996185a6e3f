"""How often trouble is told: its beginning, a count each minute, its end, each to the moment."""

import logging
from types import SimpleNamespace

import pytest

from hourpass.server.clock.clocks import OFFSET_NOTED, NodeClock
from hourpass.server.clock.timekeeping import Timekeeper
from hourpass.server.telemetry.limited_log import EVERY, KINDS, SETTLED, LimitedLog


class Told:
    """A limited log whose clock is `now`, and what it wrote since the last look."""

    def __init__(self):
        self.now = 1_000.0
        logger = logging.getLogger("hourpass.told")
        logger.handlers, logger.propagate = [self], False
        logger.setLevel(logging.INFO)
        self.level = logging.NOTSET
        self._records = []
        self.log = LimitedLog(logger, lambda: self.now)

    def handle(self, record):
        self._records.append(record)

    def records(self):
        records, self._records = self._records, []
        return records

    def lines(self):
        """Each line as its event, and its count if it has one."""
        return [(record.getMessage(), getattr(record, "times", None)) for record in self.records()]


@pytest.fixture
def told():
    return Told()


def test_trouble_is_told_when_it_begins(told):
    told.log.trouble("unavailable", path="/auth/refresh")

    (record,) = told.records()
    assert (record.levelno, record.getMessage(), record.path) == (logging.WARNING, "unavailable", "/auth/refresh")


def test_it_is_told_again_after_exactly_a_minute_with_the_count_since_and_the_latest_details(told):
    told.log.trouble("unavailable", path="/first")
    told.now += EVERY - 0.001
    for number in range(999):
        told.log.trouble("unavailable", path=f"/{number}")
    assert told.lines() == [("unavailable", None)]

    told.now += 0.001
    told.log.trouble("unavailable", path="/latest")

    (record,) = told.records()
    assert (record.times, record.path) == (1_000, "/latest")


def test_the_count_is_told_although_nothing_more_comes(told):
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        told.log.trouble("connection refused", "garbage", address=address)
    told.records()

    told.now += EVERY - 0.001
    told.log.look()
    assert told.lines() == []
    told.now += 0.001
    told.log.look()

    (record,) = told.records()
    assert (record.kind, record.times, record.address) == ("garbage", 2, "192.0.2.3")


def test_kinds_are_told_apart(told):
    for kind in ("garbage", "slow", "garbage"):
        told.log.trouble("connection refused", kind)

    assert [record.kind for record in told.records()] == ["garbage", "slow"]


def test_the_end_is_told_once_with_the_whole_count_and_how_long_it_lasted(told):
    for _ in range(98):
        told.log.trouble("unavailable")
        told.now += 0.125
    told.now += SETTLED
    told.records()

    for _ in range(3):
        told.log.over("unavailable", "storage recovered")

    (record,) = told.records()
    assert (record.levelno, record.getMessage(), record.times) == (logging.INFO, "storage recovered", 98)
    assert record.seconds == round(97 * 0.125, 1)


def test_trouble_is_under_way_until_it_is_over(told):
    assert not told.log.is_under_way("unavailable")

    told.log.trouble("unavailable")
    assert told.log.is_under_way("unavailable")
    told.now += SETTLED
    told.log.over("unavailable", "storage recovered")

    assert not told.log.is_under_way("unavailable")


def test_a_success_soon_after_a_failure_is_not_the_end(told):
    told.log.trouble("unavailable")
    told.records()

    told.now += SETTLED - 0.001
    told.log.over("unavailable", "storage recovered")
    assert told.lines() == []
    told.now += 0.001
    told.log.over("unavailable", "storage recovered")

    assert told.lines() == [("storage recovered", 1)]


def test_without_trouble_nothing_ends(told):
    told.log.over("unavailable", "storage recovered")
    told.log.trouble("unavailable", "other")
    told.now += SETTLED
    told.log.over("unavailable", "storage recovered", "none of this kind")

    assert told.lines() == [("unavailable", None)]


def test_trouble_that_comes_and_goes_writes_a_beginning_and_an_end_a_minute(told):
    for _ in range(100):
        told.log.trouble("unavailable")
        told.now += SETTLED
        told.log.over("unavailable", "storage recovered")
        told.log.look()

    lines = told.lines()
    assert len(lines) <= 2 * (100 * SETTLED / EVERY + 1)
    assert lines[:3] == [("unavailable", None), ("storage recovered", 1), ("unavailable", 19)]


def test_trouble_that_came_and_went_between_two_lines_is_told_as_over(told):
    for _ in range(2):
        told.log.trouble("unavailable")
        told.now += SETTLED
        told.log.over("unavailable", "storage recovered")
    told.records()

    told.now += EVERY
    told.log.look()

    (record,) = told.records()
    assert (record.getMessage(), record.over) == ("unavailable", True)


def test_trouble_without_a_known_end_is_over_after_a_quiet_minute(told):
    told.log.trouble("connection refused", "garbage")
    told.log.trouble("connection refused", "garbage")
    told.now += EVERY
    told.log.look()
    told.records()

    for _ in range(3):
        told.now += EVERY
        told.log.look()

    assert told.lines() == [("over: connection refused", 2)]


def test_trouble_that_happened_once_has_one_line(told):
    told.log.trouble("connection refused", "garbage")
    for _ in range(3):
        told.now += EVERY
        told.log.look()

    assert told.lines() == [("connection refused", None)]


def test_after_its_end_it_may_begin_again_at_once_if_the_last_line_is_a_minute_old(told):
    told.log.trouble("unavailable")
    told.now += EVERY
    told.log.over("unavailable", "storage recovered")
    told.records()

    told.log.trouble("unavailable")

    assert told.lines() == [("unavailable", None)]


def test_kinds_are_bounded_in_number(told):
    for number in range(10 * KINDS):
        told.log.trouble("connection refused", f"kind {number}")

    assert len(told.lines()) == KINDS + 1

    told.now += EVERY
    told.log.look()
    assert told.lines() == [("other trouble", 9 * KINDS - 1)]


def test_an_error_is_told_with_its_traceback_and_each_place_that_raises_is_a_kind(told):
    def one():
        raise KeyError("one")

    def two():
        raise KeyError("two")

    for fail in (one, one, two, two, one):
        try:
            fail()
        except KeyError as error:
            told.log.trouble("failed", level=logging.ERROR, error=error)

    first, second = told.records()
    assert first.kind != second.kind
    assert first.kind.startswith("KeyError at test_limited_log.py:")
    assert [str(record.exc_info[1]) for record in (first, second)] == ["'one'", "'two'"]
    assert first.levelno == logging.ERROR


def test_a_clock_that_trembles_around_its_limit_is_told_once_a_minute(told):
    machine = {"wall": 0, "timer": 0}
    clock = NodeClock(lambda: machine["wall"], lambda: machine["timer"])
    keeper = Timekeeper(clock, 60_000, told.log, shared=True)
    for second in range(60):
        told.now, machine["timer"] = 1_000.0 + second, 1_000 * second
        machine["wall"] = 1_000 * second + OFFSET_NOTED + (1 if second % 2 else -1)
        keeper.begin(SimpleNamespace(time=lambda: machine["timer"]))

    assert told.lines() == [("the clock is wrong", None)]


def test_a_clock_that_is_right_again_is_told(told):
    machine = {"wall": 3_000}
    clock = NodeClock(lambda: machine["wall"], lambda: 0)
    keeper = Timekeeper(clock, 60_000, told.log, shared=True)
    keeper.begin(SimpleNamespace(time=lambda: 0))
    machine["wall"] = 0
    told.now += SETTLED
    keeper.begin(SimpleNamespace(time=lambda: 0))

    assert told.lines() == [("the clock is wrong", None), ("the clock agrees with the database's again", 1)]
