"""To any bytes the answer is one of the contract's: never a 500, never an echo. In process, so there are many."""

import asyncio
import base64
import json

import httpx2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hourpass.testing import InMemoryServer

ALLOWED = {200, 204, 304, 400, 401, 403, 404, 405, 413}
PATHS = [
    "/auth/api-key",
    "/auth/refresh",
    "/auth/verify",
    "/oauth/token",
    "/oauth/revoke",
    "/oauth/introspect",
    "/.well-known/jwks.json",
    "/.well-known/oauth-authorization-server",
    "/health/live",
    "/health/ready",
]
FORM = b"application/x-www-form-urlencoded"
fuzz = settings(max_examples=150)


class Fuzzed:
    """A server, and its application called directly: no HTTP library tidies up what is sent."""

    def __init__(self, runner, server):
        self._runner = runner
        self.server = server
        self.key = runner.run(server.create_key(scope="a introspect"))
        pair = runner.run(server.exchange(self.key))
        self.access, self.refresh = pair.access_token, pair.refresh_token

    def send(self, method, path, body=b"", query=b"", **headers):
        lines = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
        return self._runner.run(self._send(method, path, body, query, lines))

    async def _send(self, method, path, body, query, headers):
        sent = []
        scope = {"type": "http", "method": method, "path": path, "query_string": query, "headers": headers}

        async def receive():
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message):
            sent.append(message)

        await self.server.app({**scope, "client": ("192.0.2.1", 1), "root_path": ""}, receive, send)
        start, content = sent
        answer = httpx2.Response(start["status"], headers=start["headers"], content=content["body"])
        assert answer.status_code in ALLOWED
        assert self.server.app.counts["failure"] == 0
        for name, value in start["headers"]:
            assert not set(b"\r\n\0") & set(name + value)
        if answer.headers.get("content-type") == "application/problem+json":
            assert {"type", "title", "name", "status"} <= answer.json().keys()
        return answer


@pytest.fixture(scope="module")
def fuzzed():
    """No throttle: it would answer 429 to all but the first few hundred examples.

    The event loop runs while a request does, and stands still while Hypothesis thinks.
    """
    server = InMemoryServer(exchange_limit=0, cors_origins=("https://app.test",), revocation_staleness=10**9)
    with asyncio.Runner() as runner:
        runner.run(server.__aenter__())
        yield Fuzzed(runner, server)
        runner.run(server.__aexit__(None, None, None))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
members = st.dictionaries(
    st.sampled_from(["apiKey", "refreshToken", "scope", "expiresIn", "audience", "x"]), json_values, max_size=6
)
form_names = st.sampled_from(
    ["grant_type", "client_id", "client_secret", "refresh_token", "scope", "token", "token_type_hint"]
)
header_bytes = st.binary(max_size=80).filter(lambda value: not set(b"\r\n\0") & set(value))


@st.composite
def spoilt(draw, original):
    """Some bytes with a few of them changed, cut out or doubled."""
    data = bytearray(original)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(data)


@fuzz
@given(path=st.sampled_from(PATHS), body=st.binary(max_size=300), content_type=st.sampled_from([FORM, b"", b"\xff"]))
def test_any_bytes_as_a_body(fuzzed, path, body, content_type):
    fuzzed.send("POST", path, body, content_type=content_type)


@fuzz
@given(path=st.sampled_from(["/auth/api-key", "/auth/refresh"]), value=json_values | members)
@example(path="/auth/api-key", value={"apiKey": "x", "expiresIn": 10**400})
@example(path="/auth/refresh", value={"refreshToken": "\udcff"})
def test_any_json_as_a_body(fuzzed, path, value):
    answer = fuzzed.send("POST", path, json.dumps(value).encode())

    assert answer.status_code == 400


@fuzz
@given(data=st.data())
def test_a_good_body_with_a_few_bytes_changed(fuzzed, data):
    original = json.dumps({"apiKey": fuzzed.key, "scope": "a", "expiresIn": 60}).encode()
    body = data.draw(spoilt(original))

    answer = fuzzed.send("POST", "/auth/api-key", body)

    if answer.status_code != 200:
        assert fuzzed.key.encode() not in answer.content


