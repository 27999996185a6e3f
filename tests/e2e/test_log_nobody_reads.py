"""A log that nobody reads stops nothing: not a request, not the health probe, not the end of the process."""

import os
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from tests.conftest import HOURPASS, clean_environment, free_port
from tests.e2e.conftest import PLAIN, claims_of, exchange, generation, live, refresh, verify


def test_everything_goes_on_and_the_log_does_once_it_is_read(serve, full_pipe):
    server = serve(output=full_pipe.writer)
    pair = exchange(server, server.create_key()["api_key"]).json()

    for expected in range(1, 4):
        pair = refresh(server, pair["refresh_token"]).raise_for_status().json()
        assert generation(pair["refresh_token"]) == expected
    assert verify(server, pair["access_token"]) == 204
    assert live(server) == 200

    assert "listening" in [line["event"] for line in full_pipe.lines_until("listening")]


def test_a_server_whose_log_nobody_reads_ends_when_it_is_told_to(serve, full_pipe):
    server = serve(output=full_pipe.writer)

    assert server.stop() == 0


@contextmanager
def running(command: list[str], **options):
    process = subprocess.Popen(command, env=clean_environment(), **options)
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


def until_live(url: str) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            httpx2.get(f"{url}/health/live", **PLAIN).raise_for_status()
        except httpx2.TransportError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("it does not answer")


@pytest.mark.parametrize("flags", [[], ["--json"]], ids=["invitation", "json"])
def test_the_demo_serves_although_nobody_reads_what_it_says(full_pipe, flags):
    port = free_port()
    command = [HOURPASS, "demo", "--port", str(port), *flags]

    with running(command, stdout=full_pipe.writer, stderr=full_pipe.writer) as demo:
        until_live(f"http://127.0.0.1:{port}")
        demo.send_signal(signal.SIGTERM)
        if flags:
            assert demo.wait(20) == 0


@pytest.mark.parametrize("closed", ["2>&-", "0<&- 1>&- 2>&-"])
def test_a_server_whose_streams_are_closed_serves_and_writes_into_no_file_of_its_own(tmp_path, closed):
    port = free_port()
    serve = f'exec "$@" {closed}'
    flags = ["--data", str(tmp_path / "data"), "--port", str(port), "--admin-listen", "off"]

    with running(["sh", "-c", serve, "sh", HOURPASS, "serve", *flags]) as server:
        until_live(f"http://127.0.0.1:{port}")
        opened = {name: str(Path(f"/proc/{server.pid}/fd/{name}").readlink()) for name in "012"}
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0

    assert opened["2"] == os.devnull
    assert not any(path.startswith(str(tmp_path)) for path in opened.values())


def test_a_reader_who_has_left_costs_the_log_and_nothing_else(serve):
    reader, writer = os.pipe()
    server = serve(output=writer)
    os.close(reader)
    os.close(writer)

    pair = exchange(server, server.create_key()["api_key"]).json()
    assert claims_of(pair["access_token"])["sid"]
    assert server.stop() == 0
