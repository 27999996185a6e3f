"""What a client repeats gets 60 lines for each key, event and hour, and then a count when the hour is over."""

import pytest

from hourpass.core.actor import SERVER, Actor
from hourpass.core.audit import Folded
from hourpass.core.audit_folding import LINES_AN_HOUR, Folding, lines_an_hour
from hourpass.core.grant_events import GrantReplayed, GrantsClosed, RefreshAhead, TokenRevoked, TokensRevoked
from hourpass.core.key_events import KeyRevoked, KeyRevokedUsed, KeyRotatedUsed
from hourpass.core.policy import HOUR
from hourpass.core.server_events import StorageTrouble

START = 1_800_000_000_000
CLIENT = Actor("client", "192.0.2.1")


def replay(key_id: str = "key1") -> GrantReplayed:
    return GrantReplayed("aa", key_id, 1, 2, CLIENT)


@pytest.fixture
def folding():
    return Folding()


def lines(folding: Folding, *events, at: int = START) -> list[bool]:
    return [(one := folding.admit(at, event)) is None or one.line for event in events]


def test_sixty_have_a_line_each_and_the_rest_is_one_count_when_the_hour_is_over(folding):
    assert lines(folding, *[replay()] * 100) == [True] * 60 + [False] * 40

    assert folding.counts(START + HOUR - 1) == []
    assert folding.counts(START + HOUR) == [Folded("key1", "grant.replayed", 40, START)]


def test_exactly_sixty_leave_no_count(folding):
    assert all(lines(folding, *[replay()] * LINES_AN_HOUR))

    assert folding.counts(START + HOUR) == []


def test_the_hour_begins_with_the_first_and_the_next_one_begins_where_it_ends(folding):
    lines(folding, *[replay()] * 61)

    assert lines(folding, replay(), at=START + HOUR - 1) == [False]
    assert lines(folding, *[replay()] * 61, at=START + HOUR) == [True] * 60 + [False]
    assert folding.counts(START + HOUR) == [Folded("key1", "grant.replayed", 2, START)]


def test_each_key_and_each_event_has_its_own_hour(folding):
    lines(folding, *[replay()] * 61)

    assert lines(folding, replay("key2"), RefreshAhead("aa", "key1", 1, 2, CLIENT)) == [True, True]


@pytest.mark.parametrize(
    "event",
    [
        KeyRevoked("key1", "revoked", Actor("cli:ada@desk")),
        KeyRevoked("key1", "revoked", Actor("key:admin0000001", "192.0.2.1", "r1")),
        TokensRevoked(1_800_000_000, Actor("cli:ada@desk")),
        Folded("key1", "grant.replayed", 1, START),
        GrantsClosed("key1", 7, SERVER),
    ],
)
def test_what_an_operator_decides_or_the_server_says_by_itself_always_has_its_line(folding, event):
    assert lines_an_hour(event) is None
    assert all(lines(folding, *[event] * 1_000))


@pytest.mark.parametrize(
    "event",
    [
        replay(),
        KeyRotatedUsed("key1", 0, CLIENT),
        KeyRevokedUsed("key1", 0, "leaked", CLIENT),
        TokenRevoked("jti", "aa", "key1", CLIENT),
        StorageTrouble(),
    ],
)
def test_what_a_client_causes_is_folded(event):
    assert lines_an_hour(event) == LINES_AN_HOUR


def test_closed_grants_have_one_line_an_hour_with_their_sum(folding):
    closed = GrantsClosed("key1", 5, CLIENT)
    told = []
    for minute in range(0, 240, 10):
        now = START + minute * 60_000
        counts = folding.counts(now)
        folding.wrote(counts)
        told += [(minute, each.closed) for each in counts]
        told += [(minute, 5) for line in lines(folding, closed, at=now) if line]

    assert told == [(0, 5), (60, 25), (120, 30), (180, 30)]


def test_closed_grants_that_stop_have_a_line_again_after_an_hour_of_silence(folding):
    closed = GrantsClosed("key1", 5, CLIENT)
    assert lines(folding, closed, closed) == [True, False]
    folding.wrote(folding.counts(START + HOUR))

    assert lines(folding, closed, at=START + 2 * HOUR - 1) == [False]
    folding.wrote(folding.counts(START + 2 * HOUR))
    assert folding.counts(START + 3 * HOUR) == []
    assert lines(folding, closed, at=START + 3 * HOUR) == [True]


def test_an_event_whose_transaction_failed_takes_no_place(folding):
    for _ in range(1_000):
        folding.take_back(folding.admit(START, replay()))

    assert lines(folding, *[replay()] * 61) == [True] * 60 + [False]
    folding.take_back(folding.admit(START, replay()))
    assert folding.counts(START + HOUR) == [Folded("key1", "grant.replayed", 1, START)]


def test_counts_come_again_until_they_are_kept(folding):
    lines(folding, *[replay()] * 61)

    first = folding.counts(START + HOUR)
    assert folding.counts(START + HOUR) == first
    folding.wrote(first)

    assert folding.counts(START + HOUR) == []


def test_a_process_that_ends_tells_the_counts_of_hours_that_are_not_over(folding):
    lines(folding, *[replay()] * 61)

    assert folding.counts(START, leaving=True) == [Folded("key1", "grant.replayed", 1, START)]


def test_a_clock_that_was_set_back_ends_the_hour(folding):
    lines(folding, *[replay()] * 61)

    assert lines(folding, replay(), at=START - 1) == [False]
    assert lines(folding, replay(), at=START - HOUR) == [True]


def test_many_keys_take_bounded_memory_and_no_count_is_lost():
    folding = Folding(kept=10)
    for number in range(1_000):
        lines(folding, *[replay(f"key{number}")] * 61)
        assert len(folding._hours) <= 10

    counts = folding.counts(START + HOUR)

    assert {each.key_id: each.times for each in counts} == {f"key{number}": 1 for number in range(1_000)}
