"""What the admin API accepts as a request, and how it says no: stable codes, named members, never a 500."""

import asyncio
import itertools
import json
import socket
from types import SimpleNamespace

import httpx2
import msgspec
import pytest
from tests.conftest import free_port
from tests.server.conftest import nobodys_key

from hourpass.admin.operations import OPERATIONS, ROOT
from hourpass.core.errors import InvalidRequest
from hourpass.server.endpoints import admin_api
from hourpass.server.endpoints.admin_api import if_match

pytestmark = pytest.mark.anyio

NEW = {"name": "customer"}


def refused(answer: httpx2.Response) -> tuple[int, str, str | None]:
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["status"] == answer.status_code
    assert problem["request_id"] == answer.headers["x-request-id"]
    problems = problem.get("problems")
    return answer.status_code, problem["code"], problems[0]["name"] if problems else None


async def test_an_unknown_route_and_an_unknown_method_say_so(here):
    owner = await here.caller()

    assert refused(await owner.get("/nothing"))[:2] == (404, "no_such_route")
    wrong = await owner("PUT", "/keys")
    assert refused(wrong)[:2] == (405, "method_not_allowed")
    assert wrong.headers["allow"] == "GET, POST, HEAD"
    assert (await owner("DELETE", "/keys/find")).headers["allow"] == "POST"


async def test_no_route_answers_under_another_path_than_its_own(here):
    owner = await here.caller()

    for operation in OPERATIONS:
        for path in (operation.path, f"{ROOT}{ROOT}{operation.path}", f"{ROOT}{operation.path}/"):
            answer = await here.admin.request(
                operation.method, path, headers={"authorization": f"Bearer {owner.token}"}
            )
            assert refused(answer)[:2] == (404, "no_such_route"), path


async def test_head_works_where_get_does(here):
    owner = await here.caller()
    for path in ("/me", "/keys", f"/keys/{owner.key_id}"):
        head, get = await owner("HEAD", path), await owner.get(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(get.content))
        assert head.headers.get("etag") == get.headers.get("etag")
    assert (await owner("HEAD", "/keys/find")).status_code == 405


@pytest.mark.parametrize(
    ("body", "status", "name"),
    [
        ("[]", 400, None),
        ("{", 400, None),
        ('"x"', 400, None),
        ('{"name": "a", "name": "b"}', 422, "name"),
        ('{"name": "a", "tags": {"x": "1", "x": "2"}}', 422, "x"),
        ('{"name": "a", "nam": 1}', 422, "nam"),
        ('{"name": 7}', 422, "name"),
        ('{"name": "a", "retry_window": 1e400}', 400, None),
        ('{"name": "a", "retry_window": NaN}', 400, None),
        ('{"name": "a\\u0000"}', 422, "name"),
        ('{"name": "a\\nb"}', 422, "name"),
        ('{"name": "a", "claims": {"c": "\\u0000"}}', 422, "claims"),
        ('{"name": "a", "key_id": "x"}', 422, "key_id"),
        ('{"name": "\\ud800"}', 400, None),
        ('{"name": ' + "[" * 40 + "]" * 40 + "}", 400, None),
        ('{"name": "a", "tag": ' + '{"a":' * 17 + "1" + "}" * 18, 400, None),
    ],
)
async def test_a_body_that_is_not_exactly_what_is_meant_is_refused(here, body, status, name):
    owner = await here.caller()

    answer = await owner.post("/keys", content=body)

    assert refused(answer)[0] == status, answer.text
    assert name is None or refused(answer)[2] == name
    assert (await owner.get("/keys?text=customer")).json()["data"] == []


