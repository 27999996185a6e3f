"""The node's clock: moved by a timer that nobody can set, set by the database's, to the millisecond."""

import pytest

from hourpass.clocks import boot_clock
from hourpass.server.clock.clocks import HELD, NodeClock
from hourpass.testing import START, Clock


class Machine:
    """A machine whose two clocks stand still until time passes. A test may set each wrong."""

    def __init__(self) -> None:
        self.wall = Clock(START)
        self.timer = Clock(1_000)
        self.database = Clock(START)
        self.clock = NodeClock(self.wall, self.timer)

    def passes(self, milliseconds: int) -> None:
        for each in (self.wall, self.timer, self.database):
            each.now += milliseconds

    def compare(self, took: int = 0):
        """Ask the database, which answers in the middle."""
        asked = self.timer()
        self.passes(took // 2)
        theirs = self.database()
        self.passes(took - took // 2)
        return self.clock.compare(asked, self.timer(), theirs)


@pytest.fixture
def machine():
    return Machine()


def test_it_starts_with_the_machine_s_clock_and_goes_on_by_the_timer(machine):
    machine.timer.now += 5_000

    assert machine.clock() == START + 5_000


@pytest.mark.parametrize("by", [-3_600_000, -1, 1, 172_800_000])
def test_setting_the_machine_s_clock_moves_nothing(machine, by):
    machine.compare()
    machine.wall.now += by

    assert machine.clock() == START


@pytest.mark.parametrize("skew", [-300_000, -30_000, -1, 1, 30_000, 300_000])
def test_the_first_comparison_sets_it_by_the_database_in_either_direction(machine, skew):
    machine.database.now += skew

    assert machine.compare() == (skew, -skew)
    assert machine.clock() == START + skew
    assert machine.clock.offset == -skew


@pytest.mark.parametrize("skew", [-30_000, 30_000])
def test_two_nodes_agree_although_their_machines_do_not(skew):
    nodes = Machine(), Machine()
    nodes[0].wall.now += skew
    nodes[0].clock = NodeClock(nodes[0].wall, nodes[0].timer)
    for node in nodes:
        node.compare()

    assert nodes[0].clock() == nodes[1].clock()


def test_a_clock_that_may_be_right_is_left_alone(machine):
    """The answer took 400 ms, so the database's clock may be half of that away from what it seems."""
    machine.database.now += 200

    assert machine.compare(took=400) == (0, 0)


def test_an_offset_beyond_the_round_trip_is_corrected_by_the_certain_part(machine):
    machine.database.now += 201

    assert machine.compare(took=400) == (1, -1)


def test_a_small_step_back_is_waited_for(machine):
    machine.compare()
    machine.database.now -= HELD
    machine.compare()

    assert machine.clock() == START
    machine.passes(HELD)
    assert machine.clock() == START
    machine.passes(1)
    assert machine.clock() == START + 1


def test_a_larger_step_back_is_followed_at_once(machine):
    machine.compare()
    machine.database.now -= HELD + 1
    machine.compare()

    assert machine.clock() == START - HELD - 1


def test_a_step_back_after_one_that_is_waited_for_is_waited_for_as_well(machine):
    machine.compare()
    for _ in range(2):
        machine.database.now -= HELD
        machine.compare()

    assert machine.clock() == START


def test_the_timer_never_goes_back():
    instants = [boot_clock() for _ in range(1_000)]

    assert instants == sorted(instants)
