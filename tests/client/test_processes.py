"""Many processes, one credential: counted refreshes, kill -9 at every step, answers that get lost."""

import multiprocessing
import os
import re
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from hourpass.client.refresh.cache import FileCache
from hourpass.client.source import TokenSource
from hourpass.clocks import boot_clock, wall_clock

FORK = multiprocessing.get_context("fork")
HOUR = 3_600_000


def later(clock, age=HOUR):
    """A clock that is an hour ahead: what was fresh has expired."""
    return lambda: clock() + age


def source_of(url, path, api_key=None, **more):
    """A source that lives an hour after the credential in the cache was issued."""
    options = {"clock": later(boot_clock), "wall": later(wall_clock), "timeout": 30.0, **more}
    return TokenSource(url, api_key, cache=FileCache(path), **options)


@pytest.fixture
def server(serve):
    return serve(retry_window=60, exchange_limit=0)


@pytest.fixture
def api_key(server):
    return server.create_key()["api_key"]


@pytest.fixture
def path(server, api_key, tmp_path):
    """A cache whose access token was issued an hour ago."""
    TokenSource(server.url, api_key, cache=FileCache(tmp_path / "cache" / "token")).token()
    return tmp_path / "cache" / "token"


def run(target, *arguments):
    process = FORK.Process(target=target, args=arguments)
    process.start()
    return process


def many_threads(url, path, start, results):
    with TokenSource(url, cache=FileCache(path), clock=later(boot_clock), wall=later(wall_clock), timeout=30) as source:
        gate = threading.Barrier(17)

        def one():
            gate.wait()
            return source.token()

        with ThreadPoolExecutor(16) as pool:
            tokens = [pool.submit(one) for _ in range(16)]
            start.wait()
            gate.wait()
            results.put(({token.result() for token in tokens}, source.counts["refreshed"], source.counts["posting"]))


def test_16_threads_in_each_of_4_processes_make_exactly_1_refresh(server, path):
    """Without the lock, or without reading the cache again under it, this would be 64."""
    start, results = FORK.Barrier(4), FORK.SimpleQueue()
    processes = [run(many_threads, server.url, path, start, results) for _ in range(4)]
    outcomes = [results.get() for _ in processes]
    for process in processes:
        process.join(30)
        assert process.exitcode == 0

    assert len(set.union(*(tokens for tokens, _, _ in outcomes))) == 1
    assert sum(refreshed for _, refreshed, _ in outcomes) == 1
    assert sum(posting for _, _, posting in outcomes) == 1


def die_at(step, url, path):
    def observe(event):
        if event == step:
            os.kill(os.getpid(), signal.SIGKILL)

    source_of(url, path, observe=observe).token()


@pytest.mark.parametrize("step", ["locked", "posting", "answered", "refreshed", "written", "published"])
def test_kill_9_at_any_step_loses_no_grant(server, path, step):
    """No API key is at hand: only the refresh token in the cache can go on."""
    process = run(die_at, step, server.url, path)
    process.join(30)
    assert process.exitcode == -signal.SIGKILL

    survivor = source_of(server.url, path)
    first = survivor.credential()
    second = survivor.refresh(rejected=first.number)

    assert second.number == first.number + 1
    assert survivor.counts["exchanged"] == 0
    assert survivor.counts["refreshed"] == (1 if step in ("written", "published") else 2)


class DroppingProxy:
    """Passes connections on to a server, and drops every third answer to a refresh after the server has given it."""

    def __init__(self, port):
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.refreshes = self.dropped = 0
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client:
                self._pass_on(client)

    def _pass_on(self, client):
        request = b""
        while b"\r\n\r\n" not in request or len(request.partition(b"\r\n\r\n")[2]) < length_of(request):
            request += client.recv(65_536)
        request = request.replace(b"Connection: keep-alive", b"Connection: close")
        with socket.create_connection(("127.0.0.1", self._port)) as server:
            server.sendall(request)
            answer = b""
            while part := server.recv(65_536):
                answer += part
        if b"/auth/refresh" in request:
            self.refreshes += 1
            if self.refreshes % 3 == 0:
                self.dropped += 1
                return
        client.sendall(answer)

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)


def length_of(request):
    return int(re.search(rb"(?i)content-length: (\d+)", request)[1])


def test_200_refreshes_with_every_third_answer_dropped_lose_no_grant(server, tmp_path, api_key):
    proxy = DroppingProxy(server.port)
    try:
        source = TokenSource(proxy.url, api_key, cache=FileCache(tmp_path / "token"), timeout=30)
        number = source.credential().number
        for _ in range(200):
            number = source.refresh(rejected=number).number
        source.close()
    finally:
        proxy.close()

    assert proxy.dropped >= 66
    assert source.counts["exchanged"] == 1
    assert source.counts["refreshed"] == 200
    assert source.counts["refused"] == 0


def test_a_revoked_grant_heals_from_the_api_key_once(server, path, api_key):
    grants = server.command("grants", "list", "--json").stdout
    grant_id = re.search(r'"grant_id":\s*"([^"]+)"', grants)[1]
    server.command("grants", "revoke", grant_id)

    source = source_of(server.url, path, api_key)
    token = source.token()

    assert token
    assert source.counts["refused"] == source.counts["exchanged"] == 1
    assert source.token() == token


def test_a_server_that_is_killed_and_comes_back_has_lost_nothing(server, path):
    source = source_of(server.url, path)
    server.kill()
    with pytest.raises(Exception, match="no connection"):
        source.token(within=0.5)

    server.restart()

    assert source.token()
    assert source.counts["exchanged"] == 0


def use_in_child(source, results):
    results.put((source.token(), source.counts["exchanged"], source.counts["refreshed"]))


@pytest.mark.parametrize("has_file", [True, False])
def test_a_forked_child_never_presents_its_parents_refresh_token_without_a_lock(server, api_key, path, has_file):
    """With a file it goes on from there. With memory alone it must exchange the key itself."""
    ahead = [0]
    options = {"clock": lambda: boot_clock() + ahead[0], "wall": lambda: wall_clock() + ahead[0]}
    source = TokenSource(server.url, api_key, cache=FileCache(path) if has_file else None, timeout=30, **options)
    parents = source.token()
    ahead[0] = HOUR
    results = FORK.SimpleQueue()

    processes = [run(use_in_child, source, results) for _ in range(3)]
    outcomes = [results.get() for _ in processes]
    for process in processes:
        process.join(30)
        assert process.exitcode == 0

    before = source.counts["exchanged"]
    exchanged = sum(count - before for _, count, _ in outcomes)
    refreshed = sum(count for _, _, count in outcomes)
    assert (exchanged, refreshed) == ((0, 1) if has_file else (3, 0))
    assert parents not in {token for token, _, _ in outcomes}


@pytest.mark.parametrize(
    "first", [TokenSource.forget, TokenSource.token, TokenSource.close, lambda one: one.use_key(None)]
)
def test_a_forked_child_waits_for_no_lock_of_its_parents_threads(first):
    """With any first call, and whichever step another thread was at when the process forked."""
    answer = httpx2.Response(200, json={"access_token": "a", "expires_in": 3600})
    source = TokenSource("https://auth.example.com", "KEY", transport=httpx2.MockTransport(lambda request: answer))
    held, ended = threading.Event(), threading.Event()

    def hold():
        with source._flights._guard:
            held.set()
            ended.wait(20)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(10)
    pid = os.fork()
    if pid == 0:
        signal.alarm(10)
        try:
            first(source)
            os._exit(0)
        finally:
            os._exit(2)
    ended.set()
    thread.join()

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
