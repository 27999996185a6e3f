"""Finding an imported key by a slow hash: it holds up nobody, and tells nothing of keys that are hidden."""

import asyncio

import pytest
from tests.admin.conftest import refused
from tests.server.test_slow_hashes import KEY, OTHER, bcrypt_of, load

pytestmark = pytest.mark.anyio


async def find(caller, text: str):
    return await caller.post("keys/find", json={"api_key": text})


async def test_a_slow_hash_is_checked_in_a_turn_of_those_for_proofs_and_holds_up_nobody(server, owner):
    [key_id] = await load(server, ("bcrypt", bcrypt_of(KEY)))
    slow = server.app.issuer.authentication._slow

    async with slow.turn("one"), slow.turn("another"):
        waiting = asyncio.ensure_future(find(owner, KEY))
        assert (await owner.get("keys")).status_code == 200
        assert not waiting.done()
        full = await waiting

    assert refused(full) == (503, "temporarily_unavailable")
    assert full.headers["retry-after"] == "1"
    assert (await find(owner, KEY)).json()["key_id"] == key_id


async def test_a_caller_has_one_slow_hash_checked_at_a_time(server, owner):
    await load(server, ("bcrypt", bcrypt_of(KEY)))
    caller = f"key:{(await owner.get('me')).json()['key_id']}"

    async with server.app.issuer.authentication._slow.turn("another", caller):
        assert refused(await find(owner, KEY)) == (503, "temporarily_unavailable")


async def test_no_slow_hash_is_checked_of_a_key_that_the_caller_may_not_see(server, delegated):
    await load(server, ("bcrypt", bcrypt_of(KEY)), subject="other/1")
    [own] = await load(server, ("bcrypt", bcrypt_of(OTHER)), lookup=OTHER[:12], subject="acme/1")
    slow = server.app.issuer.authentication._slow

    async with slow.turn("one"), slow.turn("another"):  # so a check would be refused
        answers = [await find(delegated, text) for text in (KEY, KEY[::-1])]
        assert refused(await find(delegated, OTHER)) == (503, "temporarily_unavailable")

    hidden, unknown = ({**answer.json(), "request_id": ""} for answer in answers)
    assert hidden == unknown
    assert hidden["status"] == 404
    assert (await find(delegated, OTHER)).json()["key_id"] == own
    assert refused(await find(delegated, KEY)) == (404, "not_found")


async def test_a_secret_that_has_ended_tells_its_key_only_to_a_caller_who_sees_that(server, owner, delegated):
    made = (await owner.post("keys", json={"name": "n", "subject": "other/1"})).json()
    await owner.post(f"keys/{made['key_id']}/rotate", json={"now": True})

    answers = [
        await caller.post("keys/find", json={"api_key": made["api_key"], "alive": True})
        for caller in (owner, delegated)
    ]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert [made["key_id"] in answer.text for answer in answers] == [True, False]
