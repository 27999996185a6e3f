"""Raw API keys in the middleware: proven by asking the server, believed for seconds, and never against the feed."""

import asyncio
import threading
import time
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2
import pytest
from tests.conftest import ServerProcess

from hourpass.core.authorization import Basic, RawKey
from hourpass.core.errors import ConfigurationError, InvalidToken, Unavailable
from hourpass.core.policy import SECOND
from hourpass.core.revocation import Revocation, Revocations
from hourpass.urls import ServerAddress
from hourpass.verifier import Verifier, asgi, wsgi
from hourpass.verifier.guard import KeyIdentity, identity_headers
from hourpass.verifier.raw_keys import BELIEVED, REFUSED, RawKeys

KEY = "provider-key-0123"
GOOD = {
    "Hourpass-Subject": "alice", "Hourpass-Key-Id": "k", "Hourpass-Scope": "a", "Hourpass-Environment": "production",
    "Hourpass-Auth": "api-key", "Hourpass-Api-Key-Sunset": "", "Hourpass-Api-Key-Deprecation": "",
}  # fmt: skip
ALICE = KeyIdentity("alice", "k", "a")


def challenge(problem):
    return {"WWW-Authenticate": f'Bearer realm="x", error="invalid_token", error_description="{problem}"'}


class Server:
    """A server whose answers the test decides. It keeps the headers of every question."""

    def __init__(self):
        self.answer = 204, GOOD
        self.delay = 0.0
        self.asked = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *arguments):
                """Nothing: requests hold keys."""

            def do_GET(self):
                server.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                time.sleep(server.delay)
                status, headers = server.answer(self.headers) if callable(server.answer) else server.answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


class Asked(RawKeys):
    """Raw keys with a clock, a feed and a server of the test's."""

    def __init__(self, server, timeout=5_000, **limits):
        self.now = 1_000 * SECOND
        self.fresh = True
        self.revoked = Revocations()
        super().__init__(
            ServerAddress(server.url),
            "https://api.test",
            "production",
            self.revoked,
            lambda: self.fresh,
            timeout=timeout,
            timer=lambda: self.now,
            wall=lambda: self.now,
            **limits,
        )

    def prove(self, key=None, peer="192.0.2.1"):
        found = self.begin(key or Basic(KEY, ""), peer)
        if isinstance(found, KeyIdentity):
            return found
        found.result(10)
        return self.end(found)


@pytest.fixture
def server():
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture
def keys(server):
    keys = Asked(server)
    yield keys
    keys.close()


BASIC = "Basic " + b64encode(f"{KEY}:".encode()).decode()


def test_the_server_is_asked_for_the_apis_audience_and_environment_and_told_the_clients_address(server, keys):
    assert keys.prove() == ALICE

    [(path, headers)] = server.asked
    assert path == "/auth/verify?audience=https%3A%2F%2Fapi.test&environment=production"
    assert (headers["authorization"], headers["x-forwarded-for"]) == (BASIC, "192.0.2.1")


def test_an_answer_is_believed_for_ten_seconds(server, keys):
    keys.prove()
    keys.now += BELIEVED - 1
    keys.prove()
    assert len(server.asked) == 1

    keys.now += 1
    keys.prove()
    assert len(server.asked) == 2


def test_a_refusal_is_believed_for_a_second(server, keys):
    server.answer = 401, challenge("expired")
    for wait in (0, REFUSED - 1, 1):
        keys.now += wait
        with pytest.raises(InvalidToken) as refused:
            keys.prove()
        assert refused.value.problem == "expired"

    assert len(server.asked) == 2


def test_another_address_is_another_question(server, keys):
    """The key's allow-list may not name it."""
    keys.prove()
    keys.prove(peer="192.0.2.2")
    keys.prove(peer=None)

    assert [headers.get("x-forwarded-for") for _, headers in server.asked] == ["192.0.2.1", "192.0.2.2", None]


def test_nothing_is_believed_once_the_feed_revokes_the_key(server, keys):
    keys.prove()
    keys.revoked.add(Revocation(1, "key", "k", keys.now + 1_000_000))
    server.answer = 401, challenge("revoked")

    with pytest.raises(InvalidToken) as refused:
        keys.prove()

    assert refused.value.problem == "revoked"


def test_what_was_answered_before_the_feeds_word_about_a_key_is_asked_again(server, keys):
    """A key that was disabled and enabled: what the server says now is believed again."""
    keys.prove()
    keys.revoked.add(Revocation(1, "key", "k", keys.now + 1_000_000, keys.now // SECOND + 1))
    keys.prove()
    assert len(server.asked) == 2

    keys.now += SECOND
    keys.prove()
    keys.prove()
    assert len(server.asked) == 3


def test_nothing_is_believed_while_the_feed_is_not_heard(server, keys):
    keys.fresh = False
    keys.prove()
    keys.prove()

    assert len(server.asked) == 2


def test_one_question_about_a_key_is_under_way_at_a_time(server, keys):
    server.delay = 0.2
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: keys.prove(), range(8))) == {ALICE}

    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "answer",
    [
        (503, {"Retry-After": "1"}),
        (500, {}),
        (400, {}),
        (404, {}),
        (200, GOOD),
        (302, {"Location": "/auth/verify"}),
        (204, {}),
        (204, {**GOOD, "Hourpass-Auth": "bearer"}),
        (403, {}),
        (401, {"WWW-Authenticate": 'Bearer realm="x", error="invalid_request"'}),
    ],
    ids=lambda answer: f"{answer[0]} {' '.join(answer[1])}"[:40],
)
def test_trouble_is_never_a_bad_key_and_never_remembered(answer, server, keys):
    server.answer = answer
    for _ in range(2):
        with pytest.raises(Unavailable) as trouble:
            keys.prove()
        assert KEY not in str(trouble.value)
    assert len(server.asked) == 2

    server.answer = 204, GOOD
    assert keys.prove() == ALICE


