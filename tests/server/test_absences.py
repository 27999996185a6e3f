"""When a node did not see the database: noticed by the timer, told in the instants of the clock, bounded in number."""

import pytest

from hourpass.core.absence import MAX_ABSENCE, Absence
from hourpass.core.policy import MAX_RETRY_WINDOW
from hourpass.server.ledger.absences import BEFORE, REMEMBERED, UNSEEN, Absences
from hourpass.testing import START, Clock


class Node:
    def __init__(self) -> None:
        self.clock, self.timer = Clock(START), Clock(1_000)
        self.absences = Absences(self.clock, self.timer)

    def passes(self, milliseconds: int) -> None:
        self.clock.now += milliseconds
        self.timer.now += milliseconds

    def sees(self) -> None:
        self.absences.seen(self.timer())

    @property
    def known(self) -> tuple[Absence, ...]:
        return self.absences.at(self.clock())


@pytest.fixture
def node():
    return Node()


@pytest.mark.parametrize(("unseen", "away"), [(UNSEEN, False), (UNSEEN + 1, True)])
def test_an_absence_is_known_while_it_lasts(node, unseen, away):
    """A request may be judged before the first look after it."""
    node.passes(unseen)

    assert node.known == ((Absence(START - BEFORE, START + unseen),) if away else ())


def test_it_is_remembered_once_the_database_is_seen_again(node):
    node.passes(20_000)
    node.sees()
    node.passes(1_000)

    assert node.known == (Absence(START - BEFORE, START + 20_000),)


def test_a_look_that_was_answered_late_is_as_old_as_its_question(node):
    asked = node.timer()
    node.passes(20_000)
    node.absences.seen(asked)

    assert node.known == (Absence(START - BEFORE, START + 20_000),)


def test_looks_in_time_leave_nothing(node):
    for _ in range(100):
        node.passes(250)
        node.sees()

    assert node.known == ()


def test_absences_that_touch_become_one(node):
    for _ in range(3):
        node.passes(20_000)
        node.sees()
        node.passes(100)

    assert node.known == (Absence(START - BEFORE, START + 60_200),)


def test_they_are_forgotten_when_they_can_change_no_decision(node):
    node.passes(20_000)
    node.sees()
    for _ in range((MAX_RETRY_WINDOW + MAX_ABSENCE) // 1_000 + 1):
        node.passes(1_000)
        node.sees()

    assert node.known == ()


def test_a_clock_that_is_set_forward_makes_no_retry_late(node):
    node.clock.now += 3_000
    node.absences.jumped(3_000)

    assert node.known == (Absence(START - MAX_RETRY_WINDOW, START + 3_000),)


def test_setting_a_clock_a_little_or_back_makes_no_absence(node):
    node.absences.jumped(UNSEEN)
    node.absences.jumped(-3_600_000)

    assert node.known == ()


def test_so_many_are_remembered_and_no_more(node):
    for _ in range(2 * REMEMBERED):
        node.clock.now += UNSEEN + 1
        node.absences.jumped(UNSEEN + 1)

    assert len(node.known) <= REMEMBERED
