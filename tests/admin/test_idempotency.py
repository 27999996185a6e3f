"""A call with an Idempotency-Key is carried out once, and its answer is given again, with the secret it made."""

import asyncio
import re

import pytest
from msgspec.json import encode
from tests.server.conftest import key_id_of

from hourpass.admin.operations import CREATE_KEY, OPERATIONS
from hourpass.admin.shapes import CreateKey
from hourpass.core.actor import Actor
from hourpass.core.errors import CallUnderWay
from hourpass.server.admin.administration import AdminKeyIdentity
from hourpass.server.admin.idempotency import KeyedCall, Reserved
from hourpass.server.admin.secrets_again import MADE_AGAIN, SECRET_MEMBERS
from hourpass.server.keys.replacing import retire_secrets, rotate_secret
from hourpass.server.keys.sealed import IDEMPOTENCY
from hourpass.server.store.idempotent_calls import IdempotentCall
from hourpass.server.transport.request import Reply

pytestmark = pytest.mark.anyio

NEW = {"name": "customer", "scope": "videos.read", "tags": {"a": "1", "b": "2"}}
KEY = "3b1f0c4e-one"


async def keys_named(caller, name: str) -> list[dict]:
    return [key for key in (await caller.get("/keys?limit=200")).json()["data"] if key["name"] == name]


async def stored(anywhere, sql: str) -> str:
    """What a statement finds in the database, as text."""
    return repr(await anywhere.app.issuer.ledger.run(lambda store: store._fetch(sql)))


async def test_a_repeated_call_gets_the_same_answer_with_the_secret_and_makes_no_second_key(anywhere):
    owner = await anywhere.caller()

    first = await owner.post("/keys", json=NEW, once=KEY)
    again = await owner.post("/keys", json=NEW, once=KEY)

    assert first.status_code == 201
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["etag"] == first.headers["etag"]
    assert again.headers["content-type"] == "application/json"
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert len(await keys_named(owner, "customer")) == 1
    assert (await anywhere.client().post("/auth/api-key", json={"apiKey": again.json()["api_key"]})).status_code == 200


async def test_neither_the_secret_nor_the_idempotency_key_is_stored(anywhere):
    owner = await anywhere.caller()
    made = (await owner.post("/keys", json=NEW, once=KEY)).json()
    rotated = (await owner.post(f"/keys/{made['key_id']}/rotate", json={}, once="rot-7")).json()

    rows = await stored(anywhere, "select * from idempotent_calls")

    assert made["key_id"] in rows  # the rest of the answer is there
    for text in (made["api_key"], rotated["api_key"]):
        secret = text.rsplit("_", 1)[1]
        assert secret not in rows
        assert secret[:26] not in rows
    assert KEY not in rows
    assert "rot-7" not in rows


async def test_the_order_of_the_members_does_not_matter(anywhere):
    owner = await anywhere.caller()
    first = await owner.post("/keys", json=NEW, once=KEY)

    other_order = '{"tags": {"b": "2", "a": "1"},\n "scope": "videos.read", "name": "customer"}'
    again = await owner.post("/keys", content=other_order, once=KEY)

    assert again.content == first.content


async def test_another_body_or_route_with_the_same_key_is_refused_and_does_nothing(anywhere):
    owner = await anywhere.caller()
    made = (await owner.post("/keys", json=NEW, once=KEY)).json()
    path = f"/keys/{made['key_id']}"

    for route, body in (("/keys", NEW | {"name": "another"}), (f"{path}/revoke", None), (f"{path}/rotate", {})):
        refused = await owner.post(route, json=body, once=KEY)
        assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")

    assert await keys_named(owner, "another") == []
    assert (await owner.get(path)).json()["state"] == "active"


async def test_the_same_key_of_another_caller_is_another_key(anywhere):
    ada, ben = await anywhere.caller(), await anywhere.caller()

    first = await ada.post("/keys", json=NEW, once=KEY)
    second = await ben.post("/keys", json=NEW, once=KEY)

    assert first.json()["api_key"] != second.json()["api_key"]
    assert (await ada.post("/keys", json=NEW, once=KEY)).content == first.content


