"""Grants over the admin API: pages, who sees which, and who may revoke."""

import pytest
from tests.admin.conftest import refused

pytestmark = pytest.mark.anyio


async def open_grants(server, count, **members):
    """The id of a new key with so many grants."""
    api_key = await server.create_key(**members)
    for _ in range(count):
        await server.exchange(api_key)
    return api_key.split("_")[2]


async def pages(client, path, **query):
    """Everything that a list has, page by page."""
    found = []
    while True:
        answer = (await client.get(path, params=query)).json()
        assert len(answer["data"]) <= query.get("limit", 50)
        found += answer["data"]
        if answer["next"] is None:
            return found
        query["cursor"] = answer["next"]


def ids(grants):
    return [grant["grant_id"] for grant in grants]


async def test_pages_hold_every_grant_once(server, owner):
    first, second = await open_grants(server, 3), await open_grants(server, 2)

    grants = await pages(owner, "grants", limit=2)
    mine = [grant for grant in grants if grant["key_id"] in {first, second}]

    assert len(mine) == len(set(ids(mine))) == 5
    assert ids(await pages(owner, f"keys/{first}/grants", limit=1)) == [
        grant["grant_id"] for grant in mine if grant["key_id"] == first
    ]


async def test_a_list_can_be_of_one_state(server, owner):
    key_id = await open_grants(server, 2)
    [one, other] = ids(await pages(owner, f"keys/{key_id}/grants"))

    assert (await owner.post(f"grants/{one}/revoke")).json() == {"grant_id": one, "key_id": key_id, "changed": True}
    assert (await owner.post(f"grants/{one}/revoke")).json()["changed"] is False

    assert ids(await pages(owner, f"keys/{key_id}/grants", state="live")) == [other]
    assert ids(await pages(owner, "grants", state="revoked")) == [one]
    assert refused(await owner.get("grants", params={"state": "dead"})) == (422, "invalid_request")
    assert refused(await owner.get("grants", params={"cursor": "zz.zz"})) == (422, "invalid_request")


async def test_a_grant_is_found_with_its_key_and_without(server, owner):
    key_id, other = await open_grants(server, 1, subject="acme/ada", scope="videos.read"), await open_grants(server, 1)
    [grant] = await pages(owner, f"keys/{key_id}/grants")

    assert grant["subject"] == "acme/ada"
    for query in ({}, {"key_id": key_id}):
        assert (await owner.get(f"grants/{grant['grant_id']}", params=query)).json() == grant
    missing = await owner.get(f"grants/{grant['grant_id']}", params={"key_id": other})
    assert refused(missing) == (404, "not_found")


@pytest.mark.parametrize("limit", [1, 2, 50])
async def test_a_delegated_caller_sees_the_grants_of_its_own_subjects(server, delegated, limit):
    own = [await open_grants(server, count, subject=f"acme/{count}", scope="videos.read") for count in (3, 0, 2, 1)]
    await open_grants(server, 2, subject="acme-of-somebody-else")

    grants = await pages(delegated, "grants", limit=limit)

    assert len(grants) == len(set(ids(grants))) == 6
    assert {grant["key_id"] for grant in grants} == {own[0], own[2], own[3]}


async def test_another_subjects_grant_is_to_a_delegated_caller_as_one_that_does_not_exist(server, owner, delegated):
    key_id = await open_grants(server, 1, subject="other/ada")
    [grant] = ids(await pages(owner, f"keys/{key_id}/grants"))

    for theirs, nobodys in ((f"keys/{key_id}/grants", "keys/nobody000000/grants"), (f"grants/{grant}", "grants/00")):
        assert refused(await delegated.get(theirs)) == refused(await delegated.get(nobodys))
    assert refused(await delegated.post(f"grants/{grant}/revoke")) == (404, "not_found")
    assert refused(await delegated.get("grants", params={"cursor": f"{key_id}."})) == (422, "invalid_request")
    assert ids(await pages(owner, "grants", state="revoked")) == []


async def test_only_an_owner_ends_the_grant_of_an_admin_key(server, admin, owner):
    operator, auditor = await admin.called("operator"), await admin.called("auditor")
    key_id = await open_grants(server, 1)
    [grant] = ids(await pages(auditor, f"keys/{key_id}/grants"))
    [admins] = ids(await pages(auditor, f"keys/{(await owner.get('me')).json()['key_id']}/grants"))

    assert refused(await auditor.post(f"grants/{grant}/revoke")) == (403, "insufficient_scope")
    assert (await operator.post(f"grants/{grant}/revoke")).json()["changed"]
    assert refused(await operator.post(f"grants/{admins}/revoke")) == (403, "insufficient_scope")
    assert (await owner.post(f"grants/{admins}/revoke")).json()["changed"]
