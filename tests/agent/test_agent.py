"""The loop, turn by turn, on a clock that stands still: what becomes of the file while the server is away."""

import httpx2
import pytest
from tests.client.conftest import Endpoint, settle

from hourpass.client.agent.agent import Agent
from hourpass.client.agent.delivery import Plan
from hourpass.client.agent.handout import reject
from hourpass.client.agent.hooks import Hooks
from hourpass.client.agent.mailbox import Mailbox
from hourpass.client.agent.metrics import metrics
from hourpass.client.agent.sinks import FileSink
from hourpass.client.credential import fingerprint
from hourpass.client.source import TokenSource
from hourpass.clocks import AgeClock
from hourpass.core.errors import ConfigurationError, Unavailable
from hourpass.testing import Clock

HOUR = 3600
SOFT = 2340
HARD = 3528
AWAY = httpx2.ConnectError("away")


class Bench:
    """An agent whose every turn is asked for, one sink, and a token endpoint that does as it is told."""

    def __init__(self, path, clock=None, wall=None):
        self.clock = clock or Clock(1_800_000_000_000)
        self.endpoint = Endpoint()
        self.endpoint.lifetime = HOUR
        self.mailbox = Mailbox()
        self.path = path
        self.log = []
        self.plans = [self.plan(path)]
        self.source = TokenSource(
            "http://127.0.0.1:3600",
            "KEY",
            transport=self.endpoint.transport,
            observe=self.mailbox.put,
            clock=self.clock,
            wall=wall or self.clock,
            # As early as soft may be, and waits so long that nobody begins them.
            chance=lambda: 1.0,
        )
        self.shown = []
        self.agent = Agent(self.source, self.mailbox, self.load, log=self.log.append, show=self.shown.append, tick=1)

    def plan(self, path, **options):
        return Plan([FileSink(path, **options)], Hooks([], environment={}, log=self.log.append))

    def load(self):
        if not self.plans:
            raise ConfigurationError("the file is wrong")
        return self.plans.pop(0)

    def turn(self, message=None):
        """Turns until no message is left, and what the file holds then."""
        if message:
            self.mailbox.put(message)
        for _ in range(2):
            assert self.agent._turn()
            settle(self.source)
            while not self.mailbox.is_empty():
                assert self.agent._turn()
                settle(self.source)
        return self.path.read_text() if self.path.exists() else None


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path / "token")
    yield bench
    bench.source.close(5)
    bench.mailbox.close()


def test_past_soft_the_next_token_is_in_the_file(bench):
    assert bench.turn() == "access-1"
    bench.clock.advance(SOFT)

    assert bench.turn() == "access-2"
    assert [path for path, _ in bench.endpoint.requests] == ["/auth/api-key", "/auth/refresh"]


def test_a_token_that_is_not_due_is_left_alone(bench):
    bench.turn()
    bench.clock.advance(SOFT - 0.001)

    assert bench.turn() == "access-1"
    assert len(bench.endpoint.requests) == 1


def test_an_outage_from_soft_to_hard_and_back_keeps_the_good_token_and_drops_the_expired_one(bench):
    """agent.md, "While the server is away"."""
    bench.turn()
    bench.endpoint.script = [AWAY] * 50

    bench.clock.advance(SOFT)
    assert bench.turn() == "access-1"
    assert bench.agent.failures > 0
    assert bench.agent.is_ready
    bench.clock.advance(HARD - SOFT)
    assert bench.turn() == "access-1"
    assert not bench.agent.is_ready
    bench.clock.advance(HOUR - HARD)
    assert bench.turn() is None
    assert "no connection" in str(bench.shown[-1])

    bench.endpoint.script.clear()
    bench.clock.advance(120)
    assert bench.turn() == "access-" + str(len(bench.endpoint.requests))
    assert bench.agent.is_ready
    assert bench.agent.failures == 0
    assert bench.source.counts["exchanged"] == 1


def test_an_expired_token_stays_if_that_is_asked_for(bench):
    bench.agent.delivery.plan = bench.plan(bench.path, on_expiry="leave")
    bench.turn()
    bench.endpoint.script = [AWAY] * 50
    bench.clock.advance(HOUR)

    assert bench.turn() == "access-1"