async def test_no_text_of_a_key_or_a_webhook_may_hold_an_api_key_and_no_answer_repeats_it(here):
    owner, key = await here.caller(), nobodys_key()
    texts = ("name", "scope", "subject", "external_id", "subject_prefix", "max_scope")
    wrong: dict[str, object] = dict.fromkeys(texts, key)
    wrong |= {name: [key] for name in ("audiences", "allowed_ips")}
    wrong |= {"tags": {"x": key}, "claims": {key: "x"}}
    webhook = {"url": "https://example.com/", "events": [], "description": ""}
    calls = [("POST", "/keys", {**NEW, name: value}, name) for name, value in wrong.items()]
    calls += [("PATCH", f"/keys/{owner.key_id}", {name: wrong[name]}, name) for name in ("name", "tags")]
    for name, value in (("url", f"https://example.com/{key}"), ("events", [key]), ("description", key)):
        calls.append(("POST", "/webhooks", webhook | {name: value}, name))
    calls += [(method, path, {key: "x"}, None) for method, path, *_ in (calls[0], calls[-1])]

    for method, path, body, name in calls:
        answer = await owner(method, path, json=body)
        assert refused(answer) == (422 if name else 400, "invalid_request", name), answer.text
        assert key not in answer.text
    twice = await owner.post("/keys", content=f'{{"name": "a", "{key}": 1, "{key}": 2}}')
    assert refused(twice) == (400, "invalid_request", None)
    assert key not in twice.text
    assert [len((await owner.get(path)).json()["data"]) for path in ("/keys?text=customer", "/webhooks")] == [0, 0]


async def test_lists_of_a_key_are_bounded_for_every_caller_and_in_every_call(here):
    owner = await here.caller()
    delegated = await here.caller("operator", subject_prefix="acme/", max_scope="a")
    key = {"name": "customer", "subject": "acme/1"}
    made = (await delegated.post("/keys", json=key)).json()["key_id"]
    networks = {"allowed_ips": [f"192.0.2.{number}" for number in range(101)]}
    line = json.dumps({"key": nobodys_key(), **key, **networks}).encode()

    for answer in (
        await delegated.post("/keys", json=key | networks),
        await delegated.patch(f"/keys/{made}", json=networks),
        await owner.post("/keys", json=key | {"audiences": [str(number) for number in range(33)]}),
        await owner.post("/keys", json=key | {"tags": {str(number): "" for number in range(33)}}),
    ):
        assert refused(answer)[:2] == (422, "invalid_request")
        assert refused(answer)[2] in {"allowed_ips", "audiences", "tags"}
    assert (await owner.post("/keys/import", content=line)).json()["failed"] == 1


async def test_bytes_that_are_not_utf_8_are_refused(here):
    owner = await here.caller()
    assert refused(await owner.post("/keys", content=b'{"name": "\xff"}'))[:2] == (400, "invalid_request")


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=x", "limit=1&limit=2", "nothing=1", "state=x", "text=%00", "text=a%0Ab",
              "subject=%C2%85", "expires_within=99999999999999999999", "raw_since=-1", "tag=x", "cursor=%00"]
)  # fmt: skip
async def test_a_query_that_is_wrong_names_its_member(anywhere, query):
    owner = await anywhere.caller()

    answer = await owner.get(f"/keys?{query}")

    assert refused(answer) == (422, "invalid_request", query.partition("=")[0])


async def test_a_control_character_in_the_path_is_refused(here):
    owner = await here.caller()
    assert refused(await owner.get("/keys/a%0Ab")) == (422, "invalid_request", "key_id")
    assert refused(await owner.post("/keys/%00/revoke")) == (422, "invalid_request", "key_id")


async def test_cursors_are_good_for_their_own_list_and_filters_alone(anywhere):
    owner = await anywhere.caller()
    for number in range(5):
        await owner.post("/keys", json={"name": f"k{number}", "tags": {"t": "1"}})
    first = (await owner.get("/keys?limit=2&tag=t%3D1")).json()
    cursor = first["next"]
    assert len(first["data"]) == 2
    assert first["data"][1]["key_id"] not in cursor

    ended = (await owner.get(f"/keys?limit=1&tag=t%3D1&cursor={cursor}")).json()
    rest = (await owner.get(f"/keys?limit=200&tag=t%3D1&cursor={cursor}")).json()
    assert ended["data"] == rest["data"][:1]
    assert len(rest["data"]) == 3
    assert rest["next"] is None
    for wrong in (
        f"/keys?cursor={cursor}",
        f"/keys?tag=t%3D2&cursor={cursor}",
        f"/grants?cursor={cursor}",
        f"/keys?tag=t%3D1&cursor={cursor[:-2]}",
        f"/keys?tag=t%3D1&cursor={first['data'][1]['key_id']}",
        "/keys?cursor=",
        "/keys?cursor=%C3%A4",
    ):
        assert refused(await owner.get(wrong)) == (422, "invalid_request", "cursor"), wrong