def test_a_server_that_is_away_is_trouble(server, keys):
    server.http.server_close()
    with pytest.raises(Unavailable):
        keys.prove()


def test_a_server_that_takes_too_long_is_trouble(server):
    server.delay = 1
    keys = Asked(server, timeout=100)

    with pytest.raises(Unavailable, match="no answer in time"):
        keys.prove()
    keys.close()


def test_a_question_without_an_answer_yet_is_trouble(server, keys):
    server.delay = 0.3
    found = keys.begin(Basic(KEY, ""), None)

    with pytest.raises(Unavailable, match="no answer in time"):
        keys.end(found)


@pytest.mark.parametrize("key", ["", "a b", "\u00e9", "x" * 513, "a\n"])
def test_what_cannot_be_a_key_costs_no_question(key, server, keys):
    with pytest.raises(InvalidToken):
        keys.prove(Basic(key, ""))

    assert server.asked == []


@pytest.mark.parametrize(
    ("key", "asked"),
    [
        (Basic(KEY, "x"), [("authorization", BASIC)]),
        (RawKey(KEY), [("authorization", BASIC), ("authorization", f"Bearer {KEY}")]),
        (RawKey(KEY, "x-api-key"), [("authorization", BASIC), ("x-api-key", KEY)]),
        (RawKey("key:with-a-colon"), [("authorization", "Bearer key:with-a-colon")]),
        (
            RawKey("key:with-a-colon", "x-api-key"),
            [("authorization", "Bearer key:with-a-colon"), ("x-api-key", "key:with-a-colon")],
        ),
    ],
)
def test_a_key_is_spelled_as_basic_or_bearer_and_then_as_it_came(key, asked, server, keys):
    """The server may accept keys in one of these places only."""
    server.answer = lambda headers: (204, GOOD) if headers.get(asked[-1][0]) == asked[-1][1] else (401, {})

    assert keys.prove(key) == ALICE
    assert [(name, headers[name]) for (_, headers), (name, _) in zip(server.asked, asked, strict=True)] == asked


def test_a_refusal_that_says_why_is_final(server, keys):
    server.answer = 401, challenge("exchange_required")
    with pytest.raises(InvalidToken) as refused:
        keys.prove(RawKey(KEY, "x-api-key"))

    assert refused.value.problem == "exchange_required"
    assert len(server.asked) == 1


@pytest.mark.parametrize("headers", [{}, challenge("a_word_of_a_newer_server"), challenge("malformed")])
def test_a_refusal_without_a_word_that_is_known_is_a_bad_key(headers, server, keys):
    server.answer = 401, headers
    with pytest.raises(InvalidToken) as refused:
        keys.prove()

    assert refused.value.problem == "malformed"


def test_the_memory_is_bounded(server):
    keys = Asked(server, capacity=3)
    for number in range(10):
        keys.prove(Basic(f"{KEY}{number}", ""))
    assert len(keys._known) <= 3

    keys.now += BELIEVED
    keys.prove()
    assert len(keys._known) <= 3
    keys.close()


def test_too_many_keys_at_once_are_told_to_come_back(server):
    keys = Asked(server, waiting=1)
    server.delay = 0.3
    first = keys.begin(Basic(KEY, ""), None)

    with pytest.raises(Unavailable, match="too many"):
        keys.begin(Basic("another-key-0123", ""), None)
    first.result(10)
    assert keys.end(first) == ALICE
    keys.close()


def test_closed_it_forgets_and_opens_again(server, keys):
    keys.prove()
    keys.close()

    assert keys.prove() == ALICE
    assert len(server.asked) == 2


def test_no_repr_of_what_is_remembered_holds_a_key(server, keys):
    keys.prove()

    assert KEY not in repr(keys._known)


def test_the_end_of_the_key_is_in_the_identity_headers(server, keys):
    server.answer = 204, {**GOOD, "Hourpass-Api-Key-Sunset": "Sun", "Hourpass-Api-Key-Deprecation": "@1"}
    headers = dict(identity_headers(keys.prove()))

    assert (headers["Hourpass-Api-Key-Sunset"], headers["Hourpass-Api-Key-Deprecation"]) == ("Sun", "@1")


