"""Forward auth and the middleware read a request's credential alike: one table of headers, one verdict for each."""

from base64 import b64encode

import pytest

from hourpass.testing import InMemoryServer
from hourpass.verifier.asgi import HourpassMiddleware
from hourpass.verifier.guard import KeyIdentity

NO_CREDENTIAL = (401, 'Bearer realm="hourpass"')
BROKEN_REQUEST = (400, 'Bearer realm="hourpass", error="invalid_request"')
MALFORMED = (401, 'Bearer realm="hourpass", error="invalid_token", error_description="malformed"')
GOOD = (200, "")


def basic(pair: bytes) -> bytes:
    return b"Basic " + b64encode(pair)


# {T} stands for a good token, {K} for a good API key as Basic has it.
TABLE: list[tuple[tuple[int, str], list[bytes]]] = [
    (GOOD, [b"Bearer {T}"]),
    (GOOD, [b"bearer {T}"]),
    (GOOD, [b"BEARER {T}"]),
    (GOOD, [b"bEaReR {T}"]),
    (GOOD, [b"Bearer  {T}"]),
    (GOOD, [b"bearer     {T}"]),
    (GOOD, [b"Bearer {T} "]),
    (GOOD, [b"Bearer {T}\t"]),
    (GOOD, [b"Bearer  {T} \t \t"]),
    (GOOD, [b"Basic {K}"]),
    (GOOD, [b"bAsIc   {K} \t"]),
    (NO_CREDENTIAL, []),
    (NO_CREDENTIAL, [b""]),
    (NO_CREDENTIAL, [b" "]),
    (NO_CREDENTIAL, [b"\t"]),
    (NO_CREDENTIAL, [b"{T}"]),
    (NO_CREDENTIAL, [b" Bearer {T}"]),
    (NO_CREDENTIAL, [b"Bearer\t{T}"]),
    (NO_CREDENTIAL, [b"Bearer\t {T}"]),
    (NO_CREDENTIAL, [b"Bearer={T}"]),
    (NO_CREDENTIAL, [b"Bearer:{T}"]),
    (NO_CREDENTIAL, [b"Bearer,{T}"]),
    (NO_CREDENTIAL, [b"Bearer\x00 {T}"]),
    (NO_CREDENTIAL, [b"Bearers {T}"]),
    (NO_CREDENTIAL, [b"Bearer{T}"]),
    (NO_CREDENTIAL, [b"DPoP {T}"]),
    (NO_CREDENTIAL, [b"Token {T}"]),
    (NO_CREDENTIAL, [b"Digest username=x, realm=y"]),
    (NO_CREDENTIAL, [b"Negotiate abc"]),
    (NO_CREDENTIAL, [b"\xffearer {T}"]),
    (NO_CREDENTIAL, [b"Basic\t{K}"]),
    (NO_CREDENTIAL, [b"x" * 20_000]),
    (BROKEN_REQUEST, [b"Bearer {T}", b"Bearer {T}"]),
    (BROKEN_REQUEST, [b"Bearer {T}", b""]),
    (BROKEN_REQUEST, [b"", b"Bearer {T}"]),
    (BROKEN_REQUEST, [b"", b""]),
    (BROKEN_REQUEST, [b"Negotiate x", b"Bearer {T}"]),
    (BROKEN_REQUEST, [b"Basic {K}", b"Bearer {T}"]),
    (BROKEN_REQUEST, [b"Bearer {T}"] * 3),
    (BROKEN_REQUEST, [b"Bearer"]),
    (BROKEN_REQUEST, [b"Bearer "]),
    (BROKEN_REQUEST, [b"Bearer    "]),
    (BROKEN_REQUEST, [b"bearer\t"]),
    (BROKEN_REQUEST, [b"Bearer \t"]),
    (BROKEN_REQUEST, [b"Bearer {T} {T}"]),
    (BROKEN_REQUEST, [b"Bearer  {T}  {T}"]),
    (BROKEN_REQUEST, [b"Bearer {T}\t {T}"]),
    (BROKEN_REQUEST, [b"Bearer {T},Bearer {T}"]),
    (BROKEN_REQUEST, [b"Bearer {T}, Bearer {T}"]),
    (BROKEN_REQUEST, [b"Bearer {T}, Basic {K}"]),
    (BROKEN_REQUEST, [b"Basic"]),
    (BROKEN_REQUEST, [b"Basic "]),
    (BROKEN_REQUEST, [b"Basic !!!"]),
    (BROKEN_REQUEST, [b"Basic {K} {K}"]),
    (BROKEN_REQUEST, [b"Basic {K},Basic {K}"]),
    (BROKEN_REQUEST, [b"Basic \t{K}"]),
    (BROKEN_REQUEST, [b"Basic \xc3\xa9"]),
    (BROKEN_REQUEST, [b"Basic a2V5\x00OnNl"]),
    (BROKEN_REQUEST, [basic(b"no colon")]),
    (BROKEN_REQUEST, [basic(b"\xff\xfe:")]),
    (BROKEN_REQUEST, [basic(b"key:x")[:-1]]),
    (BROKEN_REQUEST, [basic(b"key:x") + b"="]),
    (BROKEN_REQUEST, [basic(b"k" * 9_000 + b":")]),
    (MALFORMED, [b"Bearer x"]),
    (MALFORMED, [b"Bearer {T},"]),
    (MALFORMED, [b"Bearer ,{T}"]),
    (MALFORMED, [b"Bearer {T},{T}"]),
    (MALFORMED, [b"Bearer \t{T}"]),
    (MALFORMED, [b"Bearer {T}\x00"]),
    (MALFORMED, [b"Bearer \x00"]),
    (MALFORMED, [b"Bearer {T}\x0c"]),
    (MALFORMED, [b"Bearer \xa0{T}"]),
    (MALFORMED, [b"Bearer \xc3\xa9"]),
    (MALFORMED, [b'Bearer "{T}"']),
    (MALFORMED, [b"Bearer token={T}"]),
    (MALFORMED, [b"bearer  " + b"a" * 20_000]),
    (MALFORMED, [b"Bearer " + b"a" * 20_000]),
    (MALFORMED, [basic(b":")]),
    (MALFORMED, [basic(b"wrong:x")]),
    (MALFORMED, [basic(b"wrong")[:-4] + basic(b":")[6:]]),
]


