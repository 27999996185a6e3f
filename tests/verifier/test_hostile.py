"""Hostile credentials are refused with the right challenge, and never a 5xx: by the middleware and by forward auth."""

import httpx2
import pytest
from tests.verifier.conftest import AUDIENCE, PLAIN, wall
from tests.verifier.hostile_tokens import ACCEPTED, ACCEPTED_TOKENS, ATTACKS, BROKEN_HEADERS, BROKEN_TOKENS, Genuine

from hourpass.core.api_key import unverified_key_id
from hourpass.jose import AccessClaims
from hourpass.testing import Clock, InMemoryServer
from hourpass.verifier.asgi import HourpassMiddleware


def challenges(words: set[str]) -> set[str]:
    return {f'{PLAIN}, error="invalid_token", error_description="{word}"' for word in words}


@pytest.fixture(scope="module")
def anyio_backend():
    """For the whole file: the server below starts once."""
    return "asyncio"


def claims(issuer: str, audience: str, now: int, key_id: str = "key") -> AccessClaims:
    return AccessClaims(issuer, "alice", audience, now + 3_600, now, "token", key_id, "a", "grant", "production")


@pytest.fixture(scope="module")
def genuine(shared_issuer):
    return Genuine(shared_issuer.pair, claims(shared_issuer.url, AUDIENCE, wall() // 1_000))


async def application(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"videos"})


@pytest.fixture(scope="module")
def api(shared_verifier):
    return HourpassMiddleware(application, verifier=shared_verifier)


@pytest.fixture(scope="module")
async def server():
    async with InMemoryServer(Clock(wall())) as server:
        server.key_id = unverified_key_id(await server.create_key())
        yield server


@pytest.fixture
def issued(server):
    """Genuine in the eyes of the server: its own key."""
    now = server.clock()
    url = server.settings.issuer
    return Genuine(server.app.issuer.verification.signing_keys.pair(now), claims(url, url, now // 1_000, server.key_id))


async def ask(app, path: str, *authorization: bytes) -> tuple[int, str]:
    transport = httpx2.ASGITransport(app=app)
    headers = [(b"authorization", value) for value in authorization]
    async with httpx2.AsyncClient(transport=transport, base_url="http://hourpass.test") as http:
        answer = await http.get(path, headers=headers)
    return answer.status_code, answer.headers.get("www-authenticate", "")


def test_the_table_is_long_enough_to_mean_something():
    assert len(ATTACKS) + len(BROKEN_HEADERS) + len(BROKEN_TOKENS) >= 150


@pytest.mark.anyio
@pytest.mark.parametrize(("words", "build"), ATTACKS.values(), ids=ATTACKS.keys())
async def test_the_middleware_refuses_it(api, genuine, words, build):
    token = build(genuine)
    status, challenge = await ask(api, "/videos", b"Bearer " + token)

    if status == 400:
        # Not even a b64token, RFC 6750 §2.1.
        assert challenge == f'{PLAIN}, error="invalid_request"'
    else:
        assert (status, challenge in challenges(words)) == (401, True), challenge


@pytest.mark.anyio
@pytest.mark.parametrize(("words", "build"), ATTACKS.values(), ids=ATTACKS.keys())
async def test_forward_auth_refuses_it(server, issued, words, build):
    status, challenge = await ask(server.app, "/auth/verify", b"Bearer " + build(issued))

    assert (status, challenge in challenges(words | {"malformed"})) == (401, True), challenge


@pytest.mark.anyio
@pytest.mark.parametrize("build", BROKEN_HEADERS.values(), ids=BROKEN_HEADERS.keys())
async def test_broken_syntax_around_a_good_token_is_an_invalid_request(api, genuine, build):
    """RFC 6750 §3.1: malformed, or more than one method for including the token."""
    assert await ask(api, "/videos", *build(genuine.token)) == (400, f'{PLAIN}, error="invalid_request"')


@pytest.mark.anyio
@pytest.mark.parametrize("build", BROKEN_HEADERS.values(), ids=BROKEN_HEADERS.keys())
async def test_broken_syntax_is_401_if_a_proxy_asks(server, issued, build):
    """contract.md, "Forward auth": nginx turns a 400 into a 500."""
    answer = await ask(server.app, "/auth/verify", *build(issued.token))

    assert answer == (401, f'{PLAIN}, error="invalid_request"')


@pytest.mark.anyio
@pytest.mark.parametrize("build", BROKEN_TOKENS.values(), ids=BROKEN_TOKENS.keys())
async def test_anything_that_is_stuck_to_a_good_token_makes_it_malformed(api, server, genuine, issued, build):
    malformed = (401, f'{PLAIN}, error="invalid_token", error_description="malformed"')

    assert await ask(api, "/videos", b"Bearer " + build(genuine.token)) == malformed
    assert await ask(server.app, "/auth/verify", b"Bearer " + build(issued.token)) == malformed


@pytest.mark.anyio
@pytest.mark.parametrize("spell", ACCEPTED.values(), ids=ACCEPTED.keys())
async def test_what_the_rfcs_allow_around_a_token_is_accepted(api, server, genuine, issued, spell):
    assert await ask(api, "/videos", spell(genuine.token)) == (200, "")
    assert await ask(server.app, "/auth/verify", spell(issued.token)) == (204, "")


@pytest.mark.anyio
@pytest.mark.parametrize("build", ACCEPTED_TOKENS.values(), ids=ACCEPTED_TOKENS.keys())
async def test_what_the_rfcs_allow_in_a_token_is_accepted(api, server, genuine, issued, build):
    assert await ask(api, "/videos", b"Bearer " + build(genuine)) == (200, "")
    assert await ask(server.app, "/auth/verify", b"Bearer " + build(issued)) == (204, "")


@pytest.mark.anyio
async def test_a_genuine_refresh_token_is_refused_as_an_access_token(server):
    """The likeliest confusion here: both are JWTs of one issuer (RFC 8725 §2.8)."""
    pair = await server.exchange(await server.create_key())

    status, challenge = await ask(server.app, "/auth/verify", b"Bearer " + pair.refresh_token)

    assert (status, challenge in challenges({"signature"})) == (401, True)


@pytest.mark.anyio
async def test_the_flood_of_strangers_keys_was_one_fetch_or_two(shared_issuer):
    """Runs last: the whole table has been through the verifier."""
    assert shared_issuer.fetches <= 2
