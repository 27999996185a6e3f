"""The two POSTs: their requests, their refusals, and the meaning of every answer."""

import errno
import json
import socket
import ssl
import threading
import time

import httpx2
import pytest
from tests.client.conftest import setting

from hourpass.client.refresh.token_endpoint import MAX_ANSWER, TokenEndpoint, classify
from hourpass.client.refresh.transaction import Granted, NotAccepted, Transient, Unknown

PAIR = {"token_type": "Bearer", "expires_in": 3599, "access_token": "eyJ0.a.b", "refresh_token": "def502.opaque"}


def body(**changes):
    members = {**PAIR, **changes}
    return json.dumps({name: value for name, value in members.items() if value is not ...}).encode()


def answering(handler, *, url="http://127.0.0.1:3600", **options):
    transport = httpx2.MockTransport(handler)
    return TokenEndpoint(setting(url, user_agent="hourpass-test", transport=transport, **options))


@pytest.mark.parametrize(
    ("content", "granted"),
    [
        (body(), Granted("eyJ0.a.b", "def502.opaque", 3_599_000)),
        (body(expires_in="3600"), Granted("eyJ0.a.b", "def502.opaque", 3_600_000)),
        (body(expires_in=0.5), Granted("eyJ0.a.b", "def502.opaque", 500)),
        (body(expires_in=...), Granted("eyJ0.a.b", "def502.opaque", 300_000)),
        (body(token_type="bearer"), Granted("eyJ0.a.b", "def502.opaque", 3_599_000)),
        (body(token_type=...), Granted("eyJ0.a.b", "def502.opaque", 3_599_000)),
        (body(refresh_token=...), Granted("eyJ0.a.b", None, 3_599_000)),
        (body(refresh_token=None), Granted("eyJ0.a.b", None, 3_599_000)),
        (body(refresh_in=60, unknown=[1]), Granted("eyJ0.a.b", "def502.opaque", 3_599_000, 60_000)),
    ],
)
def test_a_pair_is_granted_in_every_spelling_that_servers_use(content, granted):
    """RFC 6749 §5.1. The source answers with 3599 and an opaque refresh token."""
    assert classify(200, content) == granted


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>Sign in</html>",
        b"[]",
        b"\xff",
        b"[" * 50_000,
        body(access_token=...),
        body(access_token=""),
        body(access_token=7),
        body(access_token="a b"),
        body(access_token="a\r\nX-Evil: 1"),
        body(token_type="mac"),
        body(expires_in=0),
        body(expires_in=-1),
        body(expires_in=10**12),
        body(expires_in="soon"),
    ],
)
def test_a_200_without_a_token_costs_nothing(content):
    """A portal in the way must not cost the refresh token, nor its text reach a header."""
    assert isinstance(classify(200, content), Transient)


@pytest.mark.parametrize("status", [400, 401])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"reason":"revoked","title":"x","name":"","status":%d}', "revoked"),
        ('{"error":"invalid_grant"}', "invalid_grant"),
        ('{"error":"invalid_client","reason":"rotated"}', "rotated"),
        ('{"title":"The user credentials were incorrect.","name":"","status":%d}', None),
        ('{"reason":"with SECRET inside","name":"apiKey","status":%d}', None),
        ('{"reason":7,"name":"","status":%d}', None),
    ],
)
def test_400_and_401_refuse_the_credential_and_only_a_plain_word_is_repeated(status, content, reason):
    assert classify(status, content.replace("%d", str(status)).encode()) == NotAccepted(reason)


@pytest.mark.parametrize("status", [400, 401])
@pytest.mark.parametrize(
    "content",
    [
        b"", b"<html>400 Bad Request</html>", b"[]", b"null", b'"invalid_grant"', b"{}", b"{", b"\xff", b"[" * 10_000,
        b'{"message":"Forbidden"}', b'{"error":"Unauthorized","status":401,"path":"/auth/api-key"}',
        b'{"error":{"error":"invalid_grant"}}', b'{"error":["invalid_grant"]}', b'{"error":"unauthorized"}',
        b'{"type":"https://waf.example/1010","title":"Access denied","status":400,"error_name":"banned"}',
        b'{"type":"about:blank","title":"Bad Request","status":401}',
        b'{"name":"UnauthorizedError","message":"No authorization token was found","status":401}',  # express-jwt
        b'{"name":"BadRequestError","message":"request aborted","status":400,"expose":true}',  # http-errors
        b'{"title":"x","name":7,"status":400}', b'{"title":"x","name":"","status":403}', b'{"name":"","status":"400"}',
        b'\x1f\x8b\x08\x00{"error":"invalid_grant"}',
    ],
    ids=ascii,
)  # fmt: skip
def test_a_400_or_401_of_something_else_judges_nobody(status, content):
    """A load balancer, a firewall or a captive portal in the way."""
    assert isinstance(classify(status, content), Transient)


