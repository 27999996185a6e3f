"""The verifier of a resource server against an issuer on loopback: threads, event loops, forks, and every outage."""

import asyncio
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.verifier.conftest import AUDIENCE, refuses, until, wall

from hourpass.core.errors import ConfigurationError, InvalidToken
from hourpass.verifier import Verifier


def test_the_first_token_starts_everything(issuer):
    verifier = Verifier(issuer=issuer.url, audience=AUDIENCE)
    assert (issuer.fetches, verifier.status().keys) == (0, "empty")

    assert verifier.verify(issuer.token()).sub == "alice"

    assert (verifier.status().keys, verifier.status().revocations) == ("fresh", "fresh")
    verifier.close()


def test_a_token_may_be_text_or_bytes(issuer, verifier):
    token = issuer.token()
    assert verifier.verify(token) == verifier.verify(token.encode())


def test_text_beyond_ascii_is_malformed(verifier):
    with pytest.raises(InvalidToken, match="malformed"):
        verifier.verify("a.b.\u0661")


def test_a_thousand_tokens_are_one_fetch(issuer, verifier):
    for number in range(1_000):
        verifier.verify(issuer.token(jti=str(number)))

    assert issuer.fetches == 1


def test_sixteen_threads_start_with_one_fetch(issuer):
    with Verifier(issuer=issuer.url, audience=AUDIENCE) as verifier, ThreadPoolExecutor(16) as pool:
        issuer.delay = 0.2
        assert {claims.sub for claims in pool.map(verifier.verify, [issuer.token()] * 64)} == {"alice"}

    assert issuer.fetches == 1


def test_two_event_loops_and_a_thread_share_one_verifier(issuer, verifier):
    async def many() -> set[str]:
        claims = await asyncio.gather(*(verifier.verify_async(issuer.token(jti=str(n))) for n in range(50)))
        return {claim.sub for claim in claims}

    with ThreadPoolExecutor(2) as pool:
        loops = [pool.submit(asyncio.run, many()) for _ in range(2)]
        assert verifier.verify(issuer.token()).sub == "alice"
        assert [loop.result(10) for loop in loops] == [{"alice"}] * 2

    assert issuer.fetches == 1


def test_waiting_holds_up_no_event_loop(issuer, verifier):
    issuer.delay = 0.3

    async def main() -> float:
        first = asyncio.ensure_future(verifier.verify_async(issuer.token()))
        worst, before = 0.0, time.monotonic()
        while not first.done():
            await asyncio.sleep(0.001)
            worst, before = max(worst, time.monotonic() - before), time.monotonic()
        await first
        return worst

    assert asyncio.run(main()) < 0.2


def test_in_an_event_loop_of_your_own_it_starts_no_thread(issuer):
    async def main() -> list[str]:
        async with Verifier(issuer=issuer.url, audience=AUDIENCE) as verifier:
            await verifier.verify_async(issuer.token())
            issuer.revoke("key", "key")
            while verifier.status().revocations_known == 0:
                await asyncio.sleep(0.005)
            with pytest.raises(InvalidToken, match="revoked"):
                await verifier.verify_async(issuer.token())
            return [thread.name for thread in threading.enumerate()]

    assert "hourpass-verifier" not in asyncio.run(asyncio.wait_for(main(), 10))


def test_closing_ends_the_thread_at_once_though_a_poll_is_waiting(issuer):
    verifier = Verifier(issuer=issuer.url, audience=AUDIENCE)
    verifier.verify(issuer.token())
    until(lambda: issuer.feed.waiting == 1)

    began = time.monotonic()
    verifier.close()

    assert time.monotonic() - began < 1
    assert "hourpass-verifier" not in [thread.name for thread in threading.enumerate()]


def test_a_closed_verifier_starts_again_with_the_next_token(issuer, verifier):
    verifier.verify(issuer.token())
    verifier.close()

    assert verifier.verify(issuer.token()).sub == "alice"


def test_a_verifier_that_is_dropped_takes_its_thread_with_it(issuer):
    verifier = Verifier(issuer=issuer.url, audience=AUDIENCE)
    verifier.verify(issuer.token())

    del verifier

    until(lambda: "hourpass-verifier" not in [thread.name for thread in threading.enumerate()])


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_follows_the_feed_itself(issuer, verifier):
    token = issuer.token()
    verifier.verify(token)
    read, write = os.pipe()

    child = os.fork()
    if child == 0:
        try:
            verifier.verify(token)
            os.write(write, b"ready")
            until(lambda: refuses(verifier, token, "revoked"), 3)
            os._exit(0)
        except BaseException:
            os._exit(1)
    assert os.read(read, 5) == b"ready"
    issuer.revoke("grant", "grant")

    assert os.waitpid(child, 0)[1] == 0
    os.close(read)
    os.close(write)
    until(lambda: refuses(verifier, token, "revoked"), 3)


