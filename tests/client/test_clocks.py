"""Clocks that are wrong, set or stopped: no token lives longer for it, no refresh is lost, nobody is left without one.

The source uses two clocks: its own, which nobody can set, and the wall's, which dates what a cache holds.
"""

import base64
import json

import pytest
from tests.client.conftest import HOUR, credential

from hourpass.client.file_token import FileToken
from hourpass.client.refresh.cache import FileCache
from hourpass.client.refresher import SLICE, Refresher
from hourpass.clocks import AgeClock, age_clock, boot_clock, draw, wall_clock
from hourpass.core.errors import Unavailable
from hourpass.testing import Clock

SOFT, HARD = 2_520_000, 3_528_000
"""Milliseconds, with half of the jitter."""

WALL = 1_800_000_000_000


@pytest.fixture
def wall():
    return Clock(WALL)


@pytest.fixture
def process(make, clock, wall, tmp_path):
    """A factory of sources that share a file, each as a process of its own would. The machine has one wall clock."""

    def start(**more):
        return make(cache=FileCache(tmp_path / "token"), clock=clock, wall=wall, **more)

    return start


def pass_time(milliseconds, *clocks):
    for one in clocks:
        one.now += milliseconds


# --- the server's clock ---


def jwt_issued_at(seconds):
    payload = json.dumps({"iat": seconds, "exp": seconds + 3600}).encode()
    return f"eyJ0.{base64.urlsafe_b64encode(payload).rstrip(b'=').decode()}.c2ln"


