"""Answers of other people's servers that are tokens all the same, over a real socket.

The source's own service answers with 3599 s, opaque tokens, and one refresh token for ever.
"""

import pytest
from tests.client.conftest import settle
from tests.client.scripted_server import KEEPS, http, pair

from hourpass.core.errors import LoginRequired, Unavailable

PROBLEM = "application/problem+json; charset=UTF-8"


def test_the_sources_own_service_gives_tokens_that_live_3599_s(other, source_of):
    source = source_of(other)

    one = source.credential()

    assert (one.access_token, one.refresh_token, one.lifetime) == ("opaque-1", KEEPS, 3_599_000)
    assert source.token() == "opaque-1"
    path, headers, body = other.requests[0]
    assert (path, body) == ("/auth/api-key", {"apiKey": "KEY"})
    assert headers["content-type"] == "application/json"
    assert not {"authorization", "cookie"} & set(headers)
    assert other.connections == 1


def test_a_refresh_token_that_never_rotates_is_presented_again_and_again(other, source_of):
    source = source_of(other)
    number = source.credential().number

    for _ in range(3):
        number = source.refresh(rejected=number).number

    assert source.token() == "opaque-4"
    assert other.bodies == [{"apiKey": "KEY"}, *[{"refreshToken": KEEPS}] * 3]


def test_a_refresh_token_that_never_rotated_is_given_up_at_its_first_refusal(other, source_of, clock):
    """It comes back the same from every look at the cache: no reason to try it twice."""
    source = source_of(other)
    source.token()
    clock.advance(3_600)
    other.script = [http(400, b'{"title":"The refresh token is invalid.","name":"","status":400}', PROBLEM)]

    assert source.token() == "opaque-3"
    assert other.paths == ["api-key", "refresh", "api-key"]


SHAPES = [
    pytest.param(http(200, pair(7), "application/json; charset=utf-8"), 3_599_000, id="charset"),
    pytest.param(http(200, pair(7), "text/html"), 3_599_000, id="wrong media type"),
    pytest.param(http(200, pair(7), None), 3_599_000, id="no media type"),
    pytest.param(http(200, b" \r\n" + pair(7) + b"\n"), 3_599_000, id="white space around it"),
    pytest.param(http(200, pair(7, scope="a", user={"id": [1, {}]}, id_token=None)), 3_599_000, id="extra members"),
    pytest.param(http(200, pair(7, token_type="bearer")), 3_599_000, id="bearer in lower case"),
    pytest.param(http(200, pair(7, expires_in="3599")), 3_599_000, id="expires_in a string"),
    pytest.param(http(200, pair(7, expires_in=3599.0)), 3_599_000, id="expires_in a float"),
    pytest.param(http(200, pair(7, expires_in=12.5)), 12_500, id="expires_in with a fraction"),
    pytest.param(http(200, pair(7, expires_in=...)), 300_000, id="no expires_in"),
    pytest.param(http(200, pair(7, expires_in=0.1)), 100, id="the shortest life"),
    pytest.param(http(200, pair(7, expires_in=10**9)), 10**12, id="the longest life"),
    pytest.param(http(200, pair(7), "application/json", "Set-Cookie: session=1"), 3_599_000, id="a cookie"),
    pytest.param(http(200, pair(7)).replace(b"HTTP/1.1", b"HTTP/1.0"), 3_599_000, id="HTTP/1.0"),
    pytest.param(b"HTTP/1.1 103 Early Hints\r\n\r\n" + http(200, pair(7)), 3_599_000, id="hints before it"),
    pytest.param(
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + pair(7), 3_599_000, id="no length, ended by the connection"
    ),
    pytest.param(
        http(200, b"%x\r\n%b\r\n0\r\n\r\n" % (len(pair(7)), pair(7)), None, "Transfer-Encoding: chunked"),
        3_599_000,
        id="chunked",
    ),
]


@pytest.mark.parametrize(("answer", "lifetime"), SHAPES)
def test_a_token_is_accepted_in_every_wrapping(other, source_of, answer, lifetime):
    """RFC 6749 §5.1 asks for less than our own server gives."""
    other.script = [answer]

    one = source_of(other).credential()

    assert (one.access_token, one.refresh_token, one.lifetime) == ("opaque-7", KEEPS, lifetime)
    assert other.paths == ["api-key"]


@pytest.mark.parametrize("missing", [..., None, ""], ids=["absent", "null", "empty"])
def test_a_refresh_that_brings_no_refresh_token_leaves_the_old_one_in_force(other, source_of, missing):
    """RFC 6749 §6."""
    source = source_of(other)
    number = source.credential().number
    other.script = [http(200, pair(2, refresh_token=missing))] * 2

    number = source.refresh(rejected=number).number
    source.refresh(rejected=number)

    assert other.bodies[1:] == [{"refreshToken": KEEPS}] * 2