async def test_pages_stay_in_step_while_keys_come_and_go(anywhere):
    owner = await anywhere.caller()
    made = [(await owner.post("/keys", json=NEW)).json()["key_id"] for _ in range(9)]
    seen, cursor = [], ""
    while cursor is not None:
        page = (await owner.get("/keys?limit=2" + (f"&cursor={cursor}" if cursor else ""))).json()
        seen += [key["key_id"] for key in page["data"]]
        cursor = page["next"]
        await owner.post("/keys", json=NEW)
        if len(seen) > 40:
            break

    assert len(seen) == len(set(seen))
    assert set(made) <= set(seen)


async def test_if_match_compares_strongly_and_takes_lists_and_a_star(here):
    owner = await here.caller()
    made = await owner.post("/keys", json=NEW)
    path, tag = f"/keys/{made.json()['key_id']}", made.headers["etag"]
    names = iter(f"name {number}" for number in range(99))

    async def patched(*values: str) -> tuple[int, str]:
        nonlocal tag
        headers = [(b"authorization", f"Bearer {owner.token}".encode())]
        headers += [(b"if-match", value.replace("TAG", tag).encode()) for value in values]
        answer = await here.admin.patch(f"/admin/v1{path}", json={"name": next(names)}, headers=headers)
        tag = answer.headers.get("etag", tag)
        return answer.status_code, answer.json().get("code", "")

    for values in (["TAG"], ["*"], [], ['"x", TAG'], ['"x"', "TAG"], ['TAG , "y"'], ['W/"x",TAG']):
        assert (await patched(*values))[0] == 200, values
        assert (await owner.get(path)).headers["etag"] == tag
    for values in (['"x"'], ["W/TAG"], ['""'], ['"x", W/TAG'], [tag]):
        await patched()
        assert await patched(*values) == (412, "precondition_failed"), values
    for values in (["x"], ["TAG x"], [tag.strip('"')], ["W/"], ["*, TAG"], [""], [","], ["TAG TAG"], ["TAG," * 500]):
        assert await patched(*values) == (400, "invalid_request"), values


@pytest.mark.parametrize("part", ['"a"' + " " * 12, '"a"' + "\t," * 6, '"a",' + " " * 12, " ", ",", '"', 'W/""', "W/"])
async def test_no_if_match_takes_longer_than_its_length_allows(monkeypatch, part):
    # With a pattern that can match in several ways this takes years.
    monkeypatch.setattr(admin_api, "LONGEST_IF_MATCH", 1 << 20)
    request = SimpleNamespace(headers=[(b"if-match", (part * 1_000 + "x").encode())])

    with pytest.raises(InvalidRequest):
        if_match(request)


async def test_a_lost_race_of_two_patches_is_told(anywhere):
    owner = await anywhere.caller()
    made = await owner.post("/keys", json=NEW)
    path, headers = f"/keys/{made.json()['key_id']}", {"if-match": made.headers["etag"]}

    answers = await asyncio.gather(*(owner.patch(path, json={"name": f"n{n}"}, headers=headers) for n in range(8)))

    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 7


