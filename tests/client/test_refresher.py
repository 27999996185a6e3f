"""The scheduled strategy: refreshed at soft, without anybody asking, and stopped cleanly."""

import asyncio
import errno
import os
import threading
import time

import pytest
from tests.client.conftest import settle

from hourpass.client.refresh.cache import MemoryCache
from hourpass.client.refresher import SLICE, Refresher
from hourpass.clocks import boot_clock
from hourpass.core.errors import ConfigurationError, Unavailable


@pytest.fixture
def live(make, endpoint):
    """A source on the real clock, with tokens that live for a second: due after 0.7, unusable after 0.8."""
    endpoint.lifetime = 1
    return make(clock=boot_clock, wall=boot_clock)


def wait_for(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_it_fetches_the_first_token_and_each_next_one_at_soft(live, endpoint):
    with Refresher(live):
        wait_for(lambda: len(endpoint.paths) == 1)
        first = live.current
        wait_for(lambda: live.current is not first)

    settle(live)
    assert endpoint.paths[:2] == ["api-key", "refresh"]
    assert first.soft <= live.current.issued_at < first.soft + 1_000


def test_it_goes_on_after_trouble(live, endpoint):
    endpoint.script = [503]

    with Refresher(live):
        wait_for(lambda: live.current is not None)

    assert endpoint.paths[:2] == ["api-key", "api-key"]


class Disk(MemoryCache):
    """A cache whose every access fails while there is `trouble`, in the words of the system."""

    trouble: Exception | None = None

    def read(self):
        if self.trouble is not None:
            raise self.trouble
        return super().read()


TROUBLE = {
    "the client's own": ConfigurationError("the token cache cannot be read"),
    "raw, SECRET": OSError(errno.EIO, "SECRET"),
}


@pytest.mark.parametrize("kind", TROUBLE)
@pytest.mark.parametrize("form", ["thread", "task"])
def test_storage_trouble_is_reported_and_survived(make, endpoint, caplog, form, kind):
    disk = Disk()
    disk.trouble = TROUBLE[kind]
    refresher = Refresher(make(cache=disk, clock=boot_clock, wall=boot_clock))
    stop = run_in_thread(refresher) if form == "thread" else run_as_task(refresher)
    try:
        wait_for(lambda: refresher.error is not None)
        assert not endpoint.paths
        disk.trouble = None
        wait_for(lambda: refresher._source.current is not None and refresher.error is None)
    finally:
        stop()

    assert endpoint.paths == ["api-key"]
    assert len([record for record in caplog.records if record.name.startswith("hourpass")]) == 1
    assert "SECRET" not in caplog.text


def run_in_thread(refresher):
    refresher.start()
    return refresher.stop


def run_as_task(refresher):
    """On a loop of its own, so that both forms can be looked at from outside."""
    loop = asyncio.new_event_loop()
    task = loop.create_task(refresher.run())
    thread = threading.Thread(target=lambda: loop.run_until_complete(asyncio.wait([task])))
    thread.start()

    def stop():
        loop.call_soon_threadsafe(task.cancel)
        thread.join(10)
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()

    return stop


def test_the_same_trouble_again_is_logged_once(source, endpoint, caplog):
    refresher = Refresher(source)
    for words in ("one", "one", "two"):
        with refresher._noted():
            raise Unavailable(words)
        assert str(refresher.error) == words

    assert [message.rpartition(" ")[2] for message in caplog.messages] == ["one", "two"]


def test_after_trouble_it_rests_for_a_second(source, clock):
    refresher = Refresher(source)
    with refresher._noted():
        raise ConfigurationError("no cache")

    assert refresher._pause(tried_at=clock.now) == 1_000


def test_stopping_does_not_wait_for_the_next_refresh(source):
    refresher = Refresher(source)
    refresher.start()
    refresher.start()
    wait_for(lambda: source.current is not None)
    begun = time.monotonic()

    refresher.stop()
    refresher.stop()

    assert time.monotonic() - begun < 2
    assert "hourpass-refresher" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize(
    ("age", "retry_after", "pause"),
    [
        pytest.param(0, None, 2_520_000, id="until soft"),
        pytest.param(2_519_900, None, 100, id="the last moments before soft"),
        pytest.param(2_600_000, "30", 30_000, id="until the source may try again"),
        pytest.param(9_999_000, None, -1, id="at once after a suspend"),
    ],
)
def test_the_pause_follows_from_soft_and_from_the_last_trouble(source, endpoint, clock, age, retry_after, pause):
    source.token()
    issued_at = source.current.issued_at
    clock.now = issued_at + age
    if retry_after is not None:
        endpoint.script = [(503, {"Retry-After": retry_after})]
        with pytest.raises(Unavailable):
            source.refresh(retry=False)

    left = Refresher(source)._pause(tried_at=issued_at)

    assert left == pause if pause >= 0 else left < 0


def test_a_suspend_is_noticed_within_half_a_minute():
    assert SLICE <= 30_000


@pytest.mark.anyio
async def test_the_task_form_does_the_same_until_it_is_cancelled(live, endpoint):
    task = asyncio.create_task(Refresher(live).run())
    await asyncio.to_thread(wait_for, lambda: len(endpoint.paths) >= 2)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    settle(live)
    assert endpoint.paths[:2] == ["api-key", "refresh"]


def test_in_a_forked_child_it_goes_on(source):
    with Refresher(source):
        wait_for(lambda: source.current is not None)
        pid = os.fork()
        if pid == 0:
            os._exit(0 if "hourpass-refresher" in {thread.name for thread in threading.enumerate()} else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
