"""`GET /auth/verify`, forward auth: the table of contract.md, "Forward auth", row by row."""

import pytest
from tests.server.conftest import claims_of, key_id_of

from hourpass.core.policy import HOUR
from hourpass.testing import START, Clock

PLAIN = 'Bearer realm="hourpass"'


def invalid(word):
    return f'{PLAIN}, error="invalid_token", error_description="{word}"'


async def verify(server, *authorization, query="", **options):
    headers = [("authorization", value) for value in authorization]
    return await server.client().request(options.pop("method", "GET"), f"/auth/verify{query}", headers=headers)


@pytest.mark.anyio
async def test_a_good_token_is_204_with_the_whole_identity(server):
    key = await server.create_key(scope="b a", subject="account-7", environment="sandbox")
    token = (await server.exchange(key)).access_token.decode()

    answer = await verify(server, f"Bearer {token}", query="?environment=sandbox")

    assert (answer.status_code, answer.content) == (204, b"")
    assert dict(answer.headers) == {
        "hourpass-subject": "account-7",
        "hourpass-key-id": key_id_of(key),
        "hourpass-scope": "a b",
        "hourpass-environment": "sandbox",
        "hourpass-grant": claims_of(token)["sid"],
        "hourpass-auth": "bearer",
        "hourpass-api-key-sunset": "",
        "hourpass-api-key-deprecation": "",
    }


@pytest.mark.anyio
async def test_every_identity_header_is_present_even_if_it_is_empty(server):
    """A proxy that only overwrites would else let a client's own header through."""
    token, _ = await server.tokens(scope="")

    assert (await verify(server, f"Bearer {token}")).headers["hourpass-scope"] == ""


@pytest.mark.anyio
@pytest.mark.parametrize(
    "spell",
    ["Bearer {}", "bearer {}", "BEARER {}", "bEaReR {}", "Bearer  {}", "bearer    {}", "Bearer {}  ", "Bearer {}\t \t"],
)
async def test_the_scheme_in_any_case_with_spaces_around_the_token_is_good(server, spell):
    token, _ = await server.tokens()

    assert (await verify(server, spell.format(token))).status_code == 204


BROKEN = {
    "no token": ["Bearer"],
    "only a space": ["Bearer "],
    "a comma": ["Bearer {0}, Bearer {0}"],
    "two tokens": ["Bearer {0} {0}"],
    "two headers": ["Bearer {0}", "Bearer {0}"],
    "two headers, one of another scheme": ["Negotiate x", "Bearer {0}"],
    "a second header that is empty": ["Bearer {0}", ""],
}
BROKEN_TOKENS = {
    "a comma behind": "Bearer {0},",
    "a tab before the token": "Bearer \t{0}",
    "quotes": 'Bearer "{0}"',
    "a form feed behind": "Bearer {0}\x0c",
    "parameters": "Bearer token={0}",
}


@pytest.mark.anyio
@pytest.mark.parametrize("headers", BROKEN.values(), ids=BROKEN.keys())
async def test_anything_but_exactly_one_token_is_an_invalid_request_with_401(server, headers):
    """contract.md, "Forward auth": 401, because nginx turns anything but 2xx, 401 and 403 into a 500."""
    token, _ = await server.tokens()

    answer = await verify(server, *(header.format(token) for header in headers))

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, f'{PLAIN}, error="invalid_request"')


@pytest.mark.anyio
@pytest.mark.parametrize("header", BROKEN_TOKENS.values(), ids=BROKEN_TOKENS.keys())
async def test_broken_syntax_around_a_good_token_makes_it_malformed(server, header):
    token, _ = await server.tokens()

    answer = await verify(server, header.format(token))

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, invalid("malformed"))


@pytest.mark.anyio
async def test_a_tab_behind_the_scheme_is_broken_syntax(server):
    """contract.md, "Forward auth": one or more spaces after the scheme. Nothing else is stripped."""
    token, _ = await server.tokens()

    assert (await verify(server, f"Bearer\t {token}")).status_code == 401


@pytest.mark.anyio
@pytest.mark.parametrize("headers", [[], [""], ["Negotiate abc"]], ids=["missing", "empty", "another scheme"])
async def test_without_a_credential_the_challenge_has_no_error_code(server, headers):
    """RFC 6750 §3: no error code if the request lacks any authentication information."""
    answer = await verify(server, *headers)

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, PLAIN)
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.anyio
async def test_the_realm_is_the_operators(start):
    server = await start(realm="videos")

    assert (await verify(server)).headers["www-authenticate"] == 'Bearer realm="videos"'


@pytest.mark.anyio
async def test_a_token_is_accepted_for_5_seconds_after_its_end_and_then_expired(server):
    token, _ = await server.tokens()
    await server.later(3604.999)
    assert (await verify(server, f"Bearer {token}")).status_code == 204

    await server.later(0.001)

    assert (await verify(server, f"Bearer {token}")).headers["www-authenticate"] == invalid("expired")


@pytest.mark.anyio
@pytest.mark.parametrize(("seconds", "status"), [(-5, 204), (-5.001, 401)])
async def test_a_token_from_more_than_5_seconds_ahead_is_not_yet_valid(server, seconds, status):
    token, _ = await server.tokens()
    await server.later(seconds)

    answer = await verify(server, f"Bearer {token}")

    assert answer.status_code == status
    assert status == 204 or answer.headers["www-authenticate"] == invalid("not_yet_valid")


