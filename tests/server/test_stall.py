"""The first look notices a stall of the loop. Everything that would change something is closed until it runs again."""

import pytest
from tests.contract.conftest import NOW, SqliteInMemory, make_grant, make_key

from hourpass.core.grant import Rotate, generation_tag
from hourpass.core.policy import SECOND, Policy
from hourpass.server.ledger.asking import Refreshing
from hourpass.server.ledger.batch import Settling
from hourpass.server.ledger.stall import CLOSED_FOR, LATE, Stalled, Stalls, stall_limit
from hourpass.server.store import transaction
from hourpass.testing import Clock

BEAT = 250


class Loop:
    """An event loop whose beats come when the test says so."""

    def __init__(self, window: int = 60 * SECOND, waiting: int | None = None) -> None:
        self.timer = Clock(1_000_000)
        self.stalls = Stalls(self.timer, window, None if waiting is None else self.timer() - waiting)

    def runs(self, milliseconds: int) -> None:
        for _ in range(milliseconds // BEAT):
            self.timer.now += BEAT
            self.stalls.beat()

    def stands_still(self, milliseconds: int) -> None:
        self.timer.now += milliseconds

    def is_closed(self):
        try:
            self.stalls.require_awake()
        except Stalled:
            return True
        return False

    def refuses(self, window: int, since: int) -> bool:
        try:
            self.stalls.require_awake_for(window, since)
        except Stalled:
            return True
        return False


@pytest.mark.parametrize(("window", "limit"), [(0, 1), (1, 1), (4, 1), (12, 3), (16, 4), (20, 5), (60, 5), (300, 5)])
def test_a_stall_is_a_quarter_of_the_window_from_one_to_five_seconds(window, limit):
    assert stall_limit(window * SECOND) == limit * SECOND


def test_a_loop_that_runs_is_open():
    loop = Loop()
    loop.runs(60_000)

    assert not loop.is_closed()


@pytest.mark.parametrize("beats_first", [True, False])
@pytest.mark.parametrize(("still", "closed"), [(5_000, False), (5_001, True), (3_600_000, True)])
def test_beyond_the_limit_the_first_look_closes_it(beats_first, still, closed):
    """Of what waits for the loop, nobody knows whether a request or the timer comes first."""
    loop = Loop()
    loop.stands_still(still)
    if beats_first:
        loop.stalls.beat()

    assert loop.is_closed() is closed
    assert loop.stalls.count == closed


@pytest.mark.parametrize(("waited", "closed"), [(5_000, False), (5_001, True)])
def test_requests_that_waited_through_a_late_start_are_closed_out_as_after_a_stall(waited, closed):
    """systemd's socket takes them while the server waits for its database."""
    loop = Loop(waiting=waited)
    assert loop.is_closed() is closed

    loop.stalls.beat()
    loop.runs(CLOSED_FOR)

    assert not loop.is_closed()


def test_a_stall_that_has_just_ended_is_counted_before_the_loop_beats():
    loop = Loop()
    loop.stands_still(5_001)

    assert loop.stalls.noticed(loop.timer()) == 1
    loop.stalls.beat()
    assert loop.stalls.noticed(loop.timer()) == 1


def test_it_opens_once_the_loop_has_run_for_a_second():
    loop = Loop()
    loop.stands_still(75_000)
    loop.stalls.beat()

    loop.runs(CLOSED_FOR - BEAT)
    with pytest.raises(Stalled):
        loop.stalls.require_awake()
    loop.runs(BEAT)
    loop.stalls.require_awake()


def test_it_stays_closed_while_it_works_off_the_waiting_requests():
    """Two thousand connections wait in the backlog: each turn of the loop is long."""
    loop = Loop()
    loop.stands_still(75_000)
    for _ in range(10):
        loop.stands_still(LATE + 1)
        assert loop.is_closed()
        loop.stalls.beat()

    loop.runs(CLOSED_FOR)
    assert not loop.is_closed()
    assert loop.stalls.count == 1


def test_an_open_loop_may_be_late():
    loop = Loop()
    loop.stands_still(4_999)

    assert not loop.is_closed()


WINDOWS = pytest.mark.parametrize(("window", "limit"), [(0, 1_000), (8, 2_000), (300, 5_000)])


@WINDOWS
def test_after_the_loop_stood_still_a_key_with_a_shorter_window_waits_for_a_second_and_nobody_else_does(window, limit):
    loop = Loop()
    for still, refused in ((limit, False), (limit + 1, True)):
        loop.stands_still(still)
        assert loop.is_closed() is (still > 5_000)
        loop.stalls.beat()

        assert loop.refuses(window * SECOND, loop.timer()) is refused
        loop.runs(CLOSED_FOR)
        assert not loop.refuses(window * SECOND, loop.timer())


@WINDOWS
def test_a_request_that_was_read_long_ago_is_refused_sooner_if_its_key_has_a_shorter_window(window, limit):
    loop = Loop()
    loop.runs(limit)

    assert not loop.refuses(window * SECOND, loop.timer() - limit)
    assert loop.refuses(window * SECOND, loop.timer() - limit - 1)


def test_a_key_with_a_shorter_window_lowers_nothing_for_the_others_in_its_batch(tmp_path, request):
    database, loop = SqliteInMemory(tmp_path, request.config), Loop()
    plain, strict = make_grant(1), make_grant(2, key_id="0aZkey000002")
    with transaction(database.connect()) as store:
        store.add_key(make_key())
        store.add_key(make_key(strict.key_id, retry_window=0))
        store.add_grants([plain, strict])
    asked = [Refreshing(each.ref, 0, generation_tag(each.seed, 0), None, NOW) for each in (strict, plain)]
    settling = Settling(Policy(), None, loop.stalls)
    loop.stands_still(1_001)
    loop.stalls.beat()

    with transaction(store):
        refused, answer = settling.settle(store, asked, loop.timer())

    assert isinstance(refused, Stalled)
    assert isinstance(answer.decision, Rotate)
    assert store.grants([strict.ref]) == {strict.ref: strict}, "nothing was decided about it"
    assert not loop.is_closed()
    loop.runs(CLOSED_FOR)
    with transaction(store):
        [answer] = settling.settle(store, asked[:1], loop.timer())
    assert isinstance(answer.decision, Rotate)
    database.close()


@pytest.mark.parametrize(("took", "kept"), [(5_000, True), (5_001, False)])
def test_a_change_that_began_too_long_ago_is_not_kept(took, kept):
    loop = Loop()
    began = loop.timer()
    loop.timer.now += took

    if kept:
        loop.stalls.require_prompt(began)
    else:
        with pytest.raises(Stalled):
            loop.stalls.require_prompt(began)
    loop.stalls.require_prompt(began, allowance=1)
