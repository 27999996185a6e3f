"""What happened on a node is written down minute by minute: nothing twice, nothing lost, nothing for an idle minute."""

import asyncio

import pytest

from hourpass.core.errors import InvalidCredentials, InvalidGrant, StorageUnavailable
from hourpass.core.policy import MINUTE
from hourpass.core.stats import STATS_KEPT, Stats, total
from hourpass.server.run.stats import COUNTED, KEPT, StatsKeeper
from hourpass.server.store.stats import GRANTS_IN_USE
from hourpass.server.telemetry.counts import CELL, Counts
from hourpass.testing import START

FIRST = START // MINUTE


class Rows:
    """A ledger that keeps rows in memory. The next so many transactions fail, and `gate` holds them up."""

    def __init__(self) -> None:
        self.found: list[tuple[str, int, Stats]] = []
        self.failures = 0
        self.gate = asyncio.Event()
        self.gate.set()

    def add_stats(self, node, rows):
        self.found += [(node, minute, stats) for minute, stats in rows]

    def run(self, work):
        return asyncio.ensure_future(self._run(work))

    async def _run(self, work):
        await self.gate.wait()
        if self.failures:
            self.failures -= 1
            raise StorageUnavailable("it is away")
        return work(self)

    @property
    def minutes(self):
        return [minute - FIRST for _, minute, _ in self.found]

    @property
    def sum(self):
        return total(stats for *_, stats in self.found)


@pytest.fixture
def counts():
    return Counts()


@pytest.fixture
async def rows():
    return Rows()


@pytest.fixture
async def keeper(counts, rows):
    return StatsKeeper(counts, rows, "node")


def test_every_number_has_counts_of_its_own():
    """A count that two numbers add up would be shown twice."""
    named = [name for names in COUNTED.values() for name in names]

    assert tuple(COUNTED) == Stats._fields
    assert len(named) == len(set(named))
    assert set(named) <= set(CELL)


@pytest.mark.anyio
async def test_a_minute_is_one_row_that_is_written_once_it_is_over(counts, rows, keeper):
    for second in range(0, 60, 5):
        counts.add("exchange")
        await keeper.keep(START + 1_000 * second)
    assert rows.found == []

    await keeper.keep(START + MINUTE)

    assert rows.found == [("node", FIRST, Stats(exchanges=12))]


@pytest.mark.anyio
async def test_an_idle_minute_has_no_row(rows, keeper):
    for minute in range(5):
        await keeper.keep(START + minute * MINUTE, leaving=True)

    assert rows.found == []


@pytest.mark.anyio
async def test_what_was_counted_before_this_process_began_is_not_written_again(counts, rows):
    """A worker that takes the place of another one goes on from its counts."""
    counts.add("exchange", 7)
    keeper = StatsKeeper(counts, rows, "node")
    counts.add("exchange")

    await keeper.keep(START, leaving=True)

    assert rows.sum == Stats(exchanges=1)


@pytest.mark.anyio
async def test_a_process_that_ends_writes_the_minute_that_is_not_over(counts, rows, keeper):
    counts.add("refresh_rotate")
    await keeper.keep(START, leaving=True)

    assert rows.found == [("node", FIRST, Stats(refreshes=1))]


@pytest.mark.anyio
@pytest.mark.parametrize("step", [-90, -1, 1, 525_600])
async def test_a_clock_that_is_set_loses_nothing_and_takes_nothing_back(counts, rows, keeper, step):
    for at in (0, 1, 1 + step, 2 + step):
        counts.add("exchange")
        await keeper.keep(START + at * MINUTE)
    await keeper.keep(START + (3 + step) * MINUTE)

    assert rows.sum == Stats(exchanges=4)
    assert all(number >= 0 for *_, stats in rows.found for number in stats)


@pytest.mark.anyio
async def test_what_could_not_be_written_is_written_later_under_its_minute(counts, rows, keeper):
    counts.add("exchange")
    await keeper.keep(START)
    rows.failures = 2
    for minute in (1, 2):
        with pytest.raises(StorageUnavailable):
            await keeper.keep(START + minute * MINUTE)
    await keeper.keep(START + 3 * MINUTE)

    assert rows.found == [("node", FIRST, Stats(exchanges=1))]


