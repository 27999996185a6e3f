"""What a change of an API key does to its clients: the next request sees it."""

import pytest
from tests.server.conftest import key_id_of
from tests.server.test_api_keys import basic
from tests.server.test_verify import invalid, verify

from hourpass.core.errors import InvalidCredentials, InvalidGrant
from hourpass.server.keys.editing import disable_key, enable_key, update_key

pytestmark = pytest.mark.anyio


async def change(server, work, api_key, *members):
    now = server.clock()
    await server.app.issuer.ledger.run(lambda store: work(store, key_id_of(api_key), *members, now, actor="test"))
    await server.later(0)


async def test_a_disabled_key_neither_exchanges_nor_refreshes_and_an_enabled_one_does_both(server):
    api_key = await server.create_key()
    pair = await server.exchange(api_key)

    await change(server, disable_key, api_key)

    with pytest.raises(InvalidCredentials) as refused:
        await server.exchange(api_key)
    assert refused.value.reason == "disabled"
    with pytest.raises(InvalidGrant) as dead:
        await server.refresh(pair.refresh_token)
    assert dead.value.reason == "key_disabled"

    await change(server, enable_key, api_key)

    await server.exchange(api_key)
    await server.refresh(pair.refresh_token)


async def test_the_next_refresh_says_what_the_key_says_now(server):
    api_key = await server.create_key(scope="a b")
    pair = await server.exchange(api_key)

    await change(server, update_key, api_key, {"scope": "a"})

    assert (await server.refresh(pair.refresh_token)).scope == "a"


async def test_forward_auth_says_that_a_key_is_disabled(server):
    api_key = await server.create_key()

    await change(server, disable_key, api_key)

    answer = await verify(server, basic(f"{api_key}:"))
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, invalid("disabled"))