def test_the_file_of_another_agent_is_removed_until_there_is_a_token(bench):
    """Nobody knows how long it is good, so it is treated as expired."""
    bench.path.write_text("left")
    bench.endpoint.script = [AWAY] * 50

    assert bench.turn() is None


def test_the_same_trouble_again_and_again_is_one_line(bench):
    bench.turn()
    bench.endpoint.script = [AWAY] * 50
    bench.clock.advance(SOFT)
    for _ in range(5):
        bench.turn()
        bench.clock.advance(61)

    assert sum("no connection" in line for line in bench.log) == 1


def test_a_refused_refresh_token_is_healed_from_the_key_and_said(bench):
    """contract.md, promise 4: it may have been revoked for theft."""
    bench.turn()
    bench.endpoint.script = [400]
    bench.clock.advance(SOFT)

    assert bench.turn() == "access-3"
    assert bench.source.counts["exchanged"] == 2
    assert bench.log.count("the server no longer accepts the refresh token") == 1


def test_a_reload_that_fails_changes_nothing(bench):
    bench.turn()

    assert bench.turn("reload") == "access-1"
    assert "not reloaded: the file is wrong" in bench.log


def test_a_reload_brings_the_token_to_the_new_sinks(bench, tmp_path):
    bench.turn()
    bench.plans.append(bench.plan(tmp_path / "other", form="header"))

    bench.turn("reload")

    assert (tmp_path / "other").read_text() == "Authorization: Bearer access-1\n"
    assert len(bench.endpoint.requests) == 1


def test_only_the_current_token_can_be_rejected(bench):
    bench.turn()

    newer = reject(bench.source, fingerprint("access-1"))
    again = reject(bench.source, fingerprint("access-1"))

    assert newer.access_token == again.access_token == "access-2"
    assert len(bench.endpoint.requests) == 2


def test_the_breaker_ends_the_refreshes_when_fresh_tokens_are_rejected(bench):
    """The fifth rejection opens it."""
    bench.turn()
    for _ in range(4):
        reject(bench.source, fingerprint(bench.source.current.access_token))

    with pytest.raises(Unavailable, match="fresh tokens are rejected"):
        reject(bench.source, fingerprint(bench.source.current.access_token))

    assert len(bench.endpoint.requests) == 5
    assert "hourpass_agent_breaker_open 1" in metrics(bench.agent)


def test_a_loop_that_no_longer_turns_is_not_alive(bench):
    bench.turn()
    assert bench.agent.is_live
    bench.clock.advance(60)

    assert not bench.agent.is_live


def test_the_metrics_say_what_happened(bench):
    bench.turn()
    bench.clock.advance(SOFT)
    bench.turn()

    lines = metrics(bench.agent).splitlines()

    for line in (
        "hourpass_agent_token_valid 1",
        "hourpass_agent_token_expires_at_seconds 1800005940",
        'hourpass_agent_refreshes_total{result="refreshed"} 1',
        "hourpass_agent_exchanges_total 1",
        "hourpass_agent_consecutive_failures 0",
        f'hourpass_agent_sink_writes_total{{sink="{bench.path}",result="written"}} 2',
        'hourpass_agent_hooks_total{result="done"} 0',
        "hourpass_agent_breaker_open 0",
    ):
        assert line in lines


# --- A virtual machine that was paused: the boot clock stood still, the wall clock went on.


@pytest.fixture
def paused(tmp_path):
    """A bench on the two clocks of a machine, and its wall clock."""
    wall = Clock(1_800_000_000_000)
    bench = Bench(tmp_path / "token", AgeClock(Clock(0), wall), wall)
    yield bench, wall
    bench.source.close(5)
    bench.mailbox.close()


def test_the_file_holds_a_new_token_after_a_pause_in_which_the_old_one_expired(paused):
    bench, wall = paused
    assert bench.turn() == "access-1"

    wall.advance(2 * HOUR)

    assert bench.turn() == "access-2"


def test_a_token_that_expired_in_a_pause_does_not_stay_in_the_file_while_the_server_is_away(paused):
    bench, wall = paused
    assert bench.turn() == "access-1"
    bench.endpoint.script = [AWAY] * 9

    wall.advance(2 * HOUR)

    assert bench.turn() is None
    assert not bench.agent.is_ready