async def test_a_refusal_is_kept_too(anywhere):
    owner = await anywhere.caller()
    made = (await owner.post("/keys", json=NEW)).json()
    path = f"/keys/{made['key_id']}"
    await owner.post(f"{path}/disable")
    refused = await owner.post(f"{path}/rotate", json={}, once=KEY)
    await owner.post(f"{path}/enable")

    again = await owner.post(f"{path}/rotate", json={}, once=KEY)

    assert refused.status_code == 400
    assert (again.status_code, again.content) == (400, refused.content)
    assert (await owner.post(f"{path}/rotate", json={}, once="new")).status_code == 200


async def test_a_refusal_that_says_when_to_come_back_is_not_kept(anywhere):
    owner = await anywhere.caller()
    made = (await owner.post("/keys", json=NEW)).json()
    rotate = f"/keys/{made['key_id']}/rotate"
    new = (await owner.post(rotate, json={"overlap": 60})).json()["api_key"]
    await anywhere.client().post("/auth/api-key", json={"apiKey": new})  # two secrets are alive now
    refused = await owner.post(rotate, json={}, once=KEY)
    assert (refused.status_code, refused.json()["code"]) == (409, "rotation_under_way")
    await anywhere.later(int(refused.headers["retry-after"]))

    assert (await owner.post(rotate, json={}, once=KEY)).status_code == 200


async def test_a_body_that_was_wrong_may_be_mended_under_the_same_key(here):
    owner = await here.caller()
    assert (await owner.post("/keys", json={"nam": "customer"}, once=KEY)).status_code == 422

    assert (await owner.post("/keys", json=NEW, once=KEY)).status_code == 201


async def test_after_a_day_the_key_is_a_new_one_and_makes_another_secret(anywhere):
    owner = await anywhere.caller()
    first = (await owner.post("/keys", json=NEW, once=KEY)).json()
    await anywhere.later(86_399)
    late = await anywhere.caller_with(owner.api_key)
    assert (await late.post("/keys", json=NEW, once=KEY)).json() == first

    await anywhere.later(1)

    second = await late.post("/keys", json=NEW, once=KEY)
    assert second.status_code == 201
    assert second.json()["api_key"] != first["api_key"]
    assert second.json()["key_id"] != first["key_id"]


async def test_answers_are_forgotten_after_a_day_in_small_batches(anywhere):
    owner = await anywhere.caller()
    for number in range(5):
        await owner.post("/keys", json=NEW, once=f"n{number}")
    count = "select count(*) from idempotent_calls"
    run = anywhere.app.issuer.ledger.run

    assert await run(lambda store: store.prune_calls(anywhere.clock() + 86_399_999, 3)) == 0
    assert await stored(anywhere, count) == "[(5,)]"
    now = anywhere.clock() + 86_400_000
    assert [await run(lambda store: store.prune_calls(now, 3)) for _ in range(3)] == [3, 2, 0]
    assert await stored(anywhere, count) == "[(0,)]"


async def test_a_rotation_is_made_once_and_its_secret_told_again(anywhere):
    owner = await anywhere.caller()
    made = (await owner.post("/keys", json=NEW)).json()

    first = await owner.post(f"/keys/{made['key_id']}/rotate", json={}, once=KEY)
    again = await owner.post(f"/keys/{made['key_id']}/rotate", json={}, once=KEY)

    assert again.content == first.content
    assert (await anywhere.client().post("/auth/api-key", json={"apiKey": again.json()["api_key"]})).status_code == 200


async def test_a_rotation_at_once_is_made_once_too(anywhere):
    owner = await anywhere.caller()
    made = (await owner.post("/keys", json=NEW)).json()

    first = await owner.post(f"/keys/{made['key_id']}/rotate", json={"now": True}, once=KEY)
    again = await owner.post(f"/keys/{made['key_id']}/rotate", json={"now": True}, once=KEY)

    assert first.status_code == 200
    assert again.content == first.content


