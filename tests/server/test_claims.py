"""Claims of a key's own: in its access tokens, in introspection, and in headers that the operator chose."""

import json

import pytest
from tests.server.conftest import claims_of, key_id_of
from tests.server.test_api_keys import basic
from tests.server.test_verify import verify

from hourpass.core.actor import Actor
from hourpass.server.keys.editing import update_key

pytestmark = pytest.mark.anyio

CLAIMS = {"tenant": "acme", "city": "Zürich %", "seats": 5, "share": 0.5, "on": True, "none": None}
HEADERS = ("tenant=X-Tenant", "city=X-City", "seats=X-Seats", "share=X-Share", "on=X-On", "none=X-None", "no=X-No")
SENT = {
    "x-tenant": "acme",
    "x-city": "Z%C3%BCrich %25",
    "x-seats": "5",
    "x-share": "0.5",
    "x-on": "true",
    "x-none": "",
    "x-no": "",
}


async def test_an_access_token_says_what_its_key_says_and_its_refresh_token_does_not(server):
    pair = await server.exchange(await server.create_key(claims=CLAIMS))

    standard = claims_of((await server.exchange(await server.create_key())).access_token)
    assert {name: value for name, value in claims_of(pair.access_token).items() if name not in standard} == CLAIMS
    assert not CLAIMS.keys() & claims_of(pair.refresh_token).keys()


async def test_the_next_refresh_says_what_the_key_says_now(server):
    key = await server.create_key(claims=CLAIMS)
    pair = await server.exchange(key)
    now = server.clock()
    await server.app.issuer.ledger.run(
        lambda store: update_key(store, key_id_of(key), {"claims": {"tenant": "other"}}, now, actor=Actor("test"))
    )
    await server.later(0)

    claims = claims_of((await server.refresh(pair.refresh_token)).access_token)

    assert claims["tenant"] == "other"
    assert "seats" not in claims


@pytest.mark.parametrize("which", [0, 1], ids=["access", "refresh"])
async def test_introspection_tells_them_as_members_of_their_own(server, http, which):
    """RFC 7662 §2.2."""
    token = (await server.tokens(claims=CLAIMS))[which]
    headers = {"authorization": basic(f"{await server.create_key(scope='introspect')}:")}

    told = (await http.post("/oauth/introspect", data={"token": token}, headers=headers)).json()

    assert told["active"]
    assert told.items() >= CLAIMS.items()
    assert "custom" not in told


@pytest.mark.parametrize("kind", ["token", "key"])
async def test_forward_auth_sends_each_header_that_the_operator_chose(start, kind):
    server = await start(claim_headers=HEADERS)
    key = await server.create_key(claims=CLAIMS)
    token = (await server.exchange(key)).access_token.decode()

    answer = await verify(server, f"Bearer {token}" if kind == "token" else basic(f"{key}:"))

    assert answer.status_code == 204
    assert {name: value for name, value in answer.headers.items() if name.startswith("x-")} == SENT


async def test_a_key_without_the_claim_empties_the_header_of_another_one(start):
    server = await start(claim_headers=HEADERS)
    await verify(server, basic(f"{await server.create_key(claims=CLAIMS)}:"))

    answer = await verify(server, basic(f"{await server.create_key()}:"))

    assert {name: value for name, value in answer.headers.items() if name.startswith("x-")} == dict.fromkeys(SENT, "")


async def test_values_that_python_takes_for_the_same_stay_apart(start):
    """1, 1.0 and true are equal, and a cache must not mistake one client's for another's."""
    server = await start(claim_headers=("n=X-N",))
    values = [1, True, 1.0, False, 0, "1"]
    tokens = [(await server.tokens(subject="same", claims={"n": value}))[0] for value in values]

    sent = [(await verify(server, f"Bearer {token}")).headers["x-n"] for token in tokens]

    assert sent == [json.dumps(value) if value != "1" or value is True else "1" for value in values]
    assert [claims_of(token.encode())["n"] for token in tokens] == values


async def test_two_texts_never_make_one_header(start):
    server = await start(claim_headers=("t=X-T",))
    texts = ["ü", "%C3%BC", " x", "x", "x ", "%20x", " ", "%20"]
    tokens = [(await server.tokens(claims={"t": text}))[0] for text in texts]

    sent = [(await verify(server, f"Bearer {token}")).headers["x-t"] for token in tokens]

    assert len(set(sent)) == len(texts)
    assert all(text == text.strip() for text in sent)
