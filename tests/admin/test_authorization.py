"""Who may do what over the admin API: every operation with every kind of caller, as the reference says.

A new operation is asked without a change here. Its scope must be one of the table.
"""

import json

import httpx2
import msgspec
import pytest
from tests.server.conftest import key_id_of

from hourpass.admin.operations import OPERATIONS, ROOT

READ = {
    "keys:read", "grants:read", "audit:read", "signing-keys:read", "webhooks:read", "trusts:read", "overview:read",
}  # fmt: skip
WRITE = {"keys:write", "grants:write", "tokens:write", "trusts:write", "webhooks:write"}
OWNERS = {"signing-keys:write", "tokens:revoke-all", "admin:write"}
DELEGATED = {"keys:read", "keys:write", "grants:read", "grants:write", "tokens:write", "audit:read"}
NOT_DELEGATED = {"import_keys", "verify_audit"}
"""What a delegated caller may not ask, although it has the scope."""

MAY = {
    "owner": READ | WRITE | OWNERS,
    "operator": READ | WRITE,
    "auditor": READ,
    "delegated": DELEGATED,
    "narrowed": {"grants:read"},
    "demoted": READ,
}
"""A caller -> the scopes that it has."""

REFUSED = ("nobody", "client", "basic", "bearer_key", "header_key", "forged", "revoked", "disabled", "expired")
"""Callers whose credential is not accepted for any call."""

BODIES = {
    "revoke_issued_before": {"issued_before": "2999-01-01T00:00:00Z"},
    "create_webhook": {"url": "http://127.0.0.1/"},
    "find_leaked_keys": {"texts": ["x"]},
    "revoke_leaked_keys": {"texts": ["x"]},
}
"""Bodies that are refused for what they say, and not for who sends them: so nothing is changed under the others."""

pytestmark = pytest.mark.anyio


class Served:
    """A server in memory, and credentials for each caller."""

    def __init__(self, server) -> None:
        self.server = server
        self.http = server.admin
        self.public = server.client()
        self.callers: dict[str, dict[str, str]] = {}

    async def fill(self) -> "Served":
        """Make the credentials."""
        make = self.server.create_key
        owner = await make(admin="owner")
        demoted, revoked, disabled = [await make(admin="owner") for _ in range(3)]
        delegated = await make(admin="operator", subject_prefix="acme/", max_scope="videos.read")
        self.owner = await self.bearer(owner)
        self.callers = {
            "owner": self.owner,
            "operator": await self.bearer(await make(admin="operator")),
            "auditor": await self.bearer(await make(admin="auditor")),
            "delegated": await self.bearer(delegated),
            "narrowed": await self.bearer(owner, scope="grants:read"),
            "demoted": await self.bearer(demoted),
            "nobody": {},
            "client": await self.bearer(await make(scope="keys:read keys:write"), public=True),
            "bearer_key": {"authorization": f"Bearer {owner}"},
            "header_key": {"x-api-key": owner},
            "basic": {"authorization": httpx2.BasicAuth(owner, "")._auth_header},
            "revoked": await self.bearer(revoked),
            "disabled": await self.bearer(disabled),
        }
        # In the middle of the signature: the last bits of one may be zero anyway.
        good = self.owner["authorization"]
        self.callers["forged"] = {"authorization": good[:-40] + ("B" if good[-40] == "A" else "A") + good[-39:]}
        for key, change in ((demoted, {"admin": "auditor"}), (revoked, "revoke"), (disabled, "disable")):
            path = f"{ROOT}/keys/{key_id_of(key)}"
            done = (
                await self.http.patch(path, json=change, headers=self.owner)
                if isinstance(change, dict)
                else await self.http.post(f"{path}/{change}", headers=self.owner)
            )
            done.raise_for_status()
        await self.server.later(0)
        return self

    async def bearer(self, api_key: str, *, public: bool = False, **request) -> dict[str, str]:
        http = self.public if public else self.http
        answer = await http.post("/auth/api-key", json={"apiKey": api_key, **request})
        return {"authorization": f"Bearer {answer.raise_for_status().json()['access_token']}"}

    async def ask(self, operation, caller: str, ids: str = "nobody000000") -> httpx2.Response:
        path = operation.path
        for name in operation.in_path:
            path = path.replace(f"{{{name}}}", ids)
        body = None
        if operation.method in {"POST", "PATCH"} and not getattr(operation, "streams", False):
            body = BODIES.get(operation.name) or {
                field.name: "x"
                for field in msgspec.structs.fields(operation.asks)
                if field.required and field.name not in operation.in_path
            }
        return await self.http.request(operation.method, ROOT + path, json=body, headers=self.callers[caller])


@pytest.fixture
async def served(start):
    server = await start(admin_limit=0, api_key_sources=("bearer", "basic", "header:X-Api-Key"))
    served = await Served(server).fill()
    yield served
    await served.public.aclose()


def outcome(answer: httpx2.Response) -> str:
    """What became of an authorization. Every refusal has its challenge."""
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"
    if answer.status_code not in {401, 403}:
        assert answer.status_code < 500, answer.text
        assert "www-authenticate" not in answer.headers
        return "allowed"
    assert answer.headers["www-authenticate"].startswith("Bearer ")
    problem = answer.json()
    assert problem["request_id"] == answer.headers["x-request-id"]
    if answer.status_code == 403:
        assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
        assert ('scope="' in answer.headers["www-authenticate"]) == (problem["code"] == "insufficient_scope")
        return problem["code"]
    return str(answer.status_code)