# --- Settings.


@pytest.mark.parametrize(
    "url",
    ["http://auth.example.com", "http://10.0.0.1", "ftp://127.0.0.1", "https://", "auth.example.com", "https://a.test?x=1",
     "http://127.0.0.1.evil.test", "http://localhost.evil.test", "file:///etc/passwd", ""],
)  # fmt: skip
def test_keys_are_fetched_over_https_or_loopback_only(url):
    with pytest.raises(ConfigurationError):
        Verifier(issuer=url, audience=AUDIENCE)


@pytest.mark.parametrize(
    "url", ["https://auth.example.com", "http://127.0.0.1:3600", "http://[::1]:1", "http://localhost"]
)
def test_a_safe_url_is_taken_and_shown(url):
    assert repr(Verifier(issuer=url, audience=AUDIENCE)) == f"Verifier(issuer={url!r}, audience={AUDIENCE!r})"


@pytest.mark.parametrize("lifetime", [0, -1, 86_401])
def test_a_lifetime_is_a_day_at_most(lifetime):
    with pytest.raises(ConfigurationError):
        Verifier(issuer="https://a.test", audience=AUDIENCE, max_lifetime=lifetime)


def test_a_token_that_lives_longer_than_agreed_is_malformed(issuer, verifier):
    with pytest.raises(InvalidToken, match="range"):
        verifier.verify(issuer.token(exp=wall() // 1_000 + 7_200))


# --- A clock that is behind, or ahead.


def judged(issuer, behind: int, late: int = 0, **settings: float) -> str:
    """The verdict on a token that is fresh, or has expired, if the clock is this many seconds behind."""
    settings = {"issuer": issuer.url, "audience": AUDIENCE, **settings}
    # The hour after a token's issue begins at a whole second, so the clock does, too.
    second = wall() // 1_000
    token = issuer.token(iat=second, exp=second + 3_600)
    with Verifier(clock=lambda: wall() // 1_000 * 1_000 - behind * 1_000, **settings) as verifier:
        verifier.verify(issuer.token(iat=second - behind - 10, exp=second + 600))
        at = second + late * 3_600
        verifier._clock = lambda: (at - behind) * 1_000
        try:
            return verifier.verify(token).sub
        except InvalidToken as error:
            return error.problem


@pytest.mark.parametrize(
    ("leeway", "behind", "said"),
    [
        ({}, 30, "alice"),
        ({}, 31, "not_yet_valid"),
        ({"leeway": 0}, 0, "alice"),
        ({"leeway": 0}, 1, "not_yet_valid"),
        ({"leeway": 45}, 45, "alice"),
        ({"leeway": 45}, 46, "not_yet_valid"),
    ],
)
def test_a_clock_may_be_half_a_minute_behind_or_as_far_as_is_said(shared_issuer, leeway, behind, said):
    assert judged(shared_issuer, behind, **leeway) == said


@pytest.mark.parametrize(
    ("leeway", "ahead", "said"),
    [
        ({}, 4, "alice"),
        ({}, 5, "expired"),
        ({"leeway": 45}, 4, "alice"),
        ({"leeway": 45}, 5, "expired"),
        ({"leeway": 2}, 1, "alice"),
        ({"leeway": 2}, 2, "expired"),
    ],
)
def test_after_its_end_a_token_is_accepted_for_five_seconds_at_most(shared_issuer, leeway, ahead, said):
    """Its revocation is kept no longer."""
    assert judged(shared_issuer, -ahead, late=1, **leeway) == said


@pytest.mark.parametrize("leeway", [-1, 301])
def test_a_leeway_is_five_minutes_at_most(leeway):
    with pytest.raises(ConfigurationError):
        Verifier(issuer="https://a.test", audience=AUDIENCE, leeway=leeway)


def test_a_token_from_the_future_is_told_as_a_clock_s_fault_once(shared_issuer, shared_verifier, caplog):
    second = wall() // 1_000
    for number in range(3):
        token = shared_issuer.token(iat=second + 100, exp=second + 200, jti=str(number))
        with pytest.raises(InvalidToken, match="in the future"):
            shared_verifier.verify(token)

    (line,) = [record.getMessage() for record in caplog.records if record.name == "hourpass.verifier"]
    assert line.startswith(f"a token of {shared_issuer.url} was issued ")
    assert "clock is behind" in line
