"""A lane: its thread does the work, and the loop gets what the work returns or raises."""

import asyncio
import threading
from pathlib import Path

import pytest

from hourpass.server.ledger.lane import Lane

pytestmark = pytest.mark.anyio


async def test_the_work_is_done_in_the_thread_one_thing_at_a_time_and_its_result_arrives_in_the_loop():
    store, done = object(), []
    lane = Lane(store, asyncio.get_running_loop())

    def work(given):
        done.append((given is store, threading.current_thread().name))
        return len(done)

    assert await asyncio.gather(*(lane.do(work) for _ in range(3))) == [1, 2, 3]
    await lane.close()

    assert done == [(True, "hourpass-ledger")] * 3


async def test_an_error_in_the_thread_reaches_the_caller_and_the_thread_goes_on():
    lane = Lane(None, asyncio.get_running_loop())

    with pytest.raises(ZeroDivisionError):
        await lane.do(lambda store: 1 / 0)
    assert await lane.do(lambda store: 1) == 1
    await lane.close()


async def test_a_caller_who_leaves_does_not_stop_the_thread():
    lane = Lane(None, asyncio.get_running_loop())

    lane.do(lambda store: 1).cancel()

    assert await lane.do(lambda store: 2) == 2
    await lane.close()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_closing_leaves_neither_the_thread_nor_an_open_file():
    before = open_files()

    await Lane(None, asyncio.get_running_loop()).close()

    assert "hourpass-ledger" not in {thread.name for thread in threading.enumerate()}
    assert open_files() == before