@pytest.mark.parametrize("offset", [-300, 0, 300])
def test_a_servers_clock_five_minutes_off_changes_nothing(process, endpoint, clock, wall, offset):
    """Only `expires_in` decides, from before the request was sent: a JWT's instants lie on a clock that is not ours."""
    token = jwt_issued_at(WALL // 1000 + offset)
    endpoint.script = [json.dumps({"access_token": token, "expires_in": 3600, "refresh_token": "r"}).encode()]
    source = process()

    one = source.credential()

    assert (one.soft - clock.now, one.hard - clock.now) == (SOFT, HARD)
    assert source.expires_at(one) == WALL + HOUR
    clock.now = one.hard - 1
    assert source.token() == token
    clock.now = one.hard
    assert source.token() == "access-2"


@pytest.mark.parametrize("travel", [0, 9_000, HOUR - 1])
def test_the_travel_time_of_the_answer_is_taken_off_the_life_of_its_token(make, endpoint, clock, travel):
    first = iter([travel])
    source = make(observe=lambda event: pass_time(next(first, 0), clock) if event == "answered" else None)
    sent_at = clock.now

    one = source.credential()

    assert one.issued_at == (sent_at if travel < HARD else sent_at + travel)
    assert len(endpoint.paths) == (1 if travel < HARD else 2), "one that has expired on its way is followed by another"


# --- the wall clock, set back and forth ---


@pytest.mark.parametrize("jump", [-1, -300_000, -HOUR, -10 * HOUR, 300_000, HOUR, 10 * HOUR])
def test_a_wall_clock_that_is_set_does_not_move_what_a_process_holds(process, endpoint, clock, wall, jump):
    source = process()
    source.token()
    wall.now += jump

    pass_time(HARD - 1, clock, wall)
    assert source.current.freshness(clock.now) == "due"
    assert source.refresh(within=5).access_token == "access-2"
    pass_time(HARD, clock, wall)
    assert source.token() == "access-3"
    assert endpoint.paths == ["api-key", "refresh", "refresh"]


@pytest.mark.parametrize("back", [1, HOUR // 2, HOUR - 1])
def test_a_wall_clock_set_back_does_not_make_an_expired_token_young(process, endpoint, clock, wall, back):
    """The file's date says that it is fresh. The process that holds the same token knows better."""
    source = process()
    source.token()
    pass_time(HARD, clock, wall)
    wall.now -= back

    assert source.token() == "access-2"
    assert endpoint.paths == ["api-key", "refresh"]


@pytest.mark.parametrize(
    ("jump", "token"),
    [
        pytest.param(-1, "access-2", id="before it was written: nobody can tell its age"),
        pytest.param(0, "access-1", id="at the very instant"),
        pytest.param(SOFT - 1, "access-1", id="fresh"),
        pytest.param(HARD - 1, "access-1", id="due"),
        pytest.param(HARD, "access-2", id="past hard"),
        pytest.param(10 * HOUR, "access-2", id="far ahead"),
    ],
)
def test_another_process_reads_the_age_from_the_wall_clock_and_refreshes_once(process, endpoint, wall, jump, token):
    process().token()
    wall.now += jump

    assert process(api_key=None).token(within=5) == token
    if token == "access-2":
        assert endpoint.paths == ["api-key", "refresh"], "the refresh token is as good as ever"
        assert process(api_key=None).token() == token


def test_a_wall_clock_that_jumps_to_and_fro_costs_one_refresh_for_each_process_that_starts_after_a_jump(
    process, endpoint, clock, wall
):
    first = process()
    first.token()
    wall.now += 2 * HOUR
    second = process(api_key=None)
    assert second.token() == "access-2"
    wall.now -= 2 * HOUR
    third = process(api_key=None)
    assert third.token() == "access-3"
    assert process(api_key=None).token() == "access-3", "and now the file is dated by a right clock again"

    pass_time(SOFT - 1, clock, wall)
    assert [source.token() for source in (first, second, third)] == ["access-1", "access-2", "access-3"]
    pass_time(1, clock, wall)
    assert {source.refresh(within=5).access_token for source in (first, second, third)} == {"access-4"}
    assert endpoint.paths == ["api-key", *["refresh"] * 3]
    assert [body for _, body in endpoint.requests[1:]] == [{"refreshToken": f"refresh-{n}"} for n in (1, 2, 3)]


def test_an_expired_token_that_looks_young_in_the_file_is_healed_by_its_401(process, endpoint, clock, wall):
    process().token()
    pass_time(HOUR, clock, wall)
    wall.now -= HOUR // 2
    other = process(api_key=None)

    deceived = other.credential()

    assert deceived.access_token == "access-1"
    assert other.refresh(rejected=deceived.number).access_token == "access-2"


# --- suspend ---


def test_after_a_suspend_of_two_hours_the_old_token_is_not_sent(process, endpoint, clock, wall):
    source = process()
    source.token()
    pass_time(2 * HOUR, clock, wall)

    assert source.token() == "access-2"
    assert endpoint.paths == ["api-key", "refresh"]


@pytest.mark.parametrize(
    ("asleep", "state"), [(SOFT - 1, "fresh"), (SOFT, "due"), (HARD - 1, "due"), (HARD, "unusable")]
)
def test_sleep_is_measured_to_the_millisecond(source, clock, asleep, state):
    one = source.credential()
    clock.now += asleep

    assert one.freshness(clock.now) == state


def test_a_suspend_in_the_middle_of_a_refresh_makes_one_more_of_it(make, endpoint, clock):
    """The lifetime begins before the request was sent, so the pair that was waiting in the socket has expired."""
    sleeps = iter([0, 2 * HOUR])
    source = make(observe=lambda event: pass_time(next(sleeps, 0), clock) if event == "answered" else None)
    source.token()
    clock.now = source.current.hard

    assert source.token() == "access-3"
    assert endpoint.paths == ["api-key", "refresh", "refresh"]
    assert endpoint.requests[2][1] == {"refreshToken": "refresh-2"}


def test_a_pause_that_was_slept_through_is_over(make, endpoint, clock):
    source = make()
    endpoint.script = [(503, {"Retry-After": "600"})]
    with pytest.raises(Unavailable):
        source.token()
    clock.now = source.retry_at - 1
    with pytest.raises(Unavailable):
        source.refresh(retry=False)

    clock.now += 1

    assert source.token() == "access-2"


def test_a_refresher_looks_at_the_clock_often_enough_after_waking_up():
    """It sleeps in slices, for no wait of the system includes a suspend. The shortest usual lifetime is minutes."""
    one = credential(lifetime=300_000, jitter=0.0)

    assert one.hard - one.soft > 2 * SLICE


# --- a virtual machine that was paused: the boot clock stood still, the wall clock went on ---


@pytest.fixture
def boot():
    return Clock(0)


@pytest.fixture
def age(boot, wall):
    return AgeClock(boot, wall)


def test_a_source_does_not_hand_out_a_token_that_expired_while_the_machine_was_paused(make, age, boot, wall):
    source = make(clock=age, wall=wall)
    assert source.token() == "access-1"

    wall.now += 2 * HOUR

    assert source.token() == "access-2"


class Slices:
    """What a refresher waits on. Both clocks go on for a slice, but in the third one the machine is paused."""

    def __init__(self, boot, wall, endpoint) -> None:
        self._boot, self._wall, self._endpoint = boot, wall, endpoint
        self.waited: list[float] = []

    def is_set(self) -> bool:
        return len(self._endpoint.paths) == 2

    def wait(self, seconds: float) -> bool:
        self.waited.append(seconds)
        pass_time(round(seconds * 1_000), self._boot, self._wall)
        if len(self.waited) == 3:
            self._wall.now += 2 * HOUR
        return self.is_set()


def test_a_refresher_refreshes_a_slice_after_a_pause_in_which_the_token_expired(make, endpoint, age, boot, wall):
    source, slices = make(clock=age, wall=wall), Slices(boot, wall, endpoint)

    Refresher(source)._run(slices)

    assert endpoint.paths == ["api-key", "refresh"]
    assert slices.waited == [SLICE / 1_000] * 4
    assert source.token() == "access-2"


def test_a_token_file_does_not_hand_out_a_token_that_expired_while_the_machine_was_paused(tmp_path, age, boot, wall):
    path = tmp_path / "token"
    path.write_text(json.dumps({"access_token": "one", "expires_at": WALL + HOUR}))
    tokens = FileToken(path, clock=age, wall=wall)
    assert tokens.token() == "one"

    wall.now += 2 * HOUR

    with pytest.raises(Unavailable):
        tokens.token()


@pytest.mark.parametrize(
    ("boot_step", "wall_step", "passed"),
    [
        pytest.param(HOUR, HOUR, HOUR, id="both went on"),
        pytest.param(0, 2 * HOUR, 2 * HOUR, id="paused"),
        pytest.param(1_000, 2 * HOUR, 2 * HOUR, id="paused for a while"),
        pytest.param(HOUR, 0, HOUR, id="the wall clock was set back"),
        pytest.param(HOUR, -3 * HOUR, HOUR, id="far back"),
        pytest.param(0, 999, 0, id="less than two clocks differ when they are read"),
        pytest.param(0, 1_000, 1_000, id="a step"),
    ],
)
def test_an_age_is_the_greater_of_what_two_clocks_say(age, boot, wall, boot_step, wall_step, passed):
    before = age()

    boot.now += boot_step
    wall.now += wall_step

    assert age() - before == passed
    boot.now += 5_000
    wall.now += 5_000
    assert age() - before == passed + 5_000, "and from then on both run alike"


def test_a_wall_clock_set_back_and_forth_never_makes_anything_younger(age, boot, wall):
    instants = [age()]
    for jump in (HOUR, -HOUR, -10 * HOUR, 10 * HOUR, 500, -500, 1_500, -1_500):
        wall.now += jump
        instants.append(age())

    assert instants == sorted(instants)


def test_short_pauses_add_up(age, boot, wall):
    before = age()
    for _ in range(100):
        wall.now += 600
        age()

    assert 59_000 < age() - before <= 60_000


# --- the clocks themselves ---


def test_the_real_clocks_tell_milliseconds_and_chance_is_a_share():
    before = boot_clock(), wall_clock()

    assert 0 <= boot_clock() - before[0] < 10_000
    assert 0 <= age_clock() - before[0] < 10_000
    assert WALL - 10 * 365 * 24 * HOUR < before[1] < WALL * 2
    assert all(0 <= draw() < 1 for _ in range(1_000))
    assert draw() != draw()