async def test_a_secret_that_another_one_replaced_is_not_told_again(anywhere):
    owner = await anywhere.caller()
    made = (await owner.post("/keys", json=NEW)).json()
    rotate = f"/keys/{made['key_id']}/rotate"
    first = await owner.post(rotate, json={}, once=KEY)
    await owner.post(rotate, json={}, once="another")

    gone = await owner.post(rotate, json={}, once=KEY)

    assert first.status_code == 200
    assert (gone.status_code, gone.json()["code"]) == (410, "answer_gone")


async def test_a_webhook_is_made_once_and_its_secrets_are_told_again_and_not_stored(anywhere):
    owner = await anywhere.caller()
    new = {"url": "https://93.184.215.14/hook"}

    made = await owner.post("/webhooks", json=new, once=KEY)
    assert made.status_code == 201
    rotate = f"/webhooks/{made.json()['webhook_id']}/rotate-secret"
    rotated = await owner.post(rotate, once="r")

    assert (await owner.post("/webhooks", json=new, once=KEY)).content == made.content
    assert (await owner.post(rotate, once="r")).content == rotated.content
    assert len((await owner.get("/webhooks")).json()["data"]) == 1
    rows = await stored(anywhere, "select * from idempotent_calls")
    assert not [each for each in (made, rotated) if each.json()["secret"].removeprefix("whsec_") in rows]


async def test_every_answer_with_a_secret_can_be_derived_again():
    with_secret = {each.name for each in OPERATIONS if set(SECRET_MEMBERS) & set(each.answers.__struct_fields__)}

    assert with_secret == set(MADE_AGAIN)


async def test_a_new_prefix_of_keys_changes_no_answer(start, place, kind):
    if kind == "memory":
        pytest.skip("a database in memory has one server")
    anywhere = await start(**place)
    owner = await anywhere.caller()
    made = await owner.post("/keys", json=NEW, once=KEY)
    rotated = await owner.post(f"/keys/{made.json()['key_id']}/rotate", json={}, once="r")

    other = await start(anywhere.clock, **place, key_prefix="acme")
    again = await other.caller_with(owner.api_key)

    assert (await again.post("/keys", json=NEW, once=KEY)).content == made.content
    assert (await again.post(f"/keys/{made.json()['key_id']}/rotate", json={}, once="r")).content == rotated.content
    assert (await again.post("/keys", json=NEW, once="new")).json()["api_key"].startswith("acme_")


async def replace(anywhere, kind: str) -> None:
    """Rotate a secret of the server, and retire the one before."""
    issuer = anywhere.app.issuer
    actor = {"actor": Actor("test")}

    def rotate(store):
        rotate_secret(store, issuer.secrets, kind, anywhere.clock(), lambda n: bytes([7]) * n, **actor)

    def retire(store):
        policy = anywhere.settings.policy()
        retire_secrets(store, issuer.secrets, kind, anywhere.clock(), policy, lambda n: bytes([8]) * n, **actor)

    await anywhere.later(61)  # the first secret is in use since then
    await issuer.ledger.run(rotate)
    await anywhere.later(61)
    await issuer.ledger.run(retire)
    await anywhere.later(0)


async def test_a_new_pepper_changes_no_answer(here):
    owner = await here.caller()
    made = await owner.post("/keys", json=NEW, once=KEY)
    await replace(here, "pepper")

    assert (await (await here.caller_with(await here.create_key(admin="owner"))).get("/keys")).status_code == 200
    # The caller's own key is under the pepper that was retired, and its token is good for its hour.
    assert (await owner.post("/keys", json=NEW, once=KEY)).content == made.content