@pytest.mark.anyio
async def test_another_servers_token_has_a_foreign_signature(server, start):
    token, _ = await (await start()).tokens()

    assert (await verify(server, f"Bearer {token}")).headers["www-authenticate"] == invalid("signature")


@pytest.mark.anyio
@pytest.mark.parametrize(("word", "changed"), [("issuer", "issuer"), ("audience", "audience")])
async def test_a_token_for_another_issuer_or_audience_is_refused_by_that_word(start, tmp_path, word, changed):
    """The keys stay, the operator changed a setting."""
    settings = {"data": str(tmp_path), "database_url": f"sqlite:{tmp_path}/x.db"}
    before = await start(**settings, issuer="http://hourpass.test", audience="http://api.test")
    token, _ = await before.tokens()
    await before.app.stop()

    other = {"issuer": "http://hourpass.test", "audience": "http://api.test", changed: "http://other.test"}
    after = await start(**settings, **other)

    assert (await verify(after, f"Bearer {token}")).headers["www-authenticate"] == invalid(word)


@pytest.mark.anyio
async def test_a_refresh_token_is_refused_as_an_access_token(server):
    _, refresh_token = await server.tokens()

    answer = await verify(server, f"Bearer {refresh_token}")

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, invalid("signature"))


@pytest.mark.anyio
async def test_a_token_of_a_revoked_key_is_revoked(server):
    key = await server.create_key()
    token = (await server.exchange(key)).access_token.decode()
    await server.revoke_key(key)

    assert (await verify(server, f"Bearer {token}")).headers["www-authenticate"] == invalid("revoked")


@pytest.mark.anyio
@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"])
async def test_any_method_is_judged_alike(server, method):
    """An OPTIONS without a token is 401 like any other method. Preflights are the proxy file's decision."""
    token, _ = await server.tokens()

    assert (await verify(server, method=method)).headers["www-authenticate"] == PLAIN
    assert (await verify(server, f"Bearer {token}", method=method)).status_code == 204


@pytest.mark.anyio
@pytest.mark.parametrize(
    "query",
    ["", "?", "?scope=a", "?scope=b%20a", "?scope=a+b", "?scope=a&scope=b", "?scope=a%20a", "?sc%6Fpe=a"],
)
async def test_owned_scopes_pass(server, query):
    token, _ = await server.tokens(scope="a b")

    assert (await verify(server, f"Bearer {token}", query=query)).status_code == 204


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("query", "needed"),
    [("?scope=c", "c"), ("?scope=a%20c", "a c"), ("?scope=a&scope=c", "a c"), ("?scope=A", "A")],
)
async def test_a_missing_scope_is_403_and_says_all_that_is_needed(server, query, needed):
    token, _ = await server.tokens(scope="a b")

    answer = await verify(server, f"Bearer {token}", query=query)

    assert answer.status_code == 403
    assert answer.headers["www-authenticate"] == f'{PLAIN}, error="insufficient_scope", scope="{needed}"'


@pytest.mark.anyio
@pytest.mark.parametrize("scope", ["%00", 'a"b', "a%5Cb", "%C3%A9", "%7F"], ids=ascii)
async def test_a_text_that_is_not_a_scope_never_reaches_a_header(server, scope):
    """RFC 6750 §3: a scope value is %x21 / %x23-5B / %x5D-7E. HTTP servers fail with a 500 on control characters."""
    token, _ = await server.tokens()

    answer = await verify(server, f"Bearer {token}", query=f"?scope={scope}")

    assert 400 <= answer.status_code < 500
    value = answer.headers.get("www-authenticate", "").encode("latin-1").partition(b'scope="')[2]
    assert value.isascii()
    assert value.decode().isprintable()
    assert value.count(b'"') <= 1
    assert b"\\" not in value


@pytest.mark.anyio
async def test_an_unproven_token_learns_nothing_of_the_scopes_needed(server):
    assert (await verify(server, "Bearer x", query="?scope=secret")).headers["www-authenticate"] == invalid("malformed")


class StridingClock(Clock):
    """Every look finds it a stride later, so that every earlier answer is a stride old, or more."""

    def __init__(self, stride):
        super().__init__(START)
        self.stride = stride

    def __call__(self):
        self.now += self.stride
        return self.now


@pytest.mark.anyio
@pytest.mark.parametrize(("stride", "status"), [(5_000, 204), (5_001, 503)], ids=["at the budget", "past it"])
async def test_past_the_staleness_budget_a_token_is_503_and_never_401(start, stride, status):
    """Revocations have not been looked up for longer than 10 s. The clock is read twice between look and judgement."""
    server = await start(clock=StridingClock(stride))
    token, _ = await server.tokens()
    await server.later(0)

    answer = await verify(server, f"Bearer {token}")

    assert answer.status_code == status
    assert (answer.headers.get("retry-after") is not None) == (status == 503)


@pytest.mark.anyio
async def test_a_short_access_token_is_accepted_as_long_as_it_says(server):
    key = await server.create_key()
    token = (await server.exchange(key, expires_in=60)).access_token.decode()
    await server.later(HOUR // 1000)

    assert (await verify(server, f"Bearer {token}")).headers["www-authenticate"] == invalid("expired")
