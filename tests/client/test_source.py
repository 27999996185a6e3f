"""Who waits for what: one refresh at a time, good tokens through every trouble, no token past its end."""

from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from tests.client.conftest import HOUR, settle

from hourpass.client.refresh.cache import FileCache, MemoryCache
from hourpass.client.source import TokenSource
from hourpass.core.errors import ConfigurationError, LoginRequired, Unavailable

SOFT, HARD = 2520, 3528
"""Seconds, with half of the jitter."""


def test_the_first_call_exchanges_the_key_and_the_next_costs_nothing(source, endpoint):
    assert [source.token() for _ in range(3)] == ["access-1"] * 3
    assert endpoint.requests == [("/auth/api-key", {"apiKey": "KEY"})]


def test_the_token_request_is_sent(make, endpoint):
    source = make(scope="a b", audience="api", expires_in=60)

    source.refresh(rejected=source.credential().number)

    assert endpoint.requests == [
        ("/auth/api-key", {"apiKey": "KEY", "scope": "a b", "audience": "api", "expiresIn": 60}),
        ("/auth/refresh", {"refreshToken": "refresh-1", "scope": "a b", "expiresIn": 60}),
    ]


def test_past_soft_the_good_token_goes_on_and_one_refresh_runs_behind_it(source, endpoint, clock):
    source.token()
    clock.advance(SOFT)
    endpoint.open.clear()

    assert [source.token() for _ in range(5)] == ["access-1"] * 5
    endpoint.open.set()

    assert source.refresh(within=5).access_token == "access-2"
    assert endpoint.paths == ["api-key", "refresh"]


def test_before_soft_nothing_runs(source, endpoint, clock):
    source.token()
    clock.advance(SOFT - 0.001)
    source.token()
    settle(source)

    assert source.counts["locked"] == 1
    assert endpoint.paths == ["api-key"]


def test_past_hard_everybody_waits_for_the_same_refresh(source, endpoint, clock):
    source.token()
    clock.advance(HARD)
    endpoint.open.clear()
    with ThreadPoolExecutor(16) as pool:
        tokens = [pool.submit(source.token, within=5) for _ in range(16)]
        endpoint.open.set()
        assert {token.result() for token in tokens} == {"access-2"}

    assert endpoint.paths == ["api-key", "refresh"]


def test_while_the_server_is_down_the_token_is_good_to_hard_and_never_sent_after(source, endpoint, clock):
    source.token()
    endpoint.script = [httpx2.ConnectError("down")] * 50
    for age in (SOFT, SOFT + 400, HARD - 1):
        clock.now = source.current.issued_at + age * 1000
        assert source.token() == "access-1"
        settle(source)

    clock.now = source.current.hard
    with pytest.raises(Unavailable):
        source.token()

    endpoint.script.clear()
    clock.advance(60)
    assert source.token() == "access-5", "the refresh token has survived it all"
    assert endpoint.paths == ["api-key", *["refresh"] * 4]


def test_the_wait_for_the_next_try_is_not_begun_if_it_is_too_long(source, endpoint):
    endpoint.script = [(503, {"Retry-After": "7"})]

    with pytest.raises(Unavailable) as caught:
        source.token()

    assert caught.value.retry_after == 7
    assert endpoint.paths == ["api-key"]
    with pytest.raises(Unavailable):
        source.token()
    assert endpoint.paths == ["api-key"], "within the pause nothing is sent"


def test_a_short_trouble_is_waited_out(make, endpoint):
    source = make(chance=lambda: 0.05, clock=_running_clock())
    endpoint.script = [503]

    assert source.token(within=5) == "access-2"


def _running_clock():
    from hourpass.clocks import boot_clock

    return boot_clock


def test_a_rejected_token_is_refreshed_once_however_many_say_so(source, endpoint):
    number = source.credential().number

    assert {source.refresh(rejected=number).number for _ in range(20)} == {number + 1}
    assert endpoint.paths == ["api-key", "refresh"]


def test_a_refused_refresh_token_heals_from_the_key_once_in_30_s(source, endpoint, clock):
    source.token()
    clock.advance(HARD)
    endpoint.script = [400]

    assert source.token() == "access-3"
    assert endpoint.paths == ["api-key", "refresh", "api-key"]

    endpoint.script = [400]
    with pytest.raises(Unavailable):
        source.refresh(rejected=source.current.number)
    assert endpoint.paths[3:] == ["refresh"]


def test_without_a_key_a_refused_refresh_token_requires_one(make, endpoint, clock):
    cache = MemoryCache()
    make(cache=cache).token()
    poor = make(api_key=None, cache=cache)
    clock.advance(HARD)
    endpoint.script = [400, 400]

    for _ in range(3):
        with pytest.raises(LoginRequired) as caught:
            poor.token()

    assert caught.value.reason == "revoked"
    assert endpoint.paths == ["api-key", "refresh"], "a refusal is remembered for a while"


