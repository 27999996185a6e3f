"""What a change of an API key does to its clients: the next request sees it."""

import pytest
from tests.server.conftest import key_id_of
from tests.server.test_api_keys import basic
from tests.server.test_verify import invalid, verify

from hourpass.core.actor import Actor
from hourpass.core.errors import InvalidCredentials, InvalidGrant
from hourpass.server.keys.editing import disable_key, enable_key, update_key

pytestmark = pytest.mark.anyio


async def change(server, work, api_key, *members):
    now = server.clock()
    await server.app.issuer.ledger.run(
        lambda store: work(store, key_id_of(api_key), *members, now, actor=Actor("test"))
    )
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


@pytest.mark.parametrize("named", [None, "a b", "a"])
async def test_a_scope_that_a_key_loses_is_lost_by_every_grant(server, named):
    """Also by one that named its scope: no client can keep what it once asked for."""
    api_key = await server.create_key(scope="a b")
    pair = await server.exchange(api_key, scope=named)

    await change(server, update_key, api_key, {"scope": "b"})

    assert (await server.refresh(pair.refresh_token)).scope == ("" if named == "a" else "b")


@pytest.mark.parametrize("work", [update_key, disable_key])
async def test_the_tokens_that_are_out_may_end_with_the_change_and_the_grants_go_on(server, work):
    api_key = await server.create_key()
    pair = await server.exchange(api_key)
    other = (await server.exchange(await server.create_key())).access_token.decode()
    now, policy = server.clock(), server.settings.policy()
    more = ({"name": "new"},) if work is update_key else ()

    await server.app.issuer.ledger.run(
        lambda store: work(store, key_id_of(api_key), *more, now, actor=Actor("test"), ends_tokens=policy)
    )
    await server.later(1)
    await change(server, enable_key, api_key)

    assert (await verify(server, f"Bearer {pair.access_token.decode()}")).status_code == 401
    assert (await verify(server, f"Bearer {other}")).status_code == 204
    fresh = (await server.refresh(pair.refresh_token)).access_token.decode()
    assert (await verify(server, f"Bearer {fresh}")).status_code == 204


async def test_a_token_of_the_same_second_as_the_end_of_the_others_is_good(server):
    api_key = await server.create_key()
    policy = server.settings.policy()
    now = server.clock()
    await server.app.issuer.ledger.run(
        lambda store: update_key(store, key_id_of(api_key), {}, now, actor=Actor("test"), ends_tokens=policy)
    )
    await server.later(0)

    token = (await server.exchange(api_key)).access_token.decode()

    assert (await verify(server, f"Bearer {token}")).status_code == 204


@pytest.mark.parametrize("work", [update_key, disable_key])
async def test_asking_again_to_end_the_tokens_of_a_key_writes_nothing_if_it_has_none(server, work):
    """Each entry is kept for a day, and sent to every verifier."""
    api_key = await server.create_key()
    policy, more = server.settings.policy(), ({},) if work is update_key else ()
    await change(server, disable_key, api_key)
    server.clock.advance(3600)
    ledger = server.app.issuer.ledger

    async def asked_again() -> tuple[int, int, int]:
        now = server.clock()
        await ledger.run(
            lambda store: work(store, key_id_of(api_key), *more, now, actor=Actor("test"), ends_tokens=policy)
        )
        server.clock.advance(0.7)
        return await ledger.read(
            lambda store: (
                len(store.revocations_after(0, now)),
                len(store.audit_after(0, 999)),
                store.control().version,
            )
        )

    first, *others = [await asked_again() for _ in range(9)]

    assert first[0] == 1
    assert others == [first] * 8