async def test_a_rotation_whose_secret_of_the_server_is_gone_is_told_honestly(here):
    owner = await here.caller()
    made = await owner.post("/keys", json=NEW, once=KEY)
    rotate = f"/keys/{made.json()['key_id']}/rotate"
    await owner.post(rotate, json={}, once="r")
    await replace(here, "rotation")

    gone = await owner.post(rotate, json={}, once="r")

    assert (gone.status_code, gone.json()["code"]) == (410, "answer_gone")
    assert (await owner.post("/keys", json=NEW, once=KEY)).content == made.content


async def test_while_the_first_runs_the_same_call_is_told_to_wait_and_a_crash_ends_that_by_itself(anywhere):
    owner = await anywhere.caller()
    await owner.post("/keys", json=NEW, once="makes the server's secret")
    made = await owner.post("/keys", json=NEW | {"name": "b"}, once=KEY)
    # As a process leaves it that was killed: reserved, and neither the change nor the answer.
    sql = "update idempotent_calls set status = null, until = {} where {}"
    running = sql.format(anywhere.clock() + 30_000, "status is not null")
    await anywhere.app.issuer.ledger.run(lambda store: store._run_script(running))

    waits = await owner.post("/keys", json=NEW | {"name": "b"}, once=KEY)
    assert (waits.status_code, waits.json()["code"]) == (409, "idempotency_under_way")
    assert waits.headers["retry-after"] == "1"
    await anywhere.later(30)

    done = await owner.post("/keys", json=NEW | {"name": "b"}, once=KEY)
    assert done.status_code == 201
    assert done.json()["key_id"] != made.json()["key_id"]


async def test_twenty_calls_at_once_make_one_key(anywhere):
    owner = await anywhere.caller()

    answers = await asyncio.gather(*(owner.post("/keys", json=NEW, once=KEY) for _ in range(20)))

    assert {answer.status_code for answer in answers} <= {201, 409}
    bodies = {answer.content for answer in answers if answer.status_code == 201}
    assert len(bodies) == 1
    assert all(answer.headers["retry-after"] == "1" for answer in answers if answer.status_code == 409)
    assert len(await keys_named(owner, "customer")) == 1
    assert (await owner.post("/keys", json=NEW, once=KEY)).content in bodies


async def test_twenty_calls_at_once_on_two_nodes_make_one_key(start, place, kind):
    if kind == "memory":
        pytest.skip("a database in memory has one server")
    first = await start(**place)
    second = await start(first.clock, **place)
    ada = await first.caller()
    also_ada = await second.caller_with(ada.api_key)

    both = [ada, also_ada]
    answers = await asyncio.gather(*(both[n % 2].post("/keys", json=NEW, once=KEY) for n in range(20)))

    # An SQLite file makes one of two first calls wait, and may be busy for longer than one of them waits.
    assert {answer.status_code for answer in answers} <= {201, 409, 503}
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    assert len(await keys_named(ada, "customer")) == 1


async def test_a_caller_who_may_no_longer_do_it_gets_no_answer_again(anywhere):
    boss, helper = await anywhere.caller(), await anywhere.caller("operator")
    assert (await helper.post("/keys", json=NEW, once=KEY)).status_code == 201

    await boss.patch(f"/keys/{helper.key_id}", json={"admin": "auditor"})
    assert (await helper.post("/keys", json=NEW, once=KEY)).status_code == 403
    await boss.post(f"/keys/{helper.key_id}/revoke")
    assert (await helper.post("/keys", json=NEW, once=KEY)).status_code == 401


async def test_a_caller_who_may_no_longer_make_admin_keys_is_not_told_the_one_that_it_made(anywhere):
    boss, helper = await anywhere.caller(), await anywhere.caller()
    new = {"name": "another owner", "admin": "owner"}
    made = await helper.post("/keys", json=new, once=KEY)
    assert made.status_code == 201
    rotate = f"/keys/{made.json()['key_id']}/rotate"
    assert (await helper.post(rotate, json={}, once="rotated")).status_code == 200

    narrow = await anywhere.caller_with(helper.api_key, scope="keys:write")
    assert (await narrow.post("/keys", json=new, once=KEY)).status_code == 403
    assert (await narrow.post(rotate, json={}, once="rotated")).status_code == 403
    await boss.patch(f"/keys/{helper.key_id}", json={"admin": "operator"})
    assert (await helper.post("/keys", json=new, once=KEY)).status_code == 403
    assert (await helper.post(rotate, json={}, once="rotated")).status_code == 403