def test_forgetting_asks_again_at_once(make, endpoint):
    source = make()
    endpoint.script = [400]
    with pytest.raises(LoginRequired):
        source.token()

    source.forget()

    assert source.token() == "access-2"


def test_a_dropped_answer_is_asked_for_again_with_the_same_token(source, endpoint, clock):
    source.token()
    clock.advance(HARD)
    endpoint.script = [httpx2.ReadError("dropped"), httpx2.RemoteProtocolError("dropped")]

    assert source.token() == "access-4"
    assert [body for _, body in endpoint.requests[1:]] == [{"refreshToken": "refresh-1"}] * 3


@pytest.mark.parametrize(
    ("min_valid", "left", "refreshes"),
    [(60, 100, 0), (60, 59, 1), (3000, 1700, 1), (3000, 1801, 0)],
)
def test_min_valid_asks_for_a_refresh_if_less_is_left(make, endpoint, clock, min_valid, left, refreshes):
    source = make()
    source.token()
    clock.now = source.current.hard - left * 1000
    source.token(min_valid=min_valid)
    settle(source)

    assert endpoint.paths[1:] == ["refresh"] * refreshes


def test_min_valid_is_content_with_less_if_there_is_nothing_better(source, endpoint, clock):
    source.token()
    clock.advance(HARD - 30)
    endpoint.script = [503]

    assert source.token(min_valid=60) == "access-1"


def test_a_key_comes_from_a_callable_when_it_is_needed(make, endpoint):
    asked = []
    source = make(api_key=lambda: asked.append(1) or "CALLED\n")

    source.token()
    source.refresh(rejected=1)

    assert asked == [1]
    assert endpoint.requests[0][1] == {"apiKey": "CALLED"}


def test_a_line_end_after_the_key_is_not_part_of_it(make, endpoint):
    make(api_key="KEY\n").token()

    assert endpoint.requests[0][1] == {"apiKey": "KEY"}


def test_a_callable_that_fails_tells_its_kind_and_not_its_text(make):
    def no_key():
        raise OSError("SECRET path")

    with pytest.raises(ConfigurationError) as caught:
        make(api_key=no_key).token()

    assert "OSError" in str(caught.value)
    assert "SECRET" not in str(caught.value)


def test_a_source_with_a_cache_continues_from_another(make, endpoint, tmp_path):
    make(cache=FileCache(tmp_path / "token")).token()

    assert make(api_key=None, cache=FileCache(tmp_path / "token")).token() == "access-1"
    assert endpoint.paths == ["api-key"]


def test_a_cache_of_another_token_request_is_not_used(make, endpoint):
    cache = MemoryCache()
    make(cache=cache).token()

    make(cache=cache, scope="less").token()

    assert endpoint.paths == ["api-key", "api-key"]


def test_a_cache_that_cannot_be_written_does_not_cost_the_token(make, endpoint, clock):
    class FullCache(MemoryCache):
        def write(self, content):
            raise OSError(28, "No space left on device")

    source = make(cache=FullCache())
    source.token()
    clock.advance(HARD)

    assert source.token() == "access-2"
    assert endpoint.paths == ["api-key", "refresh"], "the refresh token is kept in memory"
    assert source.counts["unsaved"] == 2


def test_tokens_that_expire_on_their_way_are_given_up(make, endpoint):
    source = make(clock=_rushing_clock())

    with pytest.raises(Unavailable, match="expire before they arrive"):
        source.token()
    assert len(endpoint.paths) == 2


def _rushing_clock():
    ticks = iter(range(0, 10**12, 2 * HOUR))
    return lambda: next(ticks)


def test_an_observer_sees_the_steps_in_order_and_may_fail(make):
    seen = []

    def observe(event):
        seen.append(event)
        raise RuntimeError("observer")

    source = make(observe=observe)
    source.token()

    assert seen == ["locked", "posting", "answered", "exchanged", "written", "published"]
    assert source.counts == dict.fromkeys(seen, 1)


def test_after_close_a_good_token_stays_good_and_no_refresh_begins(source, endpoint, clock):
    source.token()
    source.close()
    clock.advance(SOFT)

    assert source.token() == "access-1"
    with pytest.raises(Unavailable, match="closed"):
        source.refresh()
    assert endpoint.paths == ["api-key"]


@pytest.mark.parametrize(
    "url",
    ["ftp://h", "h", "http://api.example.com", "https://user:SECRET@h", "https://h/?q=SECRET", "https://h/#f", ""],
)
def test_a_url_that_keys_must_not_be_sent_to_is_refused(url):
    with pytest.raises(ConfigurationError) as caught:
        TokenSource(url)
    assert "SECRET" not in str(caught.value)
