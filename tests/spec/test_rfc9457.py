"""RFC 9457, problem details: how every error outside OAuth 2 is spelt."""

import pytest
from tests.server.conftest import nobodys_key

MEMBERS = {"type": str, "title": str, "name": str, "status": int}


async def no_route(start):
    return await (await start()).client().get("/nowhere")


async def wrong_method(start):
    return await (await start()).client().get("/auth/api-key")


async def unreadable(start):
    return await (await start()).client().post("/auth/api-key", content=b"{")


async def wrong_member(start):
    return await (await start()).client().post("/auth/refresh", json={})


async def wrong_key(start):
    return await (await start()).client().post("/auth/api-key", json={"apiKey": nobodys_key()})


async def wrong_refresh_token(start):
    return await (await start()).client().post("/auth/refresh", json={"refreshToken": "x"})


async def too_large(start):
    return await (await start()).client().post("/oauth/token", content=b"x" * 65_537, headers=FORM)


async def too_fast(start):
    server = await start(exchange_limit=1)
    for _ in range(2):
        answer = await server.client().post("/auth/api-key", json={"apiKey": nobodys_key()})
    return answer


async def unavailable(start):
    server = await start()
    await server.app.issuer.ledger.close()
    return await server.client().post("/auth/api-key", json={"apiKey": nobodys_key()})


async def our_fault(start):
    """The clock is broken, as no request could break it."""
    server = await start()
    key, server.clock.now = await server.create_key(), None
    answer = await server.client().post("/auth/api-key", json={"apiKey": key})
    server.clock.now = 0
    return answer


FORM = {"content-type": "application/x-www-form-urlencoded"}
PROBLEMS = {
    404: no_route,
    405: wrong_method,
    400: unreadable,
    "400 with a name": wrong_member,
    "400 credentials": wrong_key,
    "400 refresh": wrong_refresh_token,
    413: too_large,
    429: too_fast,
    503: unavailable,
    500: our_fault,
}


@pytest.fixture(params=PROBLEMS.items(), ids=[str(name) for name in PROBLEMS])
async def problem(request, start):
    """One answer of each kind, with the status that it must have."""
    name, provoke = request.param
    return int(str(name)[:3]), await provoke(start)


@pytest.mark.anyio
async def test_3_the_media_type_is_exactly_the_problems(problem):
    """§3, without a charset parameter."""
    _, answer = problem

    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.anyio
async def test_3_1_every_problem_has_the_members_that_clients_read_without_looking(problem):
    """§3.1. contract.md, "Errors": always an object with type, title, name and status."""
    _, answer = problem

    assert {name: type(answer.json()[name]) for name in MEMBERS} == MEMBERS
    assert answer.json()["type"] == "about:blank"
    assert answer.json()["title"]


@pytest.mark.anyio
async def test_3_1_2_the_status_member_is_the_answers_status(problem):
    """§3.1.2."""
    status, answer = problem

    assert answer.json()["status"] == answer.status_code == status


@pytest.mark.anyio
async def test_3_a_problem_is_not_stored(problem):
    _, answer = problem

    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.anyio
async def test_5_a_problem_tells_nothing_of_the_inside(problem):
    """§5: no stack traces, names of libraries, files or tables."""
    _, answer = problem

    for word in ("Traceback", "Error", "sqlite", "SQL", "hourpass", ".py", "ledger"):
        assert word not in answer.text