async def test_a_delegated_key_with_other_confines_gets_no_earlier_secret(here):
    boss = await here.caller()
    acme = await here.caller("operator", subject_prefix="acme/", max_scope="videos.read")
    new = NEW | {"subject": "acme/1"}
    made = await acme.post("/keys", json=new, once=KEY)
    assert made.status_code == 201
    await boss.patch(f"/keys/{acme.key_id}", json={"subject_prefix": "bolt/"})

    refused = await acme.post("/keys", json=new, once=KEY)

    assert refused.status_code == 422
    assert refused.json()["problems"][0]["name"] == "subject"


@pytest.mark.parametrize("key", ["", "a b", "ä", "x" * 256, "a\tb"])
async def test_an_idempotency_key_is_1_to_255_visible_ascii_characters(here, key):
    owner = await here.caller()

    answer = await owner.post("/keys", json=NEW, headers={b"idempotency-key": key.encode()})

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert await keys_named(owner, "customer") == []


async def test_two_idempotency_keys_are_refused_and_the_longest_is_accepted(here):
    owner = await here.caller()
    bearer = (b"authorization", f"Bearer {owner.token}".encode())
    twice = [bearer, (b"idempotency-key", b"a"), (b"idempotency-key", b"b")]
    assert (await here.admin.post("/admin/v1/keys", json=NEW, headers=twice)).status_code == 400

    assert (await owner.post("/keys", json=NEW, once="~" * 255)).status_code == 201


async def test_the_servers_secret_is_made_with_the_first_call_and_sealed(here):
    owner = await here.caller()
    await owner.post("/keys", json=NEW)

    async def secrets():
        return [each for each in await here.app.issuer.ledger.read(lambda store: store.sealed_secrets())
                if each.name == IDEMPOTENCY]  # fmt: skip

    assert await secrets() == []
    await owner.post("/keys", json=NEW, once=KEY)
    await owner.post("/keys", json=NEW, once="second")
    assert len(await secrets()) == 1


async def test_nothing_of_a_call_shows_in_a_repr():
    call = KeyedCall("the-key", type("O", (), {"name": "create_key"}), "asked", None)
    row = IdempotentCall(b"digest", b"print", b"seed", 1, 200, "h", b"body")
    shown = repr(Reserved(call, row, b"caller", b"own"))

    assert not re.search("the-key|asked|digest|seed|own|body", shown)


async def test_a_reading_call_ignores_a_valid_key_and_keeps_nothing(here):
    owner = await here.caller()
    found = await owner.post("/keys/find", json={"api_key": owner.api_key}, once=KEY)

    assert found.json()["key_id"] == key_id_of(owner.api_key)
    assert await stored(here, "select count(*) from idempotent_calls") == "[(0,)]"


async def test_a_call_that_took_too_long_and_was_made_again_meanwhile_changes_nothing(anywhere):
    owner = await anywhere.caller()
    work = anywhere.admin_app._work
    asked = CreateKey(name="customer")
    call = KeyedCall(KEY, CREATE_KEY, asked, lambda answer: Reply(201, [], encode(answer)))
    identity = AdminKeyIdentity(owner.key_id)
    slow = await work._transact(identity, lambda desk, store, now: desk.reserve(store, call, identity, now))
    await anywhere.later(30)
    made = await owner.post("/keys", json={"name": "customer"}, once=KEY)
    assert made.status_code == 201

    with pytest.raises(CallUnderWay):
        await work.call(CREATE_KEY, asked, identity._replace(reserved=slow))

    assert [key["key_id"] for key in await keys_named(owner, "customer")] == [made.json()["key_id"]]
