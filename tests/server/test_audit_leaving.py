"""A node that is told to stop does not chain a long trail to its end: somebody waits for it."""

import pytest

from hourpass.core.actor import SERVER
from hourpass.core.grant_events import GrantsClosed
from hourpass.server.keys.audit_chain import TOGETHER
from hourpass.testing import Clock

pytestmark = pytest.mark.anyio


class Ticking(Clock):
    """A clock that goes on by so many milliseconds whenever it is read."""

    tick = 0

    def __call__(self) -> int:
        self.now += self.tick
        return self.now


async def unchained(ledger) -> int:
    return await ledger.read(lambda store: sum(line.mac is None for line in store.audit_lines(0, 10 * TOGETHER)))


@pytest.mark.parametrize(("late", "left"), [(0, 0), (20, 2 * TOGETHER)], ids=["in time", "late"])
async def test_a_node_that_stops_chains_what_it_can_until_its_time_is_over(start, late, left):
    server = await start(clock=Ticking(), drain_timeout=20)
    background, ledger = server.app._running.background, server.app.issuer.ledger
    await background.chain()
    server.app.drain()
    rows = [GrantsClosed("k", 1, SERVER)] * (3 * TOGETHER)
    await ledger.run(lambda store: store.append_audit(server.clock(), rows))
    server.clock.advance(late)
    server.clock.tick = 500

    await background.stop()

    assert await unchained(ledger) == left
