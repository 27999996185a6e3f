"""The same source from asyncio: tasks, loops and threads share one refresh, and nobody who waits can cancel it."""

import asyncio
import threading

import pytest

from hourpass.core.errors import LoginRequired, Unavailable


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