@pytest.mark.parametrize("status", [201, 204, 301, 302, 307, 403, 404, 405, 408, 413, 415, 429, 500, 502, 503, 504])
def test_no_other_status_judges_the_credential(status):
    assert classify(status, b'{"reason":"revoked"}', 7_000) == Transient(f"the token endpoint answered {status}", 7_000)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx2.ConnectError("x"), Transient),
        (httpx2.ConnectTimeout("x"), Transient),
        (httpx2.ProxyError("x"), Transient),
        (httpx2.ReadError("x"), Unknown),
        (httpx2.ReadTimeout("x"), Unknown),
        (httpx2.WriteError("x"), Unknown),
        (httpx2.WriteTimeout("x"), Unknown),
        (httpx2.RemoteProtocolError("x"), Unknown),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_outcome_is_unknown_from_the_moment_something_was_sent(error, kind):
    def fail(request):
        raise error

    assert isinstance(answering(fail).refresh("token"), kind)


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "SECRET"), "Connection refused"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "Name or service not known"),
        (ssl.SSLError(1, "wrong version number"), "wrong version number"),
        (ValueError("SECRET"), "ConnectError"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_system_says_why_the_connection_failed(cause, said):
    def fail(request):
        raise httpx2.ConnectError("SECRET") from cause

    assert answering(fail).refresh("token") == Transient(f"no connection to the token endpoint ({said})")


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:3600", "http://127.0.0.1:3600/", "http://127.0.0.1:3600/a/b", "http://127.0.0.1:3600/a/b/"],
)
def test_a_path_prefix_and_a_final_slash_make_no_difference(url):
    asked = []
    endpoint = answering(lambda request: asked.append(request) or httpx2.Response(200, content=body()), url=url)

    endpoint.exchange("KEY")
    endpoint.refresh("TOKEN")

    prefix = "/a/b" if "/a" in url else ""
    assert [request.url.path for request in asked] == [f"{prefix}/auth/api-key", f"{prefix}/auth/refresh"]
    assert [json.loads(request.content) for request in asked] == [{"apiKey": "KEY"}, {"refreshToken": "TOKEN"}]
    for request in asked:
        assert request.headers["content-type"] == "application/json"
        assert request.headers["user-agent"] == "hourpass-test"
        assert "authorization" not in request.headers


def test_no_redirect_is_followed_and_no_cookie_comes_back():
    asked = []

    def redirect(request):
        asked.append(request)
        headers = {"location": "http://127.0.0.1:1/auth/refresh", "set-cookie": "a=b"}
        return httpx2.Response(307, headers=headers)

    endpoint = answering(redirect)

    assert isinstance(endpoint.refresh("token"), Transient)
    assert isinstance(endpoint.refresh("token"), Transient)
    assert [request.url.port for request in asked] == [3600, 3600]
    assert "cookie" not in asked[1].headers


@pytest.mark.parametrize(("size", "kind"), [(MAX_ANSWER, Granted), (MAX_ANSWER + 1, Transient)])
def test_an_answer_has_at_most_64_kib(size, kind):
    content = body()
    content += b" " * (size - len(content))

    assert isinstance(answering(lambda request: httpx2.Response(200, content=content)).refresh("token"), kind)


def test_a_packed_answer_is_not_unpacked():
    import gzip

    packed = httpx2.ByteStream(gzip.compress(body()))
    response = httpx2.Response(200, headers={"content-encoding": "gzip"}, stream=packed)

    assert isinstance(answering(lambda request: response).refresh("token"), Transient)


def test_retry_after_is_passed_on():
    response = httpx2.Response(503, headers={"retry-after": "9"})

    assert answering(lambda request: response).refresh("token") == Transient("the token endpoint answered 503", 9_000)


def test_no_repr_holds_a_secret():
    assert repr(answering(lambda request: None)) == "TokenEndpoint('http://127.0.0.1:3600')"


def test_a_server_that_drips_is_cut_off_after_the_whole_time():
    """A time-out for each byte would never end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stop = threading.Event()

        def drip():
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                try:
                    for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 200:
                        connection.sendall(bytes([byte]))
                        if stop.wait(0.05):
                            return
                except OSError:
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        endpoint = TokenEndpoint(setting(url), total=0.5)

        begun = time.monotonic()
        outcome = endpoint.refresh("token")

        stop.set()
        thread.join()
    assert isinstance(outcome, Unknown)
    assert time.monotonic() - begun < 5
