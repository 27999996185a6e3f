"""A lane: its thread does the work, and the loop calls the function that the work returns."""

import asyncio
import threading
from pathlib import Path

import pytest

from hourpass.server.ledger.lane import Lane

pytestmark = pytest.mark.anyio


async def test_the_work_is_done_in_the_thread_and_its_result_arrives_in_the_loop():
    lane, done, where = Lane(None, asyncio.get_running_loop()), asyncio.Event(), []

    def task():
        where.append(threading.current_thread().name)
        return back

    def back():
        where.append(threading.current_thread() is threading.main_thread())
        done.set()

    for _ in range(3):
        lane.hand(task)
        await asyncio.wait_for(done.wait(), 10)
        done.clear()
    await lane.close()

    assert where == ["hourpass-ledger", True] * 3


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_closing_leaves_neither_the_thread_nor_an_open_file():
    before = open_files()

    await Lane(None, asyncio.get_running_loop()).close()

    assert "hourpass-ledger" not in {thread.name for thread in threading.enumerate()}
    assert open_files() == before
