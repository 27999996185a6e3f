"""Tokens of strangers, each with a key id of its own: what they cost the issuer, and what they cost everyone else."""

import threading
import time
from typing import Self

import pytest
from tests.verifier.conftest import AUDIENCE
from tests.verifier.test_outages import Shifted

from hourpass.core.errors import InvalidToken
from hourpass.jose import SigningKeyPair
from hourpass.verifier import Verifier, fail_open
from hourpass.verifier.jwks import COOLDOWN

ROUNDS = 3
STRANGERS = 60
NOISE = 0.05
"""Seconds that a busy machine adds to a p99 below a millisecond. A request that waits for a fetch takes a second."""


class Honest(threading.Thread):
    """Verifies one new token after another of a known key, and remembers how long each took."""

    def __init__(self, verifier: Verifier, tokens: list[str]) -> None:
        super().__init__()
        self._verifier, self._tokens = verifier, tokens
        self._ended = threading.Event()
        self.taken: list[float] = []

    def run(self) -> None:
        while not self._ended.wait(0.001):
            began = time.perf_counter()
            self._verifier.verify(self._tokens[len(self.taken) % len(self._tokens)])
            self.taken.append(time.perf_counter() - began)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_) -> None:
        self._ended.set()
        self.join()

    def p99(self) -> float:
        assert len(self.taken) >= 100, "too few to speak of a p99"
        return sorted(self.taken)[int(len(self.taken) * 0.99)]


@pytest.fixture
def timer():
    return Shifted()


@pytest.fixture
def verifier(issuer, timer):
    """Its clock can be moved. That the feed seems to be silent for as long is another test's business."""
    staleness = fail_open(until=86_400)
    with Verifier(issuer=issuer.url, audience=AUDIENCE, staleness=staleness, timer=timer) as verifier:
        yield verifier


@pytest.fixture
def strangers(issuer):
    """For each round, tokens that nobody has seen."""
    numbers = range(ROUNDS * STRANGERS)
    tokens = [issuer.token(SigningKeyPair.generate(f"x{number}", "Ed25519")) for number in numbers]
    return [tokens[number::ROUNDS] for number in range(ROUNDS)]


@pytest.mark.parametrize(("delay", "down"), [(0, False), (1.0, False), (0, True)], ids=["up", "slow", "down"])
def test_a_flood_costs_one_fetch_for_each_cooldown_and_known_keys_wait_for_nothing(
    issuer, verifier, timer, strangers, delay, down, record_property
):
    tokens = [issuer.token(jti=str(number)) for number in range(4_000)]
    verifier.verify(tokens[0])
    with Honest(verifier, tokens[:1_000]) as before:
        time.sleep(0.5)
    issuer.delay, issuer.down = delay, down
    fetches = []

    with Honest(verifier, tokens[1_000:]) as during:
        for number, round_of_strangers in enumerate(strangers):
            timer.ahead = number * COOLDOWN
            for stranger in round_of_strangers:
                with pytest.raises(InvalidToken, match="no key of ours"):
                    verifier.verify(stranger)
            fetches.append(issuer.fetches)
        time.sleep(0.3)

    record_property("known_keys_p99_ms", {"before": before.p99() * 1e3, "during": during.p99() * 1e3})
    print(f"\nknown keys, p99: {before.p99() * 1e3:.3f} ms before, {during.p99() * 1e3:.3f} ms during the flood")
    assert fetches == [1 + number for number in range(1, ROUNDS + 1)]
    assert during.p99() < before.p99() + NOISE
    assert max(during.taken) < 0.5