@pytest.fixture
async def server():
    async with InMemoryServer() as server:
        yield server


@pytest.fixture
async def credentials(server):
    """The values of {T} and {K}."""
    api_key = await server.create_key()
    pair = await server.exchange(api_key)
    return pair.access_token, b64encode(api_key.encode() + b":")


class Verifier:
    """The server's own knowledge of tokens, as a verifier in another process has it."""

    environment = "production"

    def __init__(self, server):
        self._server = server

    async def verify_async(self, token):
        return self._server.app.issuer.verification.verify(token, self._server.clock())


async def ask(app, path: str, values: list[bytes]) -> tuple[int, str]:
    """With these `Authorization` headers."""
    return await ask_with(app, path, [(b"authorization", value) for value in values])


async def ask_with(app, path: str, headers: list[tuple[bytes, bytes]]) -> tuple[int, str]:
    """Without an HTTP library: it would refuse to send some of these."""
    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "root_path": "", "query_string": b"",
        "headers": headers, "client": ("127.0.0.1", 1), "http_version": "1.1",
    }  # fmt: skip
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]).get(b"www-authenticate", b"").decode()


def test_the_table_is_long_and_has_no_row_twice():
    assert len(TABLE) >= 40
    assert len({tuple(headers) for _, headers in TABLE}) == len(TABLE)


