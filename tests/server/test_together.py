"""Work that is done once for all who ask, and never told to somebody who asked after it began."""

import asyncio

import pytest

from hourpass.server.issuing.together import Together

pytestmark = pytest.mark.anyio


class Work:
    """Each time yields its number, when the test lets it."""

    def __init__(self):
        self.begun = []
        self.go_on = asyncio.Semaphore(0)
        self.broken = False
        self.together = Together(self._do)

    async def _do(self, now):
        self.begun.append(now)
        number = len(self.begun)
        await self.go_on.acquire()
        if self.broken:
            raise LookupError(number)
        return number

    def ask(self, *instants):
        return [asyncio.ensure_future(self.together(now)) for now in instants]


async def rounds():
    for _ in range(10):
        await asyncio.sleep(0)


async def test_callers_who_ask_while_it_is_under_way_share_the_next_time():
    work = Work()
    first = work.ask(1)
    await rounds()
    later = work.ask(2, 3, 4)
    await rounds()

    assert work.begun == [1]
    work.go_on.release()
    work.go_on.release()

    assert await asyncio.gather(*first, *later) == [1, 2, 2, 2]
    assert work.begun == [1, 2]


async def test_it_is_done_again_for_a_later_caller():
    work = Work()
    for number in (1, 2, 3):
        work.go_on.release()
        assert await work.together(number) == number


async def test_a_failure_is_told_to_all_who_shared_it_and_to_nobody_else():
    work = Work()
    work.broken = True
    first = work.ask(1)
    await rounds()
    later = work.ask(2, 3)
    await rounds()
    work.go_on.release()
    await rounds()
    work.broken = False
    work.go_on.release()

    outcomes = await asyncio.gather(*first, *later, return_exceptions=True)
    assert [type(outcomes[0]), *outcomes[1:]] == [LookupError, 2, 2]


async def test_a_caller_who_leaves_takes_it_from_nobody():
    work = Work()
    leaving, staying = work.ask(1)[0], None
    await rounds()
    leaving.cancel()
    staying = work.ask(2)
    await rounds()
    work.go_on.release()
    work.go_on.release()

    assert await asyncio.gather(*staying) == [2]


@pytest.mark.parametrize("path", ["/health/ready", "/auth/revocations?after=999&epoch={epoch}"])
async def test_however_many_strangers_ask_they_take_two_places_in_the_ledger_s_queue(server, path):
    """One question is under way, and one waits: a refresh is not kept waiting by a thousand of them."""
    ledger, epoch = server.app.issuer.ledger, server.app.issuer.verification._feed._epoch
    http = server.client()
    asked = [asyncio.ensure_future(http.get(path.format(epoch=epoch))) for _ in range(50)]
    longest = 0
    while not all(request.done() for request in asked):
        # The node's own look at what others changed may be in the queue as well, four times a second.
        longest = max(longest, sum(job.kind != "looks" for job in ledger._jobs))
        await asyncio.sleep(0)

    assert {request.result().status_code for request in asked} == {200}
    assert longest <= 2