@fuzz
@given(data=st.data(), asked=st.dictionaries(st.sampled_from(["scope", "expiresIn", "audience"]), json_values))
def test_any_request_with_a_good_key(fuzzed, data, asked):
    answer = fuzzed.send("POST", "/auth/api-key", json.dumps({"apiKey": fuzzed.key, **asked}).encode())

    if answer.status_code == 200:
        assert 1 <= answer.json()["expires_in"] <= 3600


@fuzz
@given(
    path=st.sampled_from(["/oauth/token", "/oauth/revoke", "/oauth/introspect"]),
    fields=st.lists(st.tuples(form_names, st.text(max_size=20) | st.sampled_from(["refresh_token", "a"])), max_size=5),
    authorization=header_bytes,
)
def test_any_form(fuzzed, path, fields, authorization):
    body = "&".join(f"{name}={value}" for name, value in fields).encode("utf-8", "surrogatepass")

    fuzzed.send("POST", path, body, content_type=FORM, authorization=authorization)
    fuzzed.send("POST", path, str(httpx2.QueryParams(fields)).encode(), content_type=FORM)


schemes = st.sampled_from([b"Bearer ", b"bearer  ", b"Basic ", b"BASIC ", b"Bearer\t", b"", b"Bearer,"])


@fuzz
@given(
    path=st.sampled_from(PATHS), scheme=schemes, value=header_bytes, method=st.sampled_from(["GET", "POST", "OPTIONS"])
)
def test_any_authorization_header(fuzzed, path, scheme, value, method):
    answer = fuzzed.send(method, path, authorization=scheme + value, content_type=FORM)

    assert path != "/auth/verify" or answer.status_code == 401


@fuzz
@given(user=st.binary(max_size=60), tail=st.sampled_from([b"", b"=", b" ", b"\n"]))
def test_any_basic_credentials(fuzzed, user, tail):
    value = b"Basic " + base64.b64encode(user) + tail

    assert fuzzed.send("GET", "/auth/verify", authorization=value).status_code == 401
    assert (
        fuzzed.send("POST", "/oauth/introspect", b"token=x", authorization=value, content_type=FORM).status_code == 401
    )


@fuzz
@given(data=st.data(), which=st.sampled_from(["access", "refresh"]))
def test_a_good_token_with_a_few_bytes_changed_is_never_accepted(fuzzed, data, which):
    original = getattr(fuzzed, which)
    token = data.draw(spoilt(original).filter(lambda token: token.rstrip(b" \t").lstrip(b" ") != original))

    verified = fuzzed.send("GET", "/auth/verify", authorization=b"Bearer " + token)
    refreshed = fuzzed.send("POST", "/auth/refresh", b'{"refreshToken":"' + token + b'"}')

    assert verified.status_code == 401
    assert refreshed.status_code == 400


@fuzz
@given(
    query=st.binary(max_size=60) | st.text(max_size=30).map(lambda text: b"scope=" + text.encode("utf-8", "replace"))
)
@example(query=b"scope=%00")
@example(query=b"scope=%0d%0aset-cookie:x")
@example(query=b'scope=a"%20b')
def test_any_query_on_the_verify_url(fuzzed, query):
    answer = fuzzed.send("GET", "/auth/verify", query=query, authorization=b"Bearer " + fuzzed.access)

    assert answer.status_code in (204, 400, 403)


@fuzz
@given(
    path=st.text(max_size=40),
    method=st.sampled_from(["GET", "POST", "OPTIONS", "BREW", ""]),
    prefix=st.sampled_from(PATHS),
)
def test_any_path(fuzzed, path, method, prefix):
    fuzzed.send(method, path)
    fuzzed.send(method, prefix + path)


@fuzz
@given(forwarded=header_bytes, origin=header_bytes, etag=header_bytes, path=st.sampled_from(PATHS))
def test_any_value_of_the_headers_that_we_read(fuzzed, forwarded, origin, etag, path):
    answer = fuzzed.send("GET", path, x_forwarded_for=forwarded, origin=origin, if_none_match=etag)

    assert "access-control-allow-origin" not in answer.headers
