"""What a delegated admin key may do to keys of its own subjects, and what it learns of others."""

import asyncio

import pytest
from tests.admin.conftest import refused

pytestmark = pytest.mark.anyio

WIDER = [
    {"scope": "billing.admin videos.read"},
    {"audiences": ["https://billing.example"]},
    {"claims": {"tenant": "acme"}},
]


async def test_a_caller_is_told_its_name_and_its_role(admin, delegated):
    auditor = await admin.called("auditor", name="Night shift")

    told = [(await each.get("me")).json() for each in (auditor, delegated)]

    assert [(each["name"], each["role"], each["subject_prefix"]) for each in told] == [
        ("Night shift", "auditor", None),
        ("test", "operator", "acme/"),
    ]


@pytest.mark.parametrize("wider", WIDER)
async def test_a_delegated_caller_may_only_end_a_key_that_it_could_not_make(owner, delegated, wider):
    key = {"name": "wide", "subject": "acme/1", "scope": "videos.read"} | wider
    path = f"keys/{(await owner.post('keys', json=key)).json()['key_id']}"
    [member] = wider

    async def is_refused(method, path, body=None):
        answer = await delegated.request(method, path, json=body)
        assert refused(answer) == (422, "invalid_request"), answer.text
        assert answer.json()["problems"][0]["name"] == member

    await is_refused("POST", f"{path}/rotate", {})
    await is_refused("POST", f"{path}/rotate", {"now": True})
    for change in ({"name": "x"}, {"expires_at": None}, {"allowed_ips": []}, {"access_token_lifetime": 600}):
        await is_refused("PATCH", path, change)
    assert (await delegated.post(f"{path}/disable")).json()["changed"]
    await is_refused("POST", f"{path}/enable")
    assert (await delegated.post(f"{path}/revoke")).json()["changed"]


async def test_after_its_maximum_scope_is_lowered_a_delegated_caller_gets_no_secret_of_a_wider_key(owner, delegated):
    new = {"name": "n", "subject": "acme/1", "scope": "videos.read"}
    once = {"idempotency-key": "made"}
    made = (await delegated.post("keys", json=new, headers=once)).json()
    rotate = f"keys/{made['key_id']}/rotate"
    rotated = await delegated.post(rotate, json={}, headers={"idempotency-key": "rotated"})
    assert rotated.status_code == 200

    # The key becomes wider: what the caller has is unchanged, so an answer could be given again.
    await owner.patch(f"keys/{made['key_id']}", json={"scope": "billing.admin videos.read"})
    for path, body, key in (("keys", new, "made"), (rotate, {}, "rotated"), (rotate, {}, "another")):
        answer = await delegated.post(path, json=body, headers={"idempotency-key": key})
        assert refused(answer) == (422, "invalid_request")


async def test_an_external_id_tells_a_delegated_caller_nothing(owner, delegated):
    await owner.post("keys", json={"name": "theirs", "subject": "other/1", "external_id": "taken"})
    new = {"name": "n", "subject": "acme/1"}

    answers = [await delegated.post("keys", json=new | {"external_id": each}) for each in ("taken", "free")]

    bodies = [{**answer.json(), "request_id": ""} for answer in answers]
    assert bodies[0] == bodies[1]
    assert refused(answers[0]) == (422, "invalid_request")
    assert bodies[0]["problems"][0]["name"] == "external_id"
    assert (await delegated.get("keys", params={"external_id": "taken"})).json()["data"] == []


async def test_an_external_id_that_is_taken_is_a_refusal_that_names_it(anywhere):
    owner = await anywhere.caller()
    new = {"name": "n", "external_id": "42"}

    answers = await asyncio.gather(*(owner.post("/keys", json=new) for _ in range(4)))

    assert sorted(answer.status_code for answer in answers) == [201, 422, 422, 422]
    assert {answer.json()["problems"][0]["name"] for answer in answers if answer.status_code == 422} == {"external_id"}


async def test_two_nodes_make_one_key_of_calls_with_one_external_id(start, place, kind):
    if kind == "memory":
        pytest.skip("a database in memory has one server")
    first = await start(**place)
    second = await start(first.clock, **place)
    ada = await first.caller()
    both = [ada, await second.caller_with(ada.api_key)]

    for number in range(10):
        new = {"name": "n", "external_id": f"{number}"}
        answers = await asyncio.gather(*(caller.post("/keys", json=new) for caller in both))
        # An SQLite file makes one of two calls wait, and may be busy for longer than it waits.
        assert sorted(answer.status_code for answer in answers) in ([201, 422], [201, 503]), number


async def test_the_timeline_of_a_grant_names_no_operator_to_a_delegated_caller(server, owner, delegated):
    api_key = await server.create_key(subject="acme/1", scope="videos.read")
    await server.exchange(api_key)
    [grant] = (await delegated.get("grants")).json()["data"]
    await owner.post(f"grants/{grant['grant_id']}/revoke")

    async def told(caller):
        events = (await caller.get(f"grants/{grant['grant_id']}/timeline")).json()["events"]
        return [(event["actor"], event["address"]) for event in events if event["kind"] == "revoked"]

    assert await told(owner) == [(f"key:{(await owner.get('me')).json()['key_id']}", "127.0.0.1")]
    assert await told(delegated) == [("operator", None)]
