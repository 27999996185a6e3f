"""The token cache: bounded, and the least recently used token goes first."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hourpass.core.claims import Claims
from hourpass.jose import SigningKeyPair
from hourpass.verifier.token_verifier import CAPACITY, Fact, TokenCache

KEY = SigningKeyPair.generate("k1", "Ed25519").verification_key


def fact(name: object) -> Fact:
    return Fact(Claims("iss", str(name), "aud", 2, 1, "jti", "key", "", "sid", "production"), KEY, 7_000)


def digest(name: object) -> bytes:
    return sha256(str(name).encode()).digest()


def look_up(cache: TokenCache, name: object) -> Fact | None:
    """As the verifier does it: the young half first."""
    return cache.young.get(digest(name)) or cache.recall(digest(name))


def remember(cache: TokenCache, *names: object) -> None:
    for name in names:
        cache.put(digest(name), fact(name))


def test_a_remembered_token_is_found_and_nothing_else():
    cache = TokenCache()
    remember(cache, "a", "b")

    assert (look_up(cache, "a"), look_up(cache, "b"), look_up(cache, "c")) == (fact("a"), fact("b"), None)
    assert len(cache) == 2


def test_the_last_half_of_the_capacity_is_always_remembered():
    cache = TokenCache(10)
    remember(cache, *range(100))

    assert [look_up(cache, name) for name in range(95, 100)] == [fact(name) for name in range(95, 100)]


def test_a_token_that_is_used_now_and_then_outlives_one_that_is_not():
    cache = TokenCache(10)
    remember(cache, "used", "unused")

    for name in range(50):
        remember(cache, name)
        if name % 4 == 0:
            assert look_up(cache, "used") == fact("used")

    assert look_up(cache, "unused") is None


def test_a_newer_fact_replaces_an_older_one():
    cache = TokenCache(10)
    remember(cache, "a")

    cache.put(digest("a"), fact("a")._replace(accepted_until=1))

    assert look_up(cache, "a").accepted_until == 1
    assert len(cache) == 1


def test_a_newer_fact_hides_the_one_that_fell_into_the_old_half():
    cache = TokenCache(4)
    remember(cache, "a", "b", "c")

    cache.put(digest("a"), fact("a")._replace(accepted_until=1))

    assert look_up(cache, "a").accepted_until == 1
    assert len(cache) == 3


def test_the_default_holds_ten_thousand():
    cache = TokenCache()
    remember(cache, *range(CAPACITY))

    assert len(cache) == CAPACITY == 10_000


@pytest.mark.parametrize("capacity", [2, 3, 10])
@given(names=st.lists(st.integers(0, 12), max_size=60))
def test_the_capacity_is_never_exceeded_and_a_found_entry_is_right(capacity, names):
    cache = TokenCache(capacity)
    for name in names:
        assert look_up(cache, name) in (None, fact(name))
        remember(cache, name)
        assert look_up(cache, name) == fact(name)
        assert len(cache) <= capacity
