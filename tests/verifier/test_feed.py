"""`GET /auth/revocations`: the issuer's side of the feed, which wakes every waiting reader within milliseconds."""

import asyncio
import json

import pytest
from joserfc import jws
from joserfc.jwk import import_key

from hourpass.core.errors import InvalidRequest, StorageUnavailable
from hourpass.core.revocation import Revocation, Revocations
from hourpass.jose import SigningKeyPair
from hourpass.server.issuing import feed as module
from hourpass.server.issuing.feed import MAX_WAITERS, PAGE, REMEMBERED, RevocationFeed
from hourpass.testing import START

pytestmark = pytest.mark.anyio

PAIR = SigningKeyPair.generate("k1", "ES256")
UNTIL = START + 3_605_000


class Table:
    """The revocations as the database holds them."""

    def __init__(self) -> None:
        self.entries: list[Revocation] = []
        self.reads = 0
        self.broken = False

    def add(self, value: str, until: int = UNTIL) -> None:
        self.entries.append(Revocation(len(self.entries) + 1, "grant", value, until))

    async def read(self, after: int, now: int) -> list[Revocation]:
        self.reads += 1
        if self.broken:
            raise StorageUnavailable("gone")
        return [entry for entry in self.entries if entry.n > after and entry.until > now]


@pytest.fixture
def table():
    return Table()


@pytest.fixture
def revocations():
    return Revocations()


@pytest.fixture
def feed(table, revocations):
    return RevocationFeed(table.read, lambda now: PAIR, revocations, issuer="https://auth.test", epoch=7)


