"""RFC 8707, resource indicators: which audience a token is for. `audience` is another word for it."""

import pytest
from tests.server.conftest import claims_of, key_id_of
from tests.server.test_api_keys import basic
from tests.spec.test_rfc6749 import FORM, error

from hourpass.core.actor import Actor
from hourpass.core.errors import InvalidTarget
from hourpass.server.keys.editing import update_key

API = "https://api.test"
ISSUER = "http://hourpass.test"


@pytest.fixture
async def ask(server, http):
    """A token request by either grant type, with this after the form: `await ask("refresh_token", "resource=…")`."""

    async def ask(grant_type: str, asked: str, **key: str):
        made = await server.create_key(**key)
        form = f"grant_type={grant_type}"
        if grant_type == "refresh_token":
            form += f"&refresh_token={(await server.exchange(made)).refresh_token.decode()}"
        headers = {**FORM, "authorization": basic(f"{key_id_of(made)}:{made}")}
        return await http.post("/oauth/token", content=f"{form}&{asked}", headers=headers)

    return ask


both = pytest.mark.parametrize("grant_type", ["client_credentials", "refresh_token"])


@both
@pytest.mark.anyio
@pytest.mark.parametrize("asked", [f"resource={API}", f"audience={API}", f"audience={API}&resource={API}", "resource="])
async def test_2_the_keys_own_audience_may_be_asked_for(ask, grant_type, asked):
    answer = await ask(grant_type, asked, audience=API)

    assert claims_of(answer.json()["access_token"])["aud"] == API


@both
@pytest.mark.anyio
@pytest.mark.parametrize(
    "asked",
    [
        *(f"resource={API}", f"audience={API}", f"resource={ISSUER}/", f"audience={ISSUER}&resource={API}"),
        *(
            f"audience={API}&resource={ISSUER}",
            f"resource={ISSUER}&resource={API}",
            f"resource={ISSUER}&resource={ISSUER}",
        ),
        *("resource=relative", f"resource={ISSUER}%23fragment"),
    ],
)
async def test_2_another_target_or_several_are_invalid(ask, grant_type, asked):
    """§2: `invalid_target`, if the server is unwilling or unable to issue a token for what was asked for."""
    answer = await ask(grant_type, asked)

    assert error(answer) == (400, "invalid_target")
    assert answer.json()["error_description"] == "A requested audience or resource is not the client's."


@pytest.mark.anyio
async def test_2_2_a_refused_target_burns_no_refresh_token(server, http):
    token = (await server.exchange(await server.create_key())).refresh_token.decode()
    form = {"grant_type": "refresh_token", "refresh_token": token}

    assert error(await http.post("/oauth/token", data={**form, "resource": API})) == (400, "invalid_target")
    assert claims_of((await http.post("/oauth/token", data=form)).json()["refresh_token"])["gen"] == 1


@pytest.mark.anyio
async def test_an_audience_may_not_be_repeated(ask):
    """RFC 6749 §3.2: `resource` alone may come again."""
    assert error(await ask("client_credentials", f"audience={ISSUER}&audience={ISSUER}")) == (400, "invalid_request")


SEVERAL = [API, "https://b.test", "https://c.test"]


@pytest.mark.anyio
async def test_2_one_of_several_may_be_asked_for_and_the_first_is_the_default(server):
    key = await server.create_key(audiences=SEVERAL)

    assert claims_of((await server.exchange(key)).access_token)["aud"] == API
    assert claims_of((await server.exchange(key, audience="https://c.test")).access_token)["aud"] == "https://c.test"


@pytest.mark.anyio
async def test_2_2_a_refresh_may_ask_for_what_the_exchange_left_open(server):
    pair = await server.exchange(await server.create_key(audiences=SEVERAL))

    pair = await server.refresh(pair.refresh_token, audience="https://b.test")

    assert claims_of(pair.access_token)["aud"] == "https://b.test"
    assert claims_of((await server.refresh(pair.refresh_token)).access_token)["aud"] == API


@pytest.mark.anyio
async def test_2_2_a_refresh_stays_with_the_audience_that_the_exchange_asked_for(server):
    pair = await server.exchange(await server.create_key(audiences=SEVERAL), audience="https://b.test")

    with pytest.raises(InvalidTarget):
        await server.refresh(pair.refresh_token, audience=API)
    pair = await server.refresh(pair.refresh_token)

    assert claims_of(pair.access_token)["aud"] == "https://b.test"
    assert claims_of((await server.refresh(pair.refresh_token)).access_token)["aud"] == "https://b.test"


@pytest.mark.anyio
async def test_2_2_a_grant_whose_audience_was_taken_away_gets_no_token(server):
    key = await server.create_key(audiences=SEVERAL)
    pair = await server.exchange(key, audience="https://b.test")
    members, now = {"audiences": [API, "https://c.test"]}, server.clock()

    await server.app.issuer.ledger.run(
        lambda store: update_key(store, key_id_of(key), members, now, actor=Actor("test"))
    )
    await server.later(0)

    with pytest.raises(InvalidTarget):
        await server.refresh(pair.refresh_token)

    back = {"audiences": [API, "https://b.test"]}
    await server.later(3_000)
    now = server.clock()
    await server.app.issuer.ledger.run(lambda store: update_key(store, key_id_of(key), back, now, actor=Actor("test")))
    assert claims_of((await server.refresh(pair.refresh_token)).refresh_token)["gen"] == 1


@pytest.mark.anyio
async def test_2_2_a_grant_stays_with_the_only_audience_of_its_key_if_it_asked_for_it(server):
    key = await server.create_key(audience=API)
    pair = await server.exchange(key, audience=API)
    members, now = {"audiences": ["https://b.test", API]}, server.clock()

    await server.app.issuer.ledger.run(
        lambda store: update_key(store, key_id_of(key), members, now, actor=Actor("test"))
    )

    assert claims_of((await server.refresh(pair.refresh_token)).access_token)["aud"] == API