async def test_every_operation_answers_every_caller_as_the_reference_says(served):
    told, expected = {}, {}
    # The last one would refuse every token that was issued until now.
    for operation in sorted(OPERATIONS, key=lambda each: each.scope in OWNERS):
        assert operation.scope in {"", *READ, *WRITE, *OWNERS}, f"{operation.name} needs an unknown scope"
        for caller in {*MAY, *REFUSED} - {"expired"}:
            told[operation.name, caller] = outcome(await served.ask(operation, caller))
            allowed = operation.scope in {"", *MAY.get(caller, ())}
            confined = caller == "delegated" and operation.name in NOT_DELEGATED
            said = "not_delegated" if confined else "allowed" if allowed else "insufficient_scope"
            expected[operation.name, caller] = "401" if caller in REFUSED else said

    for caller in ("revoked", "disabled"):
        assert (await served.ask(OPERATIONS[0], caller)).json()["reason"] == caller
    for caller in ("bearer_key", "header_key"):
        assert "this is an API key: exchange it" in (await served.ask(OPERATIONS[0], caller)).json()["detail"]
    await served.server.later(7_200)
    served.callers["expired"] = served.owner
    for operation in OPERATIONS:
        told[operation.name, "expired"] = outcome(await served.ask(operation, "expired"))
        expected[operation.name, "expired"] = "401"

    assert {case: word for case, word in told.items() if word != expected[case]} == {}
    assert len(told) == len(OPERATIONS) * len({*MAY, *REFUSED})


EXCEPTIONS = {
    "/me": "",
    "/openapi.json": "",
    "/keys/find": "keys:read",
    "/keys/leaked": "keys:read",
    "/keys/{key_id}/grants": "grants:read",
    "/tokens/inspect": "grants:read",
    "/tokens/revoke-issued-before": "tokens:revoke-all",
    "/events": "audit:read",
    "/sign-ins": "audit:read",
    "/sign-ins/{sign_in_id}": "admin:write",
}


def test_reading_a_thing_needs_its_scope_to_read_and_everything_else_its_scope_to_write():
    for operation in OPERATIONS:
        thing = operation.path.split("/")[1]
        rule = f"{thing}:{'read' if operation.method == 'GET' else 'write'}"
        assert operation.scope == EXCEPTIONS.get(operation.path, rule), operation.name
        assert operation.reads == (operation.method == "GET" or operation.scope.endswith(":read")), operation.name


async def test_what_belongs_to_another_subject_is_to_a_delegated_caller_as_what_does_not_exist(served):
    make = served.server.create_key
    theirs, admins = await make(subject="bolt/1"), await make(admin="auditor")
    pair = (await served.public.post("/auth/api-key", json={"apiKey": theirs})).json()
    listed = await served.http.get(f"{ROOT}/keys/{key_id_of(theirs)}/grants", headers=served.owner)
    [grant] = listed.json()["data"]
    foreign = {"key_id": [key_id_of(theirs), key_id_of(admins)], "grant_id": [grant["grant_id"]]}
    nobodys = {"key_id": "0aZnobody001", "grant_id": "00" * 16}

    async def answer(operation, given: str) -> bytes:
        said = await served.ask(operation, "delegated", given)
        body = said.content.replace(said.headers["x-request-id"].encode(), b"ID").replace(given.encode(), b"GIVEN")
        headers = {name: value for name, value in said.headers.items() if name not in {"x-request-id", "date"}}
        headers.pop("content-length")
        return json.dumps([said.status_code, headers]).encode() + body

    asked = [each for each in OPERATIONS if set(each.in_path) & foreign.keys() and each.delegated]
    assert len(asked) >= 8
    for operation in asked:
        [name] = operation.in_path
        for given in foreign[name]:
            assert await answer(operation, given) == await answer(operation, nobodys[name]), (operation.name, given)

    async def posted(path: str, body: dict) -> tuple[int, bytes]:
        said = await served.http.post(ROOT + path, json=body, headers=served.callers["delegated"])
        return said.status_code, said.content.replace(said.headers["x-request-id"].encode(), b"ID")

    last = "A" if theirs[-10] != "A" else "B"
    made_up = theirs[:-10] + last + theirs[-9:]
    for path in ("/keys/find", "/tokens/revoke"):
        member = "api_key" if path == "/keys/find" else "token"
        first, second = [await posted(path, {member: text}) for text in (theirs, made_up)]
        assert first == second, path
    assert (await posted("/tokens/revoke", {"token": pair["access_token"]}))[0] == 404
    assert (await posted("/tokens/revoke", {"token": pair["refresh_token"]}))[0] == 404
    listed = await served.http.get(f"{ROOT}/keys", headers=served.callers["delegated"])
    assert listed.json() == {"data": [], "next": None}
    events = await served.http.get(f"{ROOT}/events", headers=served.callers["delegated"])
    assert events.json()["data"] == []