@pytest.mark.anyio
async def test_a_long_outage_takes_bounded_memory_and_loses_no_number(counts, rows, keeper):
    rows.failures = outage = 3 * KEPT
    for minute in range(outage + 1):
        counts.add("exchange")
        if minute:
            with pytest.raises(StorageUnavailable):
                await keeper.keep(START + minute * MINUTE)
        else:
            await keeper.keep(START)
        assert len(keeper.waiting) <= KEPT
    await keeper.keep(START + outage * MINUTE, leaving=True)

    assert rows.sum == Stats(exchanges=outage + 1)


@pytest.mark.anyio
@pytest.mark.parametrize("failures", [0, 1])
async def test_a_stop_in_the_middle_of_a_write_writes_nothing_twice_and_loses_nothing(counts, rows, keeper, failures):
    counts.add("exchange")
    await keeper.keep(START)
    rows.gate.clear()
    rows.failures = failures
    job = asyncio.create_task(keeper.keep(START + MINUTE))
    await asyncio.sleep(0)
    job.cancel()
    await asyncio.gather(job, return_exceptions=True)
    rows.gate.set()
    while not rows.found and not keeper.waiting:
        await asyncio.sleep(0)

    counts.add("exchange")
    await keeper.keep(START + MINUTE, leaving=True)

    assert rows.sum == Stats(exchanges=2)


async def seen(server) -> Stats:
    """What the database says, after everything was written."""
    await server.app._running.background.keep_stats(leaving=True)
    found = await server.app.issuer.ledger.read(lambda store: store.stats_since(0, 1))
    return total(found.values())


@pytest.mark.anyio
async def test_each_thing_that_happens_is_in_its_number(server):
    key = await server.create_key()
    old = await server.create_key(raw_until=START)
    pair = await server.exchange(key)
    await server.refresh(pair.refresh_token)
    await server.refresh(pair.refresh_token)
    client = server.client()
    await client.get("/auth/verify", headers={"authorization": f"Bearer {pair.access_token.decode()}"})
    await client.get("/auth/verify", headers={"authorization": "Bearer nonsense"})
    await client.get("/auth/verify", auth=(key, ""))
    await client.get("/auth/verify", auth=(old, ""))
    server.clock.advance(600)
    with pytest.raises(InvalidGrant):
        await server.refresh(pair.refresh_token)
    with pytest.raises(InvalidGrant):
        await server.refresh("nonsense")
    with pytest.raises(InvalidCredentials):
        await server.exchange(f"{key[:-1]}!")

    assert await seen(server) == Stats(
        exchanges=1,
        refreshes=1,
        retries=1,
        replays=1,
        refusals=2,
        raw_accepted=1,
        raw_refused=1,
        bearer_accepted=1,
        verify_refused=1,
    )


@pytest.mark.anyio
async def test_pruning_deletes_what_is_older_than_eight_days(server):
    await server.exchange(await server.create_key())
    assert await seen(server) == Stats(exchanges=1)
    server.clock.advance(STATS_KEPT / 1_000)
    await server.app._running.background.prune()
    assert await seen(server) == Stats(exchanges=1)

    server.clock.advance(60)
    await server.app._running.background.prune()

    assert await seen(server) == Stats()


@pytest.mark.anyio
async def test_all_that_a_server_counted_is_in_the_database_after_its_drain(start, tmp_path):
    url = f"sqlite:{tmp_path}/hourpass.db"
    server = await start(database_url=url)
    await server.exchange(await server.create_key())
    await server.app.stop()

    again = await start(database_url=url, data=server.settings.data)

    assert await seen(again) == Stats(exchanges=1)


@pytest.mark.anyio
async def test_pruning_notes_how_many_grants_can_refresh_and_when_it_looked(server):
    async def counted():
        await server.app._running.background.prune()
        return await server.app.issuer.ledger.read(lambda store: store.measured(GRANTS_IN_USE))

    assert await counted() == (0, server.clock())
    keys = [await server.create_key() for _ in range(2)]
    for key in (*keys, *keys):
        await server.exchange(key)
    assert await counted() == (4, server.clock())

    await server.revoke_key(keys[0])
    server.clock.advance(1)

    assert await counted() == (2, server.clock())
