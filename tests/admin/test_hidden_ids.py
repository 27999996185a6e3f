"""To a delegated caller, what others have looks like what does not exist: in each operation and by each id."""

import json
from base64 import urlsafe_b64decode
from itertools import product

import msgspec
import pytest
from tests.server.conftest import key_id_of, nobodys_key

from hourpass.admin.http import write_request
from hourpass.admin.operations import OPERATIONS
from hourpass.core.actor import Actor
from hourpass.core.grant_events import GrantRevoked

pytestmark = pytest.mark.anyio

MORE_THAN_A_PAGE_READS = 1_600

NAMING = ("key_id", "grant_id", "external_id", "subject", "text", "tag", "token", "api_key", "texts")
"""The members that say what somebody asks for."""

ASKED = [
    (operation, member)
    for operation in OPERATIONS
    if operation.delegated
    for member in NAMING
    if member in operation.asks.__struct_fields__
    and (operation.name, member) != ("create_key", "subject")  # there it names nothing that exists
]

OTHERWISE = {
    "list_audit": [{}, {"newest": True}, {"newest": True, "event": "key.created"}, {"until": "2020-01-01T00:00:00Z"}]
}


@pytest.fixture
async def hidden(server, owner):
    """What the caller may not see, and beside it what does not exist.

    It is two keys of others, and two admin keys whose subject begins with the caller's prefix.
    """
    found = []
    for subject, admin in (("other/1", {}), ("acme/root", {"admin": "auditor"})):
        new = {"name": "n", "subject": subject, "tags": {"t": subject}, **admin}
        await owner.post("keys", json={**new, "external_id": f"2 {subject}".replace(" ", "-")})
        api_key = (await owner.post("keys", json={**new, "external_id": subject})).json()["api_key"]
        ids = {"key_id": key_id_of(api_key), "subject": subject, "text": subject, "external_id": subject}
        ids |= {"tag": [f"t={subject}"], "api_key": api_key, "texts": [api_key, api_key]}
        if not admin:
            pair = await server.exchange(api_key)
            [grant] = (await owner.get(f"keys/{ids['key_id']}/grants")).json()["data"]
            ids |= {"grant_id": grant["grant_id"], "token": pair.refresh_token.decode()}
            events = [GrantRevoked(ids["grant_id"], ids["key_id"], "revoked", Actor("x"))] * MORE_THAN_A_PAGE_READS
            await server.app.issuer.ledger.run(lambda store, events=events: store.append_audit(server.clock(), events))
        forged = UNKNOWN["token"] if admin else ids["token"][:-43] + ids["token"][-43:][::-1]
        found.append((UNKNOWN | ids, UNKNOWN | {"token": forged}))
    return found


UNKNOWN = {
    "key_id": "0" * 12,
    "grant_id": "0" * 32,
    "external_id": "made-up",
    "subject": "made-up",
    "text": "made-up",
    "tag": ["t=made-up"],
    "token": "eyJhbGciOiJIUzI1NiJ9.e30.AA",
    "api_key": nobodys_key(),
    "texts": [nobodys_key(), nobodys_key()],
}


def request_of(operation, ids, others):
    fields = msgspec.structs.fields(operation.asks)
    given = {field.name: ids.get(field.name, "x") for field in fields if field.required} | others
    return write_request(operation, msgspec.convert(given, operation.asks))


async def answer(caller, method, request, ids):
    headers = request.headers | {"content-type": "application/json"}
    path = request.path.removeprefix("/")
    got = await caller.request(method, path, params=request.query, content=request.body, headers=headers)
    text = got.text
    for each in ids.values():
        for one in each if isinstance(each, list) else [each]:
            text = text.replace(one, "…")
    body = json.loads(text)
    body.pop("request_id", None)
    if body.get("next"):  # without its MAC, which is over the filters
        body["next"] = urlsafe_b64decode(body["next"] + "==")[9:]
    return got.status_code, {k: v for k, v in got.headers.items() if k not in {"x-request-id", "content-length"}}, body


async def test_an_id_of_another_is_answered_as_one_that_does_not_exist(server, owner, delegated, hidden):
    for (operation, member), pair in product(ASKED, hidden):
        limit = {"limit": 1} if "limit" in operation.asks.__struct_fields__ else {}
        for others in OTHERWISE.get(operation.name, [{}]):
            asked = limit | others
            both = [
                await answer(
                    delegated, operation.method, request_of(operation, each, asked | {member: each[member]}), each
                )
                for each in pair
            ]
            assert both[0] == both[1], (operation.name, member, others)
    assert {operation.name for operation, _ in ASKED} >= {"list_keys", "list_audit", "get_grant", "find_key"}