@pytest.mark.anyio
@pytest.mark.parametrize(("verdict", "headers"), TABLE, ids=[ascii(headers)[:60] for _, headers in TABLE])
async def test_both_give_the_same_verdict_but_for_the_400_that_nginx_does_not_pass(
    server, credentials, verdict, headers
):
    """RFC 6750 §3.1. contract.md, "Forward auth"."""

    token, key = credentials
    values = [value.replace(b"{T}", token).replace(b"{K}", key) for value in headers]

    async def application(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def api_keys(api_key):
        return KeyIdentity("bob", "k") if b64encode(api_key.encode() + b":") == key else None

    api = HourpassMiddleware(application, verifier=Verifier(server), api_keys=api_keys)

    assert await ask(api, "/videos", values) == verdict

    told = {BROKEN_REQUEST: (401, BROKEN_REQUEST[1]), GOOD: (204, "")}
    assert await ask(server.app, "/auth/verify", values) == told.get(verdict, verdict)


A, X = b"authorization", b"x-api-key"

# By where keys are accepted. {R} stands for the API key itself.
SOURCES: dict[str, list[tuple[tuple[int, str], list[tuple[bytes, bytes]]]]] = {
    "": [
        (GOOD, [(A, b"Bearer {T}")]),
        (MALFORMED, [(A, b"Bearer {R}")]),
        (NO_CREDENTIAL, [(X, b"{R}")]),
        (GOOD, [(A, b"Bearer {T}"), (X, b"{R}")]),
    ],
    "basic": [
        (GOOD, [(A, b"Basic {K}")]),
        (MALFORMED, [(A, b"Bearer {R}")]),
        (NO_CREDENTIAL, [(X, b"{R}")]),
        (GOOD, [(A, b"Bearer {T}"), (X, b"{R}")]),
    ],
    "bearer": [
        (GOOD, [(A, b"Bearer {T}")]),
        (GOOD, [(A, b"Bearer {R}")]),
        (GOOD, [(A, b"bearer  {R} \t")]),
        (NO_CREDENTIAL, [(X, b"{R}")]),
        (MALFORMED, [(A, b"Bearer x")]),
        (MALFORMED, [(A, b"Bearer wrong-but-long-enough")]),
        (MALFORMED, [(A, b"Bearer {T}x")]),
        (BROKEN_REQUEST, [(A, b"Bearer {R},{R}")]),
        (BROKEN_REQUEST, [(A, b"Bearer {R}"), (A, b"Bearer {T}")]),
        (BROKEN_REQUEST, [(A, b"Bearer {R} {R}")]),
    ],
    "header:X-API-Key": [
        (GOOD, [(A, b"Bearer {T}")]),
        (GOOD, [(X, b"{R}")]),
        (GOOD, [(X, b" {R}\t")]),
        (GOOD, [(X, b""), (A, b"Bearer {T}")]),
        (GOOD, [(X, b""), (X, b"{R}")]),
        (GOOD, [(A, b"Digest x"), (X, b"{R}")]),
        (NO_CREDENTIAL, [(X, b"")]),
        (NO_CREDENTIAL, [(b"x-api-keys", b"{R}")]),
        (MALFORMED, [(A, b"Bearer {R}")]),
        (MALFORMED, [(X, b"wrong-but-long-enough")]),
        (BROKEN_REQUEST, [(X, b"{R}"), (X, b"{R}")]),
        (BROKEN_REQUEST, [(X, b"{R},{R}")]),
        (BROKEN_REQUEST, [(X, b"{R}, {R}")]),
        (BROKEN_REQUEST, [(X, b"Bearer {R}")]),
        (BROKEN_REQUEST, [(X, b"{R}"), (A, b"Bearer {T}")]),
        (BROKEN_REQUEST, [(A, b"Bearer {T}"), (X, b"{R}")]),
        (BROKEN_REQUEST, [(A, b"Basic {K}"), (X, b"{R}")]),
        (BROKEN_REQUEST, [(A, b"Bearer {T}"), (A, b"Bearer {T}"), (X, b"{R}")]),
        (BROKEN_REQUEST, [(A, b"Basic !"), (X, b"{R}")]),
    ],
    "basic bearer header:X-API-Key header:Api-Key": [
        (GOOD, [(A, b"Basic {K}")]),
        (GOOD, [(A, b"Bearer {R}")]),
        (GOOD, [(X, b"{R}")]),
        (GOOD, [(b"api-key", b"{R}")]),
        (GOOD, [(A, b"Bearer {T}"), (X, b""), (b"api-key", b" ")]),
        (BROKEN_REQUEST, [(X, b"{R}"), (b"api-key", b"{R}")]),
        (BROKEN_REQUEST, [(A, b"Basic {K}"), (b"api-key", b"{R}")]),
        (BROKEN_REQUEST, [(A, b"Bearer {R}"), (b"api-key", b"{R}")]),
    ],
}
ROWS = [(sources, verdict, headers) for sources, rows in SOURCES.items() for verdict, headers in rows]


@pytest.mark.anyio
@pytest.mark.parametrize(("sources", "verdict", "headers"), ROWS, ids=[f"{s or 'none'}: {h}"[:90] for s, _, h in ROWS])
async def test_both_accept_a_raw_key_in_the_same_places(sources, verdict, headers):
    """contract.md, "Forward auth". The middleware reads the same list as the server."""
    async with InMemoryServer(api_key_sources=tuple(sources.split())) as server:
        api_key = await server.create_key()
        token = (await server.exchange(api_key)).access_token
        basic_key = b64encode(api_key.encode() + b":")
        sent = [
            (name, value.replace(b"{T}", token).replace(b"{K}", basic_key).replace(b"{R}", api_key.encode()))
            for name, value in headers
        ]

        async def application(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        def api_keys(text):
            return KeyIdentity("bob", "k") if text == api_key else None

        api = HourpassMiddleware(
            application, verifier=Verifier(server), api_keys=api_keys, api_key_sources=sources.split()
        )
        assert await ask_with(api, "/videos", sent) == verdict

        told = {BROKEN_REQUEST: (401, BROKEN_REQUEST[1]), GOOD: (204, "")}
        assert await ask_with(server.app, "/auth/verify", sent) == told.get(verdict, verdict)
