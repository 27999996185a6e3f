"""The same source from asyncio: tasks, loops and threads share one refresh, and nobody who waits can cancel it."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.client.conftest import settle

from hourpass.client.refresh.cache import FileCache, MemoryCache
from hourpass.core.errors import ConfigurationError, LoginRequired, Unavailable


class SlowCache(MemoryCache):
    """Says that it is asked, and answers when it may."""

    def __init__(self):
        super().__init__()
        self.is_asked, self.answer = threading.Event(), threading.Event()

    def read(self):
        self.is_asked.set()
        assert self.answer.wait(10)
        return super().read()


@pytest.mark.anyio
async def test_tasks_share_one_refresh(source, endpoint):
    tokens = await asyncio.gather(*(source.token_async(within=5) for _ in range(50)))

    assert set(tokens) == {"access-1"}
    assert endpoint.paths == ["api-key"]


@pytest.mark.anyio
async def test_a_cancelled_waiter_does_not_cancel_the_refresh(source, endpoint):
    endpoint.open.clear()
    impatient = asyncio.create_task(source.token_async(within=5))
    patient = asyncio.create_task(source.token_async(within=5))
    await asyncio.sleep(0.05)

    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    endpoint.open.set()

    assert await patient == "access-1"
    assert endpoint.paths == ["api-key"]


@pytest.mark.anyio
async def test_a_cancellation_that_comes_together_with_the_token_is_heeded(source, endpoint):
    """Or a task that waits for its end would wait for ever, now and then."""
    endpoint.open.clear()
    task = asyncio.create_task(source.token_async(within=5))
    while "hourpass-refresh" not in {thread.name for thread in threading.enumerate()}:
        await asyncio.sleep(0)

    endpoint.open.set()
    # The loop stands still meanwhile: it learns of both at once.
    settle(source)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.anyio
async def test_a_cache_that_blocks_does_not_block_the_loop(make):
    """A keyring may ask a person to unlock it, and a disk may be slow to wake up."""
    cache = SlowCache()
    source = make(cache=cache)
    task = asyncio.create_task(source.token_async(within=5))
    while not cache.is_asked.is_set():
        await asyncio.sleep(0)

    assert not task.done()
    cache.answer.set()

    assert await task == "access-1"


@pytest.mark.anyio
async def test_a_cache_that_cannot_be_read_is_heard_of(make, tmp_path):
    (tmp_path / "token").mkdir()
    with pytest.raises(ConfigurationError):
        await make(cache=FileCache(tmp_path / "token")).token_async()


@pytest.mark.anyio
async def test_an_impatient_task_hears_of_it_and_the_refresh_goes_on(source, endpoint):
    endpoint.open.clear()

    with pytest.raises(Unavailable, match="in time"):
        await source.token_async(within=0.05)
    endpoint.open.set()

    assert await source.token_async(within=5) == "access-1"
    assert endpoint.paths == ["api-key"]


def test_several_loops_and_threads_share_one_source(source, endpoint):
    endpoint.open.clear()
    tokens = []
    several = [
        *(threading.Thread(target=lambda: tokens.append(asyncio.run(source.token_async(within=5)))) for _ in range(4)),
        *(threading.Thread(target=lambda: tokens.append(source.token(within=5))) for _ in range(4)),
    ]
    for thread in several:
        thread.start()
    endpoint.open.set()
    for thread in several:
        thread.join()

    assert tokens == ["access-1"] * 8
    assert endpoint.paths == ["api-key"]


@pytest.mark.anyio
async def test_asyncio_hears_the_same_errors(source, endpoint):
    endpoint.script = [400]
    with pytest.raises(LoginRequired):
        await source.token_async()


def test_a_task_hears_in_our_words_that_no_thread_can_look_into_the_cache(make, tmp_path):
    """An executor that takes nothing more says so as a system without a thread does: by a RuntimeError."""

    async def ask():
        executor = ThreadPoolExecutor(1)
        executor.shutdown()
        asyncio.get_running_loop().set_default_executor(executor)
        await make(cache=FileCache(tmp_path / "token")).token_async()

    with pytest.raises(Unavailable, match="no thread"):
        asyncio.run(ask())
