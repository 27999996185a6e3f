"""docs/how-to/call-from-python.md: its samples for each HTTP library run as they stand there."""

import asyncio
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from aiohttp import web
from tests.conftest import clean_environment

PAGES = Path(__file__).parents[3] / "docs"
PAGE = (PAGES / "how-to" / "call-from-python.md").read_text("utf-8")
FIRST, *SAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
LONG_RUNNING = re.findall(
    r"^```python\n(.*?)^```$", (PAGES / "how-to" / "stay-authenticated.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
)
README = re.findall(
    r"^```python\n(.*?)^```$", (PAGES.parent / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
)
(NIQUESTS,) = [sample for sample in SAMPLES if "import niquests" in sample]
SAMPLES.remove(NIQUESTS)


class Site:
    """An API with a page and a WebSocket that both need a token."""

    def __init__(self) -> None:
        self.seen: list[str | None] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._runner = self._do(self._begin())
        self.port = self._runner.addresses[0][1]

    def close(self) -> None:
        self._do(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _begin(self):
        app = web.Application()
        app.router.add_get("/videos", self._videos)
        app.router.add_get("/events", self._events)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    async def _videos(self, request):
        self.seen.append(request.headers.get("Authorization"))
        return web.json_response([])

    async def _events(self, request):
        self.seen.append(request.headers.get("Authorization"))
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str("event")
        await socket.close()
        return socket


@pytest.fixture
def site():
    site = Site()
    yield site
    site.close()


def test_every_library_that_we_serve_has_a_sample():
    modules = (Path(__file__).parents[3] / "src" / "hourpass" / "client" / "auth").glob("[a-z]*.py")

    adapters = [module for module in modules if module.stem not in {"strategy", "sending"}]
    assert len(adapters) == 4
    for module in adapters:
        assert any(f"from hourpass.client.auth.{module.stem} import HourpassAuth" in sample for sample in SAMPLES)


@pytest.fixture
def here(other, site, tmp_path, monkeypatch):
    """The page's first block and a sample, for the servers of the test, and a key in the current folder."""
    monkeypatch.chdir(tmp_path)
    Path("hourpass-key").write_text("KEY\n")

    def here(sample: str) -> str:
        source = FIRST + sample
        for written, real in {
            "https://auth.example.com": other.url,
            "https://api.example.com": f"http://127.0.0.1:{site.port}",
            "wss://api.example.com": f"ws://127.0.0.1:{site.port}",
        }.items():
            source = source.replace(written, real)
        return source

    return here


def test_the_sample_for_niquests_runs_as_it_stands(here, other, site):
    """In a Python of its own: niquests replaces urllib3 for the whole environment."""
    path = Path(sys.prefix) / "interop" / "niquests"
    source = here(NIQUESTS) + "assert videos.status_code == 200\nsource.close()\n"

    done = subprocess.run(
        [sys.executable, "-c", source],
        env=clean_environment(PYTHONPATH=str(path), PYTHONWARNINGS="ignore"),
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    assert other.bodies == [{"apiKey": "KEY"}]
    assert site.seen == ["Bearer opaque-1"]


@pytest.mark.parametrize("number", range(len(SAMPLES)))
def test_each_sample_runs_as_it_stands(number, here, other, site):
    names = {}
    exec(here(SAMPLES[number]), names)

    assert other.bodies == [{"apiKey": "KEY"}]
    if "headers" in names:
        assert names["headers"] == {"Authorization": "Bearer opaque-1"}
    else:
        assert set(site.seen) == {"Bearer opaque-1"}
        assert len(site.seen) == SAMPLES[number].count("api.example.com")
    names["source"].close()
    if "session" in names:
        names["session"].close()


def test_the_samples_for_a_long_running_program_run_as_they_stand(here, other, tmp_path, monkeypatch):
    file_token, refresher = LONG_RUNNING
    (tmp_path / "token").write_text("opaque-7\n")
    monkeypatch.setenv("HOURPASS_TOKEN_FILE", str(tmp_path / "token"))
    names: dict[str, object] = {}

    exec(file_token, names)
    exec(here(refresher), names)

    assert names["headers"] == {"Authorization": "Bearer opaque-7"}
    assert names["source"].token() == "opaque-1"
    names["source"].close()


def test_the_readmes_sample_runs_as_it_stands(here, other, site):
    """There the tokens and the API have one origin."""
    (sample,) = README
    names: dict[str, object] = {"api_key": "KEY"}

    exec(sample.replace("https://api.example.com", other.url), names)

    assert other.bodies == [{"apiKey": "KEY"}]
    names["client"].close()
    names["source"].close()
