"""No caller of the administration takes the places of the others, and each has a limit."""

import asyncio

import httpx2
import pytest
from tests.console.conftest import Desk, start


async def ask(desk: Desk, path: str, cookie: str = "") -> int:
    """The status of an answer, over a connection of its own."""
    host, _, port = desk.server.admin.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    lines = [f"GET /console{path} HTTP/1.1", f"Host: {desk.server.admin}", "Connection: close"]
    writer.write("\r\n".join([*lines, *([f"Cookie: {cookie}"] if cookie else []), "", ""]).encode())
    told = await reader.readline()
    writer.close()
    return int(told.split()[1])


def together(desk: Desk, many: int, path: str, cookie: str, other: str) -> tuple[set[int], set[int]]:
    """The answers to many requests at once, and to a few of somebody else that come after them."""

    async def all_of_them() -> tuple[set[int], set[int]]:
        flood = [asyncio.create_task(ask(desk, path, cookie)) for _ in range(many)]
        await asyncio.sleep(0)
        others = [asyncio.create_task(ask(desk, "/keys", other)) for _ in range(5)]
        return set(await asyncio.gather(*flood)), set(await asyncio.gather(*others))

    return asyncio.run(all_of_them())


def test_a_connection_to_the_admin_listener_has_one_request(desk):
    """Otherwise those who ask now and then on many connections would keep the probes out."""
    for path in ("/health/live", "/metrics", "/console/assets/console.css", "/admin/v1/me"):
        assert httpx2.get(f"{desk.origin}{path}").headers["connection"] == "close"


def cookie_of(visitor) -> str:
    [(name, value)] = visitor.cookies.items()
    return f"{name}={value}"


@pytest.mark.parametrize("who", ["nobody", "a stranger", "a person"])
def test_a_hundred_requests_at_once_take_nobody_elses_place(desk, who):
    owner = cookie_of(desk.visitor().by_link())
    name = owner.partition("=")[0]
    person = cookie_of(desk.visitor().by_key(desk.admin_key("auditor")["api_key"]))
    cookie = {"nobody": "", "a stranger": f"{name}={'s' * 43}", "a person": person}[who]

    theirs, others = together(desk, 100, "/audit", cookie, owner)

    assert others == {200}
    assert theirs <= ({200, 429} if who == "a person" else {303}), "a person has so many at a time"


def test_a_person_has_the_limit_of_an_admin_key_with_all_that_pages_ask_by_themselves(tmp_path):
    server = start(tmp_path, admin_limit=5)
    try:
        desk = Desk(server)
        auditor = desk.admin_key("auditor")["api_key"]
        visitor, other, gone = desk.visitor().by_link(), desk.visitor().by_key(auditor), desk.visitor().by_key(auditor)
        asked = [visitor.get("/keys", headers={"hx-request": "true"}) for _ in range(12)]

        assert [each.status_code for each in asked[:4]] == [200] * 4, "signing in was followed by one page"
        assert 429 in {each.status_code for each in asked[5:]}
        assert all("retry-after" in each.headers for each in asked if each.status_code == 429)
        assert visitor.post("/sign-out").status_code == 303, "the way out is always open"
        cookie = cookie_of(gone)
        gone.post("/sign-out")
        assert [asyncio.run(ask(desk, "/keys", cookie)) for _ in range(8)] == [303] * 8
        assert other.get("/keys").status_code == 200, "a cookie that has ended takes none of their calls"
    finally:
        server.kill()