async def test_calls_are_limited_for_each_key_and_wrong_tokens_for_each_address(start):
    server = await start(admin_limit=5)
    ada, ben = await server.caller("auditor"), await server.caller("auditor")

    answers = [await ada.get("/me") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert refused(answers[-1])[1] == "too_many_requests"
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert (await ben.get("/me")).status_code == 200

    wrong = {"authorization": "Bearer eyJhbGciOiJub25lIn0.e30."}
    statuses = [(await server.admin.get("/admin/v1/me", headers=wrong)).status_code for _ in range(6)]
    assert statuses == [401] * 5 + [429]
    assert (await server.admin.get("/admin/v1/me")).status_code == 429
    assert (await ben.get("/me")).status_code == 200
    async with server.admin_client("192.0.2.7") as elsewhere:
        assert (await elsewhere.get("/admin/v1/me", headers=wrong)).status_code == 401


ODD = [
    "", "x" * 60_000, -1, 2**63, 2**64 + 1, -(2**70), 1.5, True, None, [], ["x"] * 3_000, {}, {"a": {"b": 1}}, "\x7f",
    "2026-13-01", "9999-12-31T23:59:59.999999+00:00", "0001-01-01T00:00:00+14:00", "\u202e", [None], {"": ""},
]  # fmt: skip


async def test_no_value_of_any_member_makes_the_server_fail(anywhere, kind):
    """Every member of every operation with every odd value: the server never fails.

    The two kinds of SQLite see half of the values each: the statements are the same.
    """
    owner = await anywhere.caller()
    server = anywhere
    server.admin_app._work.calls._interval = 0
    asked = 0
    for operation in OPERATIONS:
        if getattr(operation, "streams", False) or operation.name == "withdraw_signing_key":
            continue
        path = operation.path
        for name in operation.in_path:
            path = path.replace(f"{{{name}}}", "0aZnobody001")
        in_query = operation.method in {"GET", "DELETE"}
        required = {
            field.name: "x" for field in msgspec.structs.fields(operation.asks)
            if field.required and field.name not in operation.in_path
        }  # fmt: skip
        members = [name for name in operation.asks.__struct_fields__ if name not in {*operation.in_path, "wait"}]
        values = {"memory": ODD[::2], "file": ODD[1::2], "postgres": ODD}[kind]
        for member, value in itertools.product(members, values):
            if in_query:
                text = str(value)[:2_000]
                answer = await owner(operation.method, path, params={**required, member: text})
            else:
                answer = await owner(operation.method, path, json={**required, member: value})
            asked += 1
            assert answer.status_code < 500, (operation.name, member, str(value)[:60], answer.text)
    assert asked > 300


def raw(port: int, request: bytes) -> tuple[int, dict[str, str], bytes]:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request)
        said = b""
        while piece := connection.recv(65_536):
            said += piece
    head, _, body = said.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    return int(status.split()[1]), dict(line.lower().split(": ", 1) for line in lines), body


async def test_what_the_front_refuses_has_a_request_id_and_a_code_too(serve):
    port = free_port()
    serve(admin_listen=f"127.0.0.1:{port}")
    host = b"Host: a\r\n"
    cases = {
        "malformed": (400, b"GET /admin/v1/me HTTP/1.1\r\n\r\n"),
        "too_large": (413, b"PATCH /admin/v1/keys/x HTTP/1.1\r\n%bContent-Length: 65537\r\n\r\n" % host),
        "headers_too_large": (431, b"GET /admin/v1/me HTTP/1.1\r\n%bA: %b\r\n\r\n" % (host, b"x" * 20_000)),
    }
    for code, (status, request) in cases.items():
        answered, headers, body = raw(port, request)
        problem = json.loads(body)
        assert (answered, problem["status"], problem["code"]) == (status, status, code)
        assert problem["request_id"] == headers["x-request-id"]
        assert headers["cache-control"] == "no-store"

    for path in (b"/metrics", b"/health/live", b"/nothing", b"/console", b"/admin/v1/me", b"/auth/api-key"):
        origin = b"Origin: https://evil.example\r\n"
        _, headers, _ = raw(port, b"GET %b HTTP/1.1\r\n%b%bConnection: close\r\n\r\n" % (path, host, origin))
        assert len(headers["x-request-id"]) == 16
        assert "no-store" in headers["cache-control"]
        assert not [name for name in headers if name.startswith("access-control-")]
    whole = b"DELETE /admin/v1/webhooks/x HTTP/1.1\r\n%bContent-Length: 2\r\nConnection: close\r\n\r\n{}" % host
    assert raw(port, whole)[0] == 401


async def test_a_webhook_to_a_private_address_is_422_with_its_code(admin):
    operator = await admin.called("operator")
    assert refused(await operator.post("webhooks", json={"url": "https://2130706433/"}))[:2] == (422, "private_address")
