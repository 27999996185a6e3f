"""Revocations and keys as they change, and what becomes of tokens while the issuer is slow, down, or started again."""

import threading
import time

import pytest
from tests.verifier.conftest import AUDIENCE, refuses, until

from hourpass.clocks import boot_clock
from hourpass.core.errors import InvalidToken, Unavailable
from hourpass.core.policy import DAY
from hourpass.jose import SigningKeyPair
from hourpass.verifier import Verifier, fail_open


class Shifted:
    """The real steady clock, some time ahead."""

    def __init__(self) -> None:
        self.ahead = 0

    def __call__(self) -> int:
        return boot_clock() + self.ahead


@pytest.mark.parametrize(("kind", "value"), [("grant", "grant"), ("key", "key"), ("token", "token")])
def test_a_revocation_takes_effect_within_a_second(issuer, verifier, kind, value):
    """verify.md, "Which way"."""
    token = issuer.token()
    verifier.verify(token)

    issuer.revoke(kind, value)

    assert until(lambda: refuses(verifier, token, "revoked")) < 1


def test_twenty_revocations_in_a_row_each_take_effect_within_a_second(issuer, verifier):
    for number in range(20):
        token = issuer.token(sid=str(number))
        verifier.verify(token)
        issuer.revoke("grant", str(number))
        assert until(lambda token=token: refuses(verifier, token, "revoked")) < 1


def test_a_feed_that_restarts_is_followed_again(issuer, verifier):
    token = issuer.token()
    issuer.revoke("key", "another")
    until(lambda: verifier.verify(token) and verifier.status().revocations_known == 1)
    old, issuer.epoch = issuer.feed, issuer.epoch + 1
    issuer.entries.clear()
    issuer.restart_feed()
    issuer.loop.call_soon_threadsafe(old.close)

    issuer.revoke("grant", "grant")

    until(lambda: refuses(verifier, token, "revoked"))
    assert verifier.status().revocations_known == 2


def test_while_the_feed_is_down_tokens_are_unavailable_and_never_invalid(issuer):
    """verify.md, "What a 503 means": past the staleness budget 503, never 401."""
    timer = Shifted()
    with Verifier(issuer=issuer.url, audience=AUDIENCE, timer=timer) as verifier:
        token = issuer.token()
        verifier.verify(token)
        issuer.feed_down = True
        issuer.loop.call_soon_threadsafe(issuer.feed.close)
        until(lambda: verifier.status().revocations_failures > 0)
        assert verifier.verify(token).sub == "alice"

        timer.ahead = 10_000
        with pytest.raises(Unavailable, match="revocations"):
            verifier.verify(token)
        assert verifier.status().revocations == "fail-closed"

        issuer.feed_down = False
        until(lambda: verifier.status().revocations == "fresh", 10)
        assert verifier.verify(token).sub == "alice"


def test_fail_open_serves_until_its_end(issuer):
    timer = Shifted()
    with Verifier(issuer=issuer.url, audience=AUDIENCE, staleness=fail_open(until=300), timer=timer) as verifier:
        issuer.feed_down = True
        token = issuer.token()
        assert verifier.verify(token).sub == "alice"
        timer.ahead = 290_000
        assert (verifier.verify(token).sub, verifier.status().revocations) == ("alice", "fail-open")

        timer.ahead = 300_000

        with pytest.raises(Unavailable):
            verifier.verify(token)


# --- Keys.


def test_a_rotation_under_load_refuses_no_good_token(issuer, verifier):
    """The next key is published before it signs, but nothing here has looked since: the first token fetches it."""
    failures, stop = [], threading.Event()

    def load() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            try:
                verifier.verify(issuer.token(jti=f"{threading.get_ident()}-{number}"))
            except Exception as error:
                failures.append(error)

    verifier.verify(issuer.token())
    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for kid in ("k2", "k3"):
        pair = SigningKeyPair.generate(kid, "ES256")
        issuer.published = [*issuer.published, pair]
        time.sleep(0.1)
        if kid == "k3":
            # Within the cooldown of k2: what the refresh ahead does in its time.
            verifier._keys.due_at = 0
            verifier._keys_keeper.wake()
            until(lambda: len(verifier._keys.keys) == 3)
        issuer.pair = pair
        time.sleep(0.2)
    stop.set()
    for thread in threads:
        thread.join()

    assert failures == []
    assert issuer.fetches == 3


def test_nobody_waits_longer_than_two_seconds_for_an_unknown_key(issuer, verifier):
    verifier.verify(issuer.token())
    issuer.delay = 2.5
    stranger = issuer.token(SigningKeyPair.generate("x", "ES256"))

    began = time.monotonic()
    with pytest.raises(InvalidToken, match="no key of ours"):
        verifier.verify(stranger)

    assert 1.9 < time.monotonic() - began < 3


def test_a_day_s_outage_is_served_and_one_millisecond_more_is_unavailable(issuer):
    timer = Shifted()
    open_for_days = fail_open(until=3 * 86_400)
    with Verifier(issuer=issuer.url, audience=AUDIENCE, staleness=open_for_days, timer=timer) as verifier:
        verifier.verify(issuer.token())
        issuer.down = True
        timer.ahead = DAY - 10_000
        assert (verifier.verify(issuer.token()).sub, verifier.status().keys) == ("alice", "stale")

        timer.ahead = DAY

        verifier._keys_keeper.wake()
        until(lambda: verifier.status().keys_failures > 0)
        with pytest.raises(Unavailable, match="keys"):
            verifier.verify(issuer.token())


def test_while_the_set_is_stale_an_unknown_key_is_nobodys_fault(issuer):
    """A rotation during an outage: a 401 would have honest clients fetch new tokens in vain."""
    timer = Shifted()
    with Verifier(issuer=issuer.url, audience=AUDIENCE, staleness=fail_open(until=3_600), timer=timer) as verifier:
        verifier.verify(issuer.token())
        issuer.down = True
        timer.ahead = 301_000

        with pytest.raises(Unavailable, match="key"):
            verifier.verify(issuer.token(SigningKeyPair.generate("k2", "ES256")))


def test_an_issuer_that_is_down_from_the_start_is_unavailable_at_once_after_the_first_failure(issuer):
    issuer.down = True
    with Verifier(issuer=issuer.url, audience=AUDIENCE) as verifier:
        for _ in range(2):
            with pytest.raises(Unavailable, match="keys"):
                verifier.verify(issuer.token())
        began = time.monotonic()
        with pytest.raises(Unavailable):
            verifier.verify(issuer.token())
        assert time.monotonic() - began < 0.5