def opened(answer) -> dict:
    """The claims of the answer, checked with a library that knows nothing of ours."""
    return json.loads(jws.deserialize_compact(answer.body, import_key(PAIR.verification_key.jwk), ["ES256"]).payload)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_cutoff_stands_apart_from_the_entries(feed, table):
    table.add("a")
    table.entries.append(Revocation(2, "key", "k", UNTIL, 1_800_000_001))
    await feed.look_up(START)

    page = opened(await feed.answer(b"", START))

    assert (page["last"], [entry["value"] for entry in page["entries"]]) == (2, ["a"])
    assert page["cutoffs"] == [
        {"n": 2, "kind": "key", "value": "k", "until": UNTIL // 1_000, "issued_before": 1_800_000_001}
    ]


async def test_the_snapshot_is_a_signed_jws_that_nobody_stores(feed, table):
    table.add("a")
    await feed.look_up(START)

    status, headers, body = await feed.answer(b"after=0", START)

    assert status == 200
    assert dict(headers) == {b"content-type": b"application/revocations+jwt", b"cache-control": b"no-store"}
    assert opened(await feed.answer(b"", START)) == {
        "iss": "https://auth.test",
        "iat": START // 1_000,
        "epoch": 7,
        "after": 0,
        "last": 1,
        "entries": [{"n": 1, "kind": "grant", "value": "a", "until": UNTIL // 1_000}],
        "more": False,
    }
    assert jws.extract_compact(body).headers() == {"typ": "revocations+jwt", "alg": "ES256", "kid": "k1"}


async def test_only_later_entries_are_told(feed, table):
    for value in "abc":
        table.add(value)
    await feed.look_up(START)

    said = opened(await feed.answer(b"after=2&wait=30", START))

    assert [entry["value"] for entry in said["entries"]] == ["c"]
    assert (said["after"], said["last"]) == (2, 3)


async def test_a_waiting_reader_is_woken_by_a_commit_of_this_process(feed, table, revocations):
    waiting = asyncio.ensure_future(feed.answer(b"after=0&wait=30", START))
    await settle()
    assert not waiting.done()

    table.add("a")
    feed.hurry(START)
    said = opened(await asyncio.wait_for(waiting, 1))

    assert [entry["n"] for entry in said["entries"]] == [1]
    assert len(revocations) == 1


async def test_a_waiting_reader_is_woken_by_a_commit_of_another_process_when_it_is_looked_up(feed, table):
    waiting = asyncio.ensure_future(feed.answer(b"after=0&wait=30", START))
    await settle()
    table.add("a")

    await feed.look_up(START)

    assert opened(await asyncio.wait_for(waiting, 1))["last"] == 1


async def test_an_entry_of_ours_does_not_hide_an_earlier_one_of_another_process(feed, table):
    """Told only what is ours, a verifier's cursor would pass over the other one for ever."""
    table.add("theirs")
    table.add("ours")
    feed.hurry(START)
    await settle()

    assert [entry["value"] for entry in opened(await feed.answer(b"after=0", START))["entries"]] == ["theirs", "ours"]


async def test_without_news_the_answer_comes_when_the_wait_is_over_and_says_the_time(feed):
    began = asyncio.get_running_loop().time()

    said = opened(await feed.answer(b"after=0&wait=1", START))

    assert 0.9 < asyncio.get_running_loop().time() - began < 3
    assert (said["entries"], said["iat"]) == ([], START // 1_000 + 1)


async def test_a_hundred_waiting_readers_get_the_same_answer_which_is_signed_once(table, revocations):
    signed = 0

    def pair(now: int) -> SigningKeyPair:
        nonlocal signed
        signed += 1
        return PAIR

    feed = RevocationFeed(table.read, pair, revocations, issuer="https://auth.test", epoch=7)
    waiting = [asyncio.ensure_future(feed.answer(b"after=0&wait=30", START)) for _ in range(100)]
    await settle()
    table.add("a")
    feed.hurry(START)

    bodies = {answer.body for answer in await asyncio.wait_for(asyncio.gather(*waiting), 2)}

    assert (len(bodies), signed) == (1, 1)


async def test_many_commits_at_once_are_looked_up_together(feed, table):
    for number in range(100):
        table.add(str(number))
        feed.hurry(START)
    await settle()

    assert table.reads <= 2
    assert feed.last == 100


async def test_one_more_than_may_wait_is_answered_at_once(feed):
    waiting = [asyncio.ensure_future(feed.answer(b"after=0&wait=30", START)) for _ in range(MAX_WAITERS)]
    await settle()
    assert feed.waiting == MAX_WAITERS

    assert opened(await asyncio.wait_for(feed.answer(b"after=0&wait=30", START), 1))["entries"] == []

    feed.close()
    await asyncio.gather(*waiting)


async def test_a_client_that_is_gone_leaves_nothing_behind(feed):
    waiting = asyncio.ensure_future(feed.answer(b"after=0&wait=30", START))
    await settle()

    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    assert feed.waiting == 0


async def test_draining_answers_all_waiting_readers_and_nobody_waits_any_more(feed):
    waiting = asyncio.ensure_future(feed.answer(b"after=0&wait=30", START))
    await settle()

    feed.close()

    assert (await asyncio.wait_for(waiting, 1)).status == 200
    assert (await asyncio.wait_for(feed.answer(b"after=0&wait=30", START), 1)).status == 200


async def test_a_number_that_was_never_given_gets_the_snapshot(feed, table):
    """The verifier follows another numbering: the database was restored, or it asks the wrong issuer."""
    table.add("a")
    await feed.look_up(START)

    said = opened(await feed.answer(b"after=%d&wait=30" % (2**63 - 1), START))

    assert (said["after"], said["last"], len(said["entries"])) == (0, 1, 1)


@pytest.mark.parametrize("epoch", [6, 8])
async def test_a_number_of_another_numbering_gets_the_snapshot_without_waiting(feed, table, epoch):
    """The issuer was restarted: the verifier's number may be anybody's now."""
    table.add("a")
    await feed.look_up(START)

    said = opened(await asyncio.wait_for(feed.answer(b"after=1&epoch=%d&wait=30" % epoch, START), 1))

    assert (said["after"], said["epoch"], len(said["entries"])) == (0, 7, 1)


async def test_an_entry_that_is_over_is_not_told_and_its_number_is_not_given_again(feed, table):
    table.add("a", until=START + 1_000)
    await feed.look_up(START)

    said = opened(await feed.answer(b"after=0", START + 1_000))

    assert (said["entries"], said["last"]) == ([], 1)


async def test_an_end_within_a_second_is_rounded_up(feed, table):
    table.add("a", until=UNTIL + 1)
    await feed.look_up(START)

    assert opened(await feed.answer(b"", START))["entries"][0]["until"] == UNTIL // 1_000 + 1


async def test_a_long_list_comes_in_pages(feed, table):
    for number in range(PAGE + 1):
        table.add(str(number))
    await feed.look_up(START)

    first = opened(await feed.answer(b"after=0", START))
    second = opened(await feed.answer(b"after=%d&wait=30" % first["last"], START))

    assert (len(first["entries"]), first["last"], first["more"]) == (PAGE, PAGE, True)
    assert (len(second["entries"]), second["last"], second["more"]) == (1, PAGE + 1, False)


async def test_a_database_that_blinks_loses_nothing(feed, table):
    table.add("a")
    table.broken = True
    feed.hurry(START)
    with pytest.raises(StorageUnavailable):
        await feed.look_up(START)

    table.broken = False
    await feed.look_up(START)

    assert feed.last == 1


@pytest.mark.parametrize("asked", [b"wait=31", b"wait=9999999999999999999", b"wait=30"])
async def test_a_wait_is_thirty_seconds_at_most(asked):
    assert module._read_query(asked) == (0, 0, 30)


@pytest.mark.parametrize(
    "query",
    [b"after=-1", b"after=x", b"after=", b"after=1.0", b"after=1&after=2", b"wait=1e3", b"after=\xff", b"after=%FF",
     b"after=" + b"1" * 20, "after=\u0661".encode(), b"&".join(b"a=1" for _ in range(9)), b"after=%D9%A1"],
    ids=range(12),
)  # fmt: skip
async def test_a_query_that_is_not_whole_numbers_is_refused(feed, query):
    with pytest.raises(InvalidRequest):
        await feed.answer(query, START)


async def test_strangers_who_ask_for_every_number_fill_no_memory(feed, table):
    for number in range(3 * REMEMBERED):
        table.add(str(number))
    await feed.look_up(START)

    for number in range(3 * REMEMBERED):
        await feed.answer(b"after=%d" % number, START)

    assert len(feed._made) <= REMEMBERED
