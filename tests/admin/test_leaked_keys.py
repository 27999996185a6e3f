"""A scanner's findings over the admin API: whose keys they are, and their end."""

import pytest
from tests.admin.conftest import refused
from tests.server.conftest import key_id_of, nobodys_key

pytestmark = pytest.mark.anyio


async def told(client, texts, path="keys/leaked"):
    answer = (await client.post(path, json={"texts": texts})).json()
    return [(key["key_id"], key["good"], key["state"], key["revoked"]) for key in answer["keys"]], answer["strangers"]


async def test_an_auditor_looks_and_an_operator_ends_keys_but_not_admin_keys(server, admin, owner):
    auditor, operator = await admin.called("auditor"), await admin.called("operator")
    key, admins = await server.create_key(), await server.create_key(admin="owner")
    texts, ids = [key, admins, nobodys_key()], [text.split("_")[2] for text in (key, admins)]

    assert await told(auditor, texts) == ([(each, True, "active", False) for each in ids], 1)
    assert refused(await auditor.post("keys/leaked/revoke", json={"texts": texts})) == (403, "insufficient_scope")
    assert await told(operator, texts, "keys/leaked/revoke") == (
        [(ids[0], True, "revoked", True), (ids[1], True, "active", False)],
        1,
    )
    assert await told(owner, texts, "keys/leaked/revoke") == (
        [(ids[0], False, "revoked", False), (ids[1], True, "revoked", True)],
        1,
    )
    assert (await owner.get(f"keys/{ids[0]}")).json()["revoked_why"] == "leaked"


async def test_to_a_delegated_caller_anothers_key_only_looks_like_one(server, owner, delegated):
    own, theirs = await server.create_key(subject="acme/a", scope="videos.read"), await server.create_key(subject="b")

    found = await told(delegated, [own, theirs], "keys/leaked/revoke")

    assert found == ([(own.split("_")[2], True, "revoked", True)], 1)
    assert (await owner.get(f"keys/{theirs.split('_')[2]}")).json()["state"] == "active"


@pytest.mark.parametrize("way", ["keys/{}/revoke", "keys/leaked/revoke"])
async def test_an_operator_who_ends_a_leaked_key_is_in_the_trail_with_the_leak_once(server, admin, owner, way):
    operator, key = await admin.called("operator"), await server.create_key()
    key_id = key_id_of(key)
    asked = {"texts": [key]} if "{}" not in way else {"reason": "leaked"}

    for _ in range(2):
        assert (await operator.post(way.format(key_id), json=asked)).status_code == 200

    lines = (await owner.get(f"audit?key_id={key_id}")).json()["data"][1:]
    assert [(line["event"], line["detail"]) for line in lines] == [
        ("key.leaked", {"reported_by": "operator", "url": ""}),
        ("key.revoked", {"reason": "leaked"}),
    ]
    assert {line["actor"] for line in lines} == {(await operator.get("me")).json()["actor"]}


async def test_who_only_looks_whose_keys_leaked_writes_nothing(server, owner):
    key = await server.create_key()

    await told(owner, [key])

    trail = (await owner.get(f"audit?key_id={key_id_of(key)}")).json()["data"]
    assert [line["event"] for line in trail] == ["key.created"]


async def test_more_texts_than_a_body_holds_are_refused(owner):
    assert refused(await owner.post("keys/leaked", json={"texts": ["x"] * 401})) == (422, "invalid_request")
    longest = await owner.post("keys/leaked", json={"texts": [f"{n:x>128}" for n in range(400)]})
    assert (longest.status_code, longest.json()["strangers"]) == (200, 400)
