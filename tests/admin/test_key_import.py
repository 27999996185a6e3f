"""`POST /admin/v1/keys/import`: JSON lines, read while they come, in whole batches."""

import hmac
import json

import pytest
from tests.admin.conftest import ISSUER, later, refused
from tests.server.conftest import claims_of

from hourpass.server.endpoints.admin_import import MOST_LISTED
from hourpass.server.keys.importing import TOGETHER

pytestmark = pytest.mark.anyio

KEY = "sk_live_Zk3vQ8mW1xT6bY9cR4nL"
OTHER = "sk_live_pL2sD7fG5hJ9kM3nB8vC"


def lines(*rows):
    return "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)


def many(count):
    return [{"key": f"sk_live_Zk3vQ8mW1xT6bY9c{n:06}", "name": f"customer {n}"} for n in range(count)]


async def load(client, *rows, **query):
    return await client.post("keys/import", content=lines(*rows), params=query)


def counts(answer):
    assert answer.status_code == 200, answer.text
    return {name: count for name, count in answer.json().items() if name != "lines" and count}


async def keys_of(client):
    return (await client.get("keys")).json()["data"]


async def test_keys_are_imported_and_exchanged(server, owner):
    answer = await load(owner, {"key": KEY, "name": "Łódź", "scope": "a", "external_id": "7"})

    assert counts(answer) == {"created": 1}
    assert (await server.exchange(KEY)).scope == "a"
    assert [key["name"] for key in await keys_of(owner) if key["external_id"] == "7"] == ["Łódź"]


async def test_a_key_that_not_every_header_carries_is_listed_with_what_became_of_it(owner):
    answer = await load(owner, {"key": KEY, "name": "a"}, {"key": f"{OTHER}:x", "name": "b"})

    assert counts(answer) == {"created": 2, "ambiguous": 1}
    [line] = answer.json()["lines"]
    assert (line["line"], line["result"], "a colon" in line["warning"]) == (2, "created", True)


async def test_the_same_rows_again_change_nothing(owner):
    rows = many(3)
    await load(owner, *rows)

    assert counts(await load(owner, *rows)) == {"unchanged": 3}


async def test_the_trail_tells_who_imported_a_key_and_from_where(server, owner):
    me = (await owner.get("me")).json()["actor"]
    answer = await load(owner, {"key": KEY, "name": "a"})

    [line] = await server.app.issuer.ledger.read(
        lambda store: [each for each in store.audit_after(0, 100) if each.event == "key.imported"]
    )
    assert (line.actor, line.address, line.request_id) == (me, "127.0.0.1", answer.headers["x-request-id"])


async def test_a_failed_row_is_named_by_its_line_and_stops_no_other(owner):
    answer = await load(
        owner, {"key": KEY, "name": "a"}, "", {"key": "short", "name": "b"}, "no JSON", {"key": OTHER, "name": "c"}
    )

    assert counts(answer) == {"created": 2, "failed": 2}
    assert answer.json()["lines"] == [
        {"line": 3, "result": "failed", "reason": "key: not 16 to 512 visible ASCII characters"},
        {"line": 4, "result": "failed", "reason": "not a JSON object"},
    ]


async def test_each_line_is_listed_if_that_is_asked(owner):
    answer = await load(
        owner, {"key": KEY, "name": "a", "external_id": "7"}, {"name": "b"}, each="true", first_line="11"
    )

    created, failed = answer.json()["lines"]
    [key] = [key for key in await keys_of(owner) if key["external_id"]]
    assert created == {"line": 11, "result": "created", "key_id": key["key_id"], "external_id": "7"}
    assert failed == {"line": 12, "result": "failed", "reason": "neither key nor hash is given"}


async def test_no_key_and_no_hash_is_in_an_answer(owner):
    hashed = hmac.digest(b"x", b"x", "sha256").hex()
    rows = [
        {"key": KEY, "hash": hashed, "name": "both"},
        {"hash": hashed, "algorithm": KEY, "name": "b"},
        {"hash": hashed, "algorithm": "sha256", "name": f"{KEY}\n"},
        {KEY: "a"},
        f'{{"key": "{KEY}"',
    ]

    answer = await load(owner, *rows)

    assert counts(answer) == {"failed": 5}
    assert KEY not in answer.text
    assert hashed not in answer.text


async def test_a_dry_run_changes_nothing(owner):
    before = await keys_of(owner)

    assert counts(await load(owner, {"key": KEY, "name": "a"}, dry_run="true")) == {"created": 1}
    assert await keys_of(owner) == before


async def test_a_dry_run_knows_the_rows_before_a_row(owner):
    rows = many(TOGETHER + 1)

    assert counts(await load(owner, *rows, rows[0], dry_run="true")) == {"created": TOGETHER + 1, "unchanged": 1}


async def test_a_weak_key_is_accepted_if_that_is_asked(owner):
    weak = {"key": "password12345678", "name": "a"}

    assert counts(await load(owner, weak)) == {"failed": 1}
    assert counts(await load(owner, weak, accept_weak="true")) == {"created": 1}


async def test_the_first_line_may_be_the_secret_of_the_hashes(server, owner):
    """It travels in the body, because headers and queries get into logs."""
    hashed = hmac.digest(b"the provider's", KEY.encode(), "sha256").hex()
    row = {"hash": hashed, "algorithm": "hmac-sha256", "name": "a"}

    assert counts(await load(owner, row)) == {"failed": 1}
    assert counts(await load(owner, row, {"hmac_secret": "the provider's"})) == {"failed": 2}
    assert refused(await load(owner, {"hmac_secret": ""}, row)) == (422, "invalid_request")
    assert counts(await load(owner, {"hmac_secret": "the provider's"}, row)) == {"created": 1}
    assert await server.exchange(KEY)


