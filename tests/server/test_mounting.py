"""The application inside another one: mounted under a path, started late, logging through its host's logging."""

import threading

import anyio
import httpx2
import pytest

from hourpass.testing import InMemoryServer


@pytest.mark.anyio
async def test_a_mounted_application_finds_its_routes_behind_the_root_path():
    """ASGI: `path` includes `root_path`."""
    async with InMemoryServer() as server:
        transport = httpx2.ASGITransport(app=server.app, root_path="/login")
        http = httpx2.AsyncClient(transport=transport, base_url="http://hourpass.test/login")

        assert (await http.get("/auth/verify")).status_code == 401
        assert (await http.get("/health/live")).status_code == 200


@pytest.mark.anyio
async def test_an_application_without_a_lifespan_starts_with_its_first_request():
    server = InMemoryServer()
    http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=server.app), base_url="http://hourpass.test")

    assert (await http.get("/auth/verify")).status_code == 401

    await server.__aexit__(None, None, None)


@pytest.mark.anyio
async def test_many_first_requests_at_once_start_one_application():
    """One that was started twice has two ledgers on one database, and only one of them is ever stopped."""
    before = threading.active_count()
    server = InMemoryServer()
    http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=server.app), base_url="http://hourpass.test")

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(http.get, "/health/ready")
    started = threading.active_count() - before
    await server.__aexit__(None, None, None)

    assert started == 1


@pytest.mark.anyio
async def test_a_failure_inside_a_host_that_configured_no_logging_shows_no_key(capfd):
    """contract.md, "Errors": of a bug of ours the answer says nothing. The clock is broken to provoke one."""
    async with InMemoryServer() as server:
        key = await server.create_key()
        http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=server.app), base_url="http://hourpass.test")
        good, server.clock.now = server.clock.now, None
        answer = await http.post("/auth/api-key", json={"apiKey": key})
        server.clock.now = good

    assert answer.status_code == 500
    out, err = capfd.readouterr()
    assert key not in "".join((out + err).split())
