"""Liveness, readiness, and what both say while the server drains."""

import apsw
import pytest

CHECKS = {"accepting", "clock", "database", "migrations", "signing_key", "revocations"}


@pytest.mark.anyio
async def test_live_is_200_and_touches_nothing(server, http):
    """contract.md, "Health and metrics": not even an application that could not start is dead."""
    await server.app.issuer.ledger.close()

    answer = await http.get("/health/live")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.anyio
async def test_ready_names_every_check(http):
    answer = await http.get("/health/ready")

    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == {"status": "ok", "checks": dict.fromkeys(CHECKS, "ok")}


@pytest.mark.anyio
async def test_while_draining_it_is_alive_but_not_ready(server, http):
    server.app.draining = True

    live, ready = await http.get("/health/live"), await http.get("/health/ready")

    assert (live.status_code, ready.status_code) == (200, 503)
    assert ready.json() == {"status": "unavailable", "checks": {**dict.fromkeys(CHECKS, "ok"), "accepting": "draining"}}


@pytest.mark.anyio
async def test_while_draining_requests_are_still_answered(server, http):
    """Proxies need a moment to take note."""
    server.app.draining = True

    answer = await http.post("/auth/api-key", json={"apiKey": await server.create_key()})

    assert answer.status_code == 200


@pytest.mark.anyio
async def test_a_ledger_that_takes_nothing_more_is_not_ready(server, http):
    await server.app.issuer.ledger.close()

    answer = await http.get("/health/ready")

    assert (answer.status_code, answer.json()["checks"]["database"]) == (503, "unavailable")


@pytest.mark.anyio
async def test_revocations_that_were_not_looked_up_are_stale_past_the_budget(server):
    """Readiness goes when verifying does, at the same millisecond."""
    verification, clock = server.app.issuer.verification, server.clock
    await verification.observe(clock())

    clock.advance(10)
    fresh = verification.readiness(clock())
    clock.advance(0.001)
    stale = verification.readiness(clock())

    assert (fresh["revocations"], stale["revocations"]) == ("ok", "stale")


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["/auth/api-key", "/auth/refresh", "/oauth/token", "/oauth/revoke"])
async def test_storage_trouble_is_503_with_retry_after_and_never_a_4xx(server, http, path):
    """contract.md, promise 3: a client must not throw its token away because a database blinked."""
    key = await server.create_key()
    token = (await server.exchange(key)).refresh_token.decode()
    asked = {
        "/auth/api-key": {"json": {"apiKey": key}},
        "/auth/refresh": {"json": {"refreshToken": token}},
        "/oauth/token": {"data": {"grant_type": "refresh_token", "refresh_token": token}},
        "/oauth/revoke": {"data": {"token": token}},
    }
    await server.app.issuer.ledger.close()

    answer = await http.post(path, **asked[path])

    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["title"] == "The service is unavailable for a moment."


@pytest.mark.anyio
async def test_a_refresh_that_met_a_locked_database_is_good_afterwards(start, tmp_path):
    server = await start(data=str(tmp_path), database_url=f"sqlite:{tmp_path}/x.db")
    _, token = await server.tokens()
    other_process = apsw.Connection(f"{tmp_path}/x.db")
    other_process.execute("begin immediate")

    locked = await server.client().post("/auth/refresh", json={"refreshToken": token})
    other_process.execute("rollback")
    again = await server.client().post("/auth/refresh", json={"refreshToken": token})

    assert (locked.status_code, again.status_code) == (503, 200)
