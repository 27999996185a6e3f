"""RFC 8707, resource indicators: which audience a token is for. A key has one. `audience` is another word for it."""

import pytest
from tests.server.conftest import claims_of, key_id_of
from tests.server.test_api_keys import basic
from tests.spec.test_rfc6749 import FORM, error

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
