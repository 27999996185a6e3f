"""A client cannot fill the audit trail or the log: what it repeats is counted."""

import pytest
from tests.server.conftest import key_id_of

from hourpass.core.errors import InvalidGrant
from hourpass.core.policy import HOUR

pytestmark = pytest.mark.anyio

SAID = "a refresh token was replayed"


async def trail(server, event: str) -> list:
    records = await server.app.issuer.ledger.read(lambda store: store.audit_after(0, 10_000))
    return [record for record in records if record.event == event]


async def replay(server, key: str, times: int) -> None:
    for _ in range(times):
        old = (await server.exchange(key)).refresh_token
        await server.refresh(old)
        server.clock.advance(0.001)
        with pytest.raises(InvalidGrant, match="replayed"):
            await server.refresh(old)


async def test_replays_of_one_key_are_sixty_lines_and_a_count_in_trail_and_log(start, caplog):
    server = await start(retry_window=0)
    keys = [await server.create_key() for _ in range(2)]
    began = server.clock()
    await replay(server, keys[0], 63)
    await replay(server, keys[1], 1)

    assert len(await trail(server, "grant.replayed")) == 61
    assert [record.key_id for record in caplog.records if record.msg == SAID].count(key_id_of(keys[0])) == 60

    caplog.clear()
    server.clock.advance(HOUR / 1_000)
    server.app.issuer.replay_log.look(server.clock())
    await server.app._running.background.keep_counts()
    await server.app._running.background.keep_counts()

    (line,) = [record for record in caplog.records if record.msg == SAID]
    assert (line.key_id, line.times) == (key_id_of(keys[0]), 3)
    (count,) = await trail(server, "folded")
    assert (count.key_id, count.actor) == (key_id_of(keys[0]), "server")
    assert count.detail["of"] == "grant.replayed"
    assert count.detail["times"] == 3
    assert began <= count.detail["since"] < began + 10


async def test_the_counts_are_written_when_the_server_drains(start, caplog):
    server = await start(retry_window=0)
    await replay(server, await server.create_key(), 61)

    await server.app._running.background.stop()

    assert [each.detail["times"] for each in await trail(server, "folded")] == [1]
    assert [record.times for record in caplog.records if record.msg == SAID and hasattr(record, "times")] == [1]


async def test_grants_closed_at_the_cap_are_one_line_an_hour_with_their_sum(start):
    server = await start(grants_per_key=2)
    key = await server.create_key()
    for _ in range(12):
        await server.exchange(key)

    (first,) = await trail(server, "grants.closed")
    assert (first.actor, first.detail["closed"]) == ("client", 1)
    server.clock.advance(HOUR / 1_000)
    await server.app._running.background.keep_counts()

    assert [each.detail["closed"] for each in await trail(server, "grants.closed")] == [1, 9]
    assert server.app.counts["grants_closed"] == 10