async def test_an_import_makes_no_admin_key_and_changes_none(server, admin, owner):
    rows = [
        {"key": KEY, "name": "a", "audience": f"{ISSUER}/admin"},
        {"key": KEY, "name": "a", "audience": f"https://a.test {ISSUER}/admin"},
        {"key": KEY, "name": "a", "admin": "owner"},
        {"key": await server.create_key(admin="auditor"), "name": "taken", "scope": "keys:write"},
    ]

    answer = await load(owner, *rows)

    assert counts(answer) == {"failed": 4}
    assert [line["reason"].partition(":")[0] for line in answer.json()["lines"]] == [
        "audience", "audience", "unknown", "an admin key, which an import does not change"
    ]  # fmt: skip
    assert "taken" not in [key["name"] for key in await keys_of(owner)]


@pytest.mark.parametrize(
    ("role", "members"),
    [("auditor", {}), ("operator", {"subject_prefix": "acme/", "max_scope": "a"})],
    ids=["auditor", "delegated"],
)
async def test_a_caller_who_may_not_is_refused_before_the_body_is_read(admin, role, members):
    client, read = await admin.called(role, **members), []

    async def body():
        read.append("read")
        yield b"{}\n"

    async def receive():
        read.append("read")
        return {"type": "http.request", "body": b"", "more_body": False}

    sent = []

    async def send(message):
        sent.append(message)

    headers = [(b"authorization", client.headers["authorization"].encode())]
    scope = {"type": "http", "method": "POST", "path": "/admin/v1/keys/import"}
    for lines, status in ((headers, 403), ([], 401)):
        sent.clear()
        await admin.app({**scope, "headers": lines}, receive, send)
        assert sent[0]["status"] == status
    assert read == []


async def test_an_operator_may(admin):
    assert counts(await load(await admin.called("operator"), *many(1))) == {"created": 1}


async def test_a_caller_whose_key_ends_meanwhile_imports_no_further_batch(server, admin, owner):
    operator = await admin.called("operator")
    key_id = (await operator.get("me")).json()["key_id"]

    async def body():
        yield lines(*many(TOGETHER + 5)).encode() + b"\n"
        await owner.post(f"keys/{key_id}/disable", json={})
        yield lines(*[{**row, "key": f"{row['key']}-other"} for row in many(TOGETHER)]).encode()

    answer = await operator.post("keys/import", content=body())

    assert answer.status_code == 401
    imported = await server.app.issuer.ledger.read(lambda store: store.keys_page("", 5_000))
    assert sum(key.name.startswith("customer") for key in imported) == TOGETHER


async def test_the_lines_of_an_answer_are_bounded_and_the_rest_is_counted(owner):
    answer = await load(owner, *["x"] * (MOST_LISTED + 50))

    assert counts(answer) == {"failed": MOST_LISTED + 50}
    assert len(answer.json()["lines"]) == MOST_LISTED


async def test_rows_that_are_long_come_in_batches_of_few(server, admin, owner):
    """So an import holds a bounded part of its body, however long the lines are. What came first is imported."""
    operator = await admin.called("operator")
    key_id = (await operator.get("me")).json()["key_id"]
    long = [{**row, "note": "x" * 50_000} for row in many(100)]

    async def body():
        yield lines(*many(1), *long[:6]).encode() + b"\n"
        await owner.post(f"keys/{key_id}/disable", json={})
        yield lines(*long[6:]).encode()

    answer = await operator.post("keys/import", content=body())

    assert answer.status_code == 401
    imported = await server.app.issuer.ledger.read(lambda store: store.keys_page("", 5_000))
    assert sum(key.name.startswith("customer") for key in imported) == 1


async def test_a_line_without_an_end_is_refused(owner):
    answer = await owner.post("keys/import", content=b"x" * ((1 << 16) + 1))

    assert refused(answer) == (400, "invalid_request")
    assert "line 1 is longer than 64 KiB" in answer.json()["detail"]


@pytest.mark.parametrize("query", [{"dryrun": "true"}, {"dry_run": "perhaps"}, {"first_line": "-1"}, {"lines": "1"}])
async def test_a_query_that_is_not_understood_is_refused(owner, query):
    assert refused(await load(owner, *many(1), **query))[0] in {400, 422}
    assert len(await keys_of(owner)) == 1


ENDS = {
    "its token": lambda owner, token: owner.post("tokens/revoke", json={"token": token}),
    "its grant": lambda owner, token: owner.post(f"grants/{claims_of(token)['sid']}/revoke", json={}),
    "its secret": lambda owner, token: owner.post(f"keys/{claims_of(token)['client_id']}/rotate", json={"now": True}),
    "every token": lambda owner, token: owner.post("tokens/revoke-issued-before", json={}),
}


@pytest.mark.parametrize("end", [*ENDS.values(), None], ids=[*ENDS, "its hour"])
async def test_a_token_that_ends_meanwhile_imports_no_further_batch(server, admin, owner, end):
    """Who stole a token must not go on with what he began, for as long as he keeps sending."""
    operator = await admin.called("operator")
    token = operator.headers["authorization"].removeprefix("Bearer ")

    async def body():
        yield lines(*many(TOGETHER + 5)).encode() + b"\n"
        if end is None:
            await later(server, 3700)
        else:
            server.clock.advance(2)
            assert (await end(owner, token)).status_code == 200
        yield lines(*[{**row, "key": f"{row['key']}-other"} for row in many(TOGETHER)]).encode()

    answer = await operator.post("keys/import", content=body())

    assert answer.status_code == 401, answer.text
    imported = await server.app.issuer.ledger.read(lambda store: store.keys_page("", 5_000))
    assert sum(key.name.startswith("customer") for key in imported) == TOGETHER