def test_a_server_without_refresh_tokens_is_asked_with_the_key_each_time(other, source_of, clock):
    other.script = [http(200, pair(number, refresh_token=...)) for number in (1, 2)]
    source = source_of(other)
    source.token()
    clock.advance(3_600)

    assert source.token() == "opaque-2"
    assert other.bodies == [{"apiKey": "KEY"}] * 2


REFUSALS = [
    pytest.param(b'{"title":"The user credentials were incorrect.","name":"","status":400}\n', None, id="title"),
    pytest.param(b'{"type":"https://docs.example.com/x","name":"apiKey","status":400}', None, id="no title"),
    pytest.param(b'{"error":"invalid_grant","error_description":"x"}', "invalid_grant", id="OAuth's own"),
    pytest.param(b'{"title":"x","name":"","status":400,"reason":"revoked"}', "revoked", id="with our reason"),
]


@pytest.mark.parametrize("status", [400, 401])
@pytest.mark.parametrize(("body", "reason"), REFUSALS)
def test_a_refused_key_is_remembered_for_exactly_30_s(other, source_of, clock, status, body, reason):
    """contract.md, "Errors": 400 for wrong credentials, although others say 401."""
    source = source_of(other)
    other.script = [http(status, body.replace(b"400", b"%d" % status), PROBLEM)]

    with pytest.raises(LoginRequired) as caught:
        source.token()
    assert caught.value.reason == reason
    clock.advance(29.999)
    with pytest.raises(LoginRequired):
        source.token()
    assert other.connections == 1

    clock.advance(0.001)
    assert source.token() == "opaque-2"


@pytest.mark.parametrize("status", [400, 401])
@pytest.mark.parametrize(("body", "reason"), REFUSALS)
def test_without_a_key_a_refused_refresh_token_is_kept_and_the_good_token_too(
    other, source_of, clock, tmp_path, status, body, reason
):
    source_of(other, cache_at=tmp_path / "token").token()
    source = source_of(other, api_key=None, cache_at=tmp_path / "token")
    other.script = [http(status, body.replace(b"400", b"%d" % status), PROBLEM)]
    clock.advance(2_600)

    assert source.token() == "opaque-1"
    settle(source)
    with pytest.raises(LoginRequired) as caught:
        source.refresh(rejected=1)
    assert caught.value.reason == reason
    assert source.token() == "opaque-1", "until hard"
    assert other.paths == ["api-key", "refresh"], "its refusal is remembered"

    source.forget()
    clock.advance(1_000)
    assert source.token() == "opaque-3", "the cache has kept it, should the server have been wrong"
    assert other.bodies[2] == {"refreshToken": KEEPS}


WALL = 1_800_000_000_000
"""A Friday: 2027-01-15 08:00:00 GMT."""


@pytest.mark.parametrize(
    ("value", "pause"),
    [
        pytest.param("7", 7_000, id="seconds"),
        pytest.param("0", 1_000, id="no seconds: our own backoff"),
        pytest.param("600", 600_000, id="ten minutes"),
        pytest.param("601", 600_000, id="more than ten minutes"),
        pytest.param("Fri, 15 Jan 2027 08:00:07 GMT", 7_000, id="a date"),
        pytest.param("Friday, 15-Jan-27 08:00:07 GMT", 7_000, id="a date of RFC 850"),
        pytest.param("Fri Jan 15 08:00:07 2027", 7_000, id="a date of asctime"),
        pytest.param("Fri, 15 Jan 2027 07:00:00 GMT", 1_000, id="a date in the past"),
        pytest.param("Fri, 15 Jan 2027 08:10:01 GMT", 600_000, id="a date too far away"),
        pytest.param("soon", 1_000, id="nonsense"),
    ],
)
@pytest.mark.parametrize("status", [413, 429, 503])
def test_retry_after_is_the_least_to_wait_and_ten_minutes_the_most(other, source_of, clock, status, value, pause):
    """RFC 9110 §10.2.3. All three forms of a date are read (§5.6.7)."""
    other.script = [http(status, b"", None, f"Retry-After: {value}")]
    source = source_of(other, wall=lambda: WALL)

    with pytest.raises(Unavailable) as caught:
        source.refresh(retry=False)

    assert source.retry_at - clock.now == pause
    assert caught.value.retry_after == pause // 1000
    assert other.connections == 1
