"""The audit trail keeps its lines for as long as the setting says, and its chain goes on to hold."""

import pytest

from hourpass.core.audit_chain import ChainBroken
from hourpass.core.policy import DAY
from hourpass.server.keys.audit_chain import verify_trail
from hourpass.server.run import trail

pytestmark = pytest.mark.anyio


async def kept(server) -> list[int]:
    await server.app._running.background.prune()
    return [record.n for record in await server.app.issuer.ledger.read(lambda store: store.audit_after(0, 10_000))]


async def grow(server, lines: int) -> None:
    """So many keys, and the chain over what that writes."""
    for _ in range(lines):
        await server.create_key()
    await server.app._running.background.chain()


@pytest.mark.parametrize(("days", "settings"), [(400, {}), (30, {"audit_retention": 30 * 86_400})])
async def test_a_line_goes_when_it_is_older_than_the_setting_and_not_before(start, days, settings):
    server = await start(**settings)
    await grow(server, 1)
    server.clock.advance(days * DAY / 1_000 / 2)
    await grow(server, 1)
    server.clock.advance(days * DAY / 1_000 / 2)
    assert await kept(server) == [1, 2, 3]

    server.clock.advance(0.001)

    assert await kept(server) == [3]


async def test_off_keeps_everything(start):
    server = await start(audit_retention="off")
    await grow(server, 1)
    server.clock.advance(40_000 * DAY / 1_000)

    assert await kept(server) == [1, 2]


async def test_a_long_trail_is_pruned_in_small_transactions_and_verifies_then(start, monkeypatch):
    server = await start()
    monkeypatch.setattr(trail, "TOGETHER", 3)
    await grow(server, 10)
    server.clock.advance(401 * DAY / 1_000)
    await grow(server, 1)

    assert await kept(server) == [12]
    issuer, now = server.app.issuer, server.clock()
    verified = await issuer.ledger.read(lambda store: verify_trail(store, issuer.secrets, now))
    assert not verified.findings


async def test_pruning_that_finds_a_changed_line_shows_until_it_goes_on(start):
    server = await start()
    await grow(server, 1)
    server.clock.advance(401 * DAY / 1_000)
    background = server.app._running.background
    broken = server.app._running.meter.values["audit_broken"]

    async def change(name: str) -> None:
        sql = "update audit set actor = ? where n = 1"
        await server.app.issuer.ledger.run(lambda store: store._execute(sql, (name,)))

    actor = (await server.app.issuer.ledger.read(lambda store: store.audit_after(0, 1)))[0].actor
    assert not broken()
    await change("somebody else")
    with pytest.raises(ChainBroken, match="line 1 was changed"):
        await background.prune()
    assert broken()
    await background.chain()
    assert broken(), "only pruning knows when it goes on"

    await change(actor)
    await background.prune()

    assert not broken()
