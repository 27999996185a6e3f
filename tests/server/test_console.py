"""The console on a database in memory, and what it says when something goes wrong under somebody who is signed in."""

import os
import re

import httpx2
import pytest
from tests.server.conftest import key_id_of

from hourpass.core.actor import SERVER
from hourpass.core.errors import StorageUnavailable
from hourpass.core.sign_in import ABSOLUTE, IDLE, LINK_LIFETIME, OneTimeLink, over_at
from hourpass.server.console.answers import InTheFrame, refusal_page
from hourpass.server.console.browser_request import BrowserRequest
from hourpass.server.console.signed_in import answer_person
from hourpass.server.endpoints.admin_listener import AdminApp
from hourpass.server.keys.api_keys import revoke_key
from hourpass.server.keys.editing import disable_key
from hourpass.server.keys.rotation import rotate_key_at_once
from hourpass.server.transport.request import Request

pytestmark = pytest.mark.anyio
HOST = "127.0.0.1:3601"


class Person:
    """Somebody at the console of a server in memory."""

    def __init__(self, app: AdminApp) -> None:
        self.app = app
        self.http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=f"http://{HOST}")

    async def knock(self, api_key: str) -> httpx2.Response:
        page = await self.http.get("/console/sign-in")
        form = re.search(r'name="form" value="(\w+)"', page.text)[1]
        return await self.http.post("/console/sign-in", data={"form": form, "api_key": api_key})

    async def sign_in(self, api_key: str) -> None:
        answer = await self.knock(api_key)
        assert answer.status_code == 303, answer.text


@pytest.fixture
async def person(server):
    app = AdminApp(server.app, HOST)
    somebody = Person(app)
    await somebody.sign_in(await server.create_key(admin="owner"))
    yield somebody
    await somebody.http.aclose()
    await app.close()


ENDS = {
    "replaced at once": lambda store, key_id, now, issuer: rotate_key_at_once(
        store, issuer.secrets, key_id, now, issuer.policy, random=os.urandom, actor=SERVER
    ),
    "disabled": lambda store, key_id, now, issuer: disable_key(store, key_id, now, actor=SERVER),
    "revoked": lambda store, key_id, now, issuer: revoke_key(store, key_id, now, issuer.policy, SERVER),
}
"""What ends the secret of a key, in another process. This one has not looked yet."""


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("replaced at once", "Another secret took the place"),
        ("disabled", "is disabled"),
        ("revoked", "is revoked"),
    ],
)
async def test_a_secret_that_ended_since_it_was_remembered_signs_nobody_in(server, end, words):
    app, api_key = AdminApp(server.app, HOST), await server.create_key(admin="owner")
    issuer, key_id, somebody = server.app.issuer, key_id_of(api_key), Person(app)
    await somebody.sign_in(api_key)  # from now on it is remembered
    await issuer.ledger.run(lambda store: ENDS[end](store, key_id, server.clock(), issuer))
    before = await issuer.ledger.read(lambda store: store.sign_ins())
    server.clock.advance(1.5)
    answer = await somebody.knock(api_key)

    assert answer.status_code == 403
    assert words in answer.text
    assert await issuer.ledger.read(lambda store: store.sign_ins()) == before
    await somebody.http.aclose()
    await app.close()


@pytest.mark.parametrize("path", ["/", "/keys", "/grants", "/signing-keys", "/audit", "/audit/verify", "/sessions"])
async def test_each_page_works_on_a_database_in_memory(person, path):
    assert (await person.http.get(f"/console{path}")).status_code == 200


async def test_what_is_over_is_deleted_when_grants_are(server, person):
    """At exactly its end a sign-in is over."""
    ledger, prune = server.app.issuer.ledger, server.app._running.background.prune
    await ledger.run(lambda store: store.add_one_time_link(OneTimeLink(b"l" * 32, "cli:ada@host", server.clock())))
    server.clock.advance((IDLE - 1) / 1_000)
    await prune()
    assert len(await ledger.read(lambda store: store.sign_ins())) == 1
    assert await ledger.run(lambda store: store.take_one_time_link(b"l" * 32)) is None

    server.clock.advance(0.001)
    await prune()
    assert await ledger.read(lambda store: store.sign_ins()) == []
    assert over_at(ABSOLUTE) == (0, ABSOLUTE - IDLE, ABSOLUTE - LINK_LIFETIME)


async def test_a_form_that_is_not_of_this_sign_in_is_refused_in_the_frame(person):
    answer = await person.http.post("/console/keys/new", data={"form": "stale"})

    assert answer.status_code == 403
    assert 'aria-label="Console"' in answer.text, "the menu"
    assert 'href="/console/keys/new">Load the page again' in answer.text


async def test_trouble_under_somebody_who_is_signed_in_is_told_in_the_frame(server, person):
    [(name, value)] = [(name, value) for name, value in person.http.cookies.items() if "door" not in name]
    headers = [(b"host", HOST.encode()), (b"cookie", f"{name}={value}".encode())]
    request = Request("GET", "/console/keys", b"", tuple(headers), "127.0.0.1")
    request.now = server.clock()

    class Broken:
        def __init__(self, administration) -> None:
            self.store = administration.store

        def call_once(self, *asked):
            raise StorageUnavailable("the disk is full")

    def answer(administration):
        asked = BrowserRequest(request, "1", "/keys")
        with pytest.raises(InTheFrame) as met:
            answer_person(server.settings, (), lambda error: (503, "", []), asked, Broken(administration), None)
        return [met.value]  # an exception that work returns is raised

    [met] = await person.app._work.in_thread("x", answer)
    page = refusal_page(503, "", [], "1", met.page).body.decode()

    assert isinstance(met.cause, StorageUnavailable)
    assert 'aria-label="Console"' in page
    assert 'href="/console/keys">Load the page again' in page
