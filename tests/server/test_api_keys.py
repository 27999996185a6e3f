"""API keys at a protected endpoint, as the user name of HTTP Basic: the token is optional."""

import base64

import pytest
from tests.server.conftest import key_id_of, nobodys_key, other_secret
from tests.server.test_verify import PLAIN, StridingClock, invalid, verify

from hourpass.core.policy import SECOND


def basic(text: str | bytes, scheme: str = "Basic") -> str:
    return f"{scheme} {base64.b64encode(text.encode() if isinstance(text, str) else text).decode()}"


@pytest.mark.anyio
async def test_a_good_key_is_204_with_the_whole_identity(server):
    """contract.md, "Forward auth": the same headers as for a token."""
    key = await server.create_key(scope="b a", subject="account-7", environment="sandbox")

    answer = await verify(server, basic(f"{key}:"), query="?environment=sandbox")

    assert (answer.status_code, answer.content) == (204, b"")
    assert dict(answer.headers) == {
        "hourpass-subject": "account-7",
        "hourpass-key-id": key_id_of(key),
        "hourpass-scope": "a b",
        "hourpass-environment": "sandbox",
        "hourpass-grant": "",
        "hourpass-auth": "api-key",
        "hourpass-api-key-sunset": "",
        "hourpass-api-key-deprecation": "",
    }


@pytest.mark.anyio
@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC", "Basic "])
async def test_the_scheme_is_read_in_any_case(server, scheme):
    key = await server.create_key()

    assert (await verify(server, basic(f"{key}:", scheme))).status_code == 204


@pytest.mark.anyio
async def test_the_password_does_not_matter(server):
    key = await server.create_key()

    assert (await verify(server, basic(f"{key}:anything: at all"))).status_code == 204


@pytest.mark.anyio
async def test_keys_are_refused_if_the_operator_says_so(start):
    """contract.md, "Forward auth": Basic is a source by default."""
    server = await start(api_key_sources=())
    key = await server.create_key()

    answer = await verify(server, basic(f"{key}:"))

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith(f'{PLAIN}, error="invalid_token"')


@pytest.mark.anyio
async def test_the_key_must_be_the_user_name(server):
    key = await server.create_key()

    assert (await verify(server, basic(f"{key_id_of(key)}:{key}"))).status_code == 401


@pytest.mark.anyio
async def test_a_key_is_refused_as_a_bearer_token(server):
    key = await server.create_key()

    assert (await verify(server, f"Bearer {key}")).headers["www-authenticate"] == invalid("malformed")


BROKEN = {
    "no colon": basic("hp_production"),
    "not base64": "Basic !!!!",
    "base64 that is cut short": "Basic aHBfcHJvZHVjdGlvbg",
    "not UTF-8": basic(b"\xff\xfe:"),
    "nothing": "Basic",
    "a comma": basic("a:") + ", " + basic("b:"),
}


@pytest.mark.anyio
@pytest.mark.parametrize("header", BROKEN.values(), ids=BROKEN.keys())
async def test_broken_basic_is_an_invalid_request_with_401(server, header):
    answer = await verify(server, header)

    challenge = 'Bearer realm="hourpass", error="invalid_request"'
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, challenge)


@pytest.mark.anyio
async def test_an_unproven_key_gets_one_answer_for_all(server):
    genuine = await server.create_key()

    answers = [await verify(server, basic(f"{key}:")) for key in (other_secret(genuine), nobodys_key(), "x", "")]

    assert [answer.headers["www-authenticate"] for answer in answers] == [invalid("malformed")] * 4


@pytest.mark.anyio
async def test_an_expired_key_is_expired_at_exactly_its_end(server):
    key = await server.create_key(expires_in=60 * SECOND)
    await server.later(59.999)
    assert (await verify(server, basic(f"{key}:"))).status_code == 204

    await server.later(0.001)

    assert (await verify(server, basic(f"{key}:"))).headers["www-authenticate"] == invalid("expired")


@pytest.mark.anyio
async def test_a_revoked_key_is_revoked(server):
    key = await server.create_key()
    assert (await verify(server, basic(f"{key}:"))).status_code == 204
    await server.revoke_key(key)

    assert (await verify(server, basic(f"{key}:"))).headers["www-authenticate"] == invalid("revoked")


@pytest.mark.anyio
@pytest.mark.parametrize(("query", "status"), [("?scope=a", 204), ("?scope=c", 403), ("?scope=a&scope=c", 403)])
async def test_a_keys_scope_is_judged_like_a_tokens(server, query, status):
    key = await server.create_key(scope="a b")

    assert (await verify(server, basic(f"{key}:"), query=query)).status_code == status


@pytest.mark.anyio
async def test_past_the_staleness_budget_a_remembered_key_is_503(start):
    """contract.md, "Forward auth": storage trouble never looks like a bad key. Another process may have revoked it."""
    server = await start(clock=StridingClock(10_001))
    key = await server.create_key()
    await verify(server, basic(f"{key}:"))

    assert (await verify(server, basic(f"{key}:"))).status_code == 503