# Before a real server.


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A server that accepts keys everywhere. It is on loopback, so it believes the client's address."""
    folder = tmp_path_factory.mktemp("raw")
    flags = {"api-key-sources": "basic bearer header:X-API-Key", "exchange-limit": 0}
    server = ServerProcess(folder / "data", folder / "log", flags, {}).start()
    yield server
    server.stop()


@pytest.fixture
def verifier(real):
    with Verifier(issuer=real.url, audience=real.url) as verifier:
        yield verifier


SENT = {
    "basic": lambda key: {"Authorization": "Basic " + b64encode(f"{key}:".encode()).decode()},
    "bearer": lambda key: {"Authorization": f"Bearer {key}"},
    "header:X-API-Key": lambda key: {"X-API-Key": key},
}


async def application(scope, receive, send):
    names = {name for name, _ in scope["headers"]}
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(b"hourpass-key-id" in names).encode()})


def wsgi_application(environ, start_response):
    start_response("200 OK", [])
    return [environ["HTTP_HOURPASS_KEY_ID"].encode()]


def ask_asgi(verifier, headers, sources, address="127.0.0.1"):
    app = asgi.HourpassMiddleware(application, verifier=verifier, api_key_sources=sources)

    async def ask():
        transport = httpx2.ASGITransport(app=app, client=(address, 1))
        async with httpx2.AsyncClient(transport=transport, base_url="http://api.test") as http:
            return await http.get("/videos", headers=headers)

    return asyncio.run(ask())


def ask_wsgi(verifier, headers, sources, address="127.0.0.1"):
    app = wsgi.HourpassMiddleware(wsgi_application, verifier=verifier, api_key_sources=sources)
    transport = httpx2.WSGITransport(app=app, remote_addr=address)
    with httpx2.Client(transport=transport, base_url="http://api.test") as http:
        return http.get("/videos", headers=headers)


BOTH = pytest.mark.parametrize("ask", [ask_asgi, ask_wsgi])


@BOTH
@pytest.mark.parametrize("source", SENT)
def test_a_key_is_accepted_where_the_middleware_says_and_nowhere_else(source, ask, verifier, real):
    key = real.create_key()["api_key"]
    for way, headers in SENT.items():
        accepted = ask(verifier, headers(key), [source]).status_code
        assert accepted == (200 if way == source else 401), way
        assert ask(verifier, headers(key), None).status_code == 401, "no source, no key"


@BOTH
def test_what_the_server_refuses_is_refused_with_its_word(ask, verifier, real):
    def refusal(key, address="127.0.0.1"):
        answer = ask(verifier, SENT["basic"](key), ["basic"], address)
        assert answer.status_code == 401
        return answer.headers["www-authenticate"].rpartition("=")[2].strip('"')

    made = real.create_key()
    assert refusal(real.create_key("--environment", "sandbox")["api_key"]) == "environment"
    assert refusal(real.create_key("--audience", "https://other.test")["api_key"]) == "audience"
    assert refusal(real.create_key("--raw-until", "2020-01-01T00:00:00Z")["api_key"]) == "exchange_required"
    assert refusal(made["api_key"][:-1] + "!") == "malformed"
    listed = real.create_key("--allow-ip", "192.0.2.0/24")["api_key"]
    assert refusal(listed) == "address_not_allowed"
    assert ask(verifier, SENT["basic"](listed), ["basic"], "192.0.2.7").status_code == 200


def test_a_key_for_the_apis_own_audience_is_accepted(real):
    key = real.create_key("--audience", "https://api.test")["api_key"]
    with Verifier(issuer=real.url, audience="https://api.test") as verifier:
        assert ask_wsgi(verifier, SENT["basic"](key), ["basic"]).status_code == 200


@BOTH
def test_a_revoked_key_is_refused_within_a_second(ask, verifier, real):
    """The feed is heard, also if the answer is remembered."""
    made = real.create_key()
    headers = SENT["header:X-API-Key"](made["api_key"])
    token = httpx2.post(f"{real.url}/auth/api-key", json={"apiKey": made["api_key"]}).json()["access_token"]
    verifier.verify(token)  # the feed is followed now
    assert ask(verifier, headers, ["header:X-API-Key"]).status_code == 200

    real.command("keys", "revoke", made["key_id"])
    deadline = time.monotonic() + 2
    while (answer := ask(verifier, headers, ["header:X-API-Key"])).status_code == 200:
        assert time.monotonic() < deadline, "it never came true"

    assert "revoked" in answer.headers["www-authenticate"]


@BOTH
def test_a_server_that_is_away_is_503(ask, tmp_path):
    with Verifier(issuer="http://127.0.0.1:9", audience="https://api.test", timeout=0.5) as verifier:
        answer = ask(verifier, SENT["basic"](KEY), ["basic"])

    assert answer.status_code == 503
    assert "www-authenticate" not in answer.headers


@pytest.mark.parametrize("sources", [["query:key"], ["header:Host"], "basic", [""]])
def test_a_place_where_keys_must_not_be_is_a_mistake_of_the_configuration(sources, verifier):
    with pytest.raises(ConfigurationError, match="api_key_sources"):
        wsgi.HourpassMiddleware(wsgi_application, verifier=verifier, api_key_sources=sources)
