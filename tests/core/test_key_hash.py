"""The digests of imported keys: made of the key's text, or of the hash that a provider kept of it."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hourpass.core.api_key import key_digest
from hourpass.core.key_hash import (
    LONGEST,
    PLAIN,
    SHORTEST,
    KeyHash,
    KeyHashes,
    imported_digest,
    limits_of,
    may_be_imported,
    slow_digest,
)

PEPPER = b"p" * 32
TEXT = "sk_live_4242424242424242"


def test_a_key_in_plain_has_the_digest_of_a_key_of_our_own():
    assert imported_digest(PEPPER, PLAIN.of(TEXT)) == key_digest(PEPPER, TEXT)


@pytest.mark.parametrize(
    ("hashed_by", "expected"),
    [
        (KeyHash("sha256"), hashlib.sha256(TEXT.encode()).digest()),
        (KeyHash("sha512"), hashlib.sha512(TEXT.encode()).digest()),
        (KeyHash("hmac-sha256", "k1", b"secret"), hmac.digest(b"secret", TEXT.encode(), "sha256")),
    ],
    ids=["sha256", "sha512", "hmac-sha256"],
)
def test_a_hash_is_the_providers(hashed_by, expected):
    assert hashed_by.of(TEXT) == expected
    assert list(KeyHashes((hashed_by,)).digests(PEPPER, TEXT)) == [imported_digest(PEPPER, expected)]


def test_the_digests_of_a_text_come_in_the_order_of_the_hashes():
    hashes = KeyHashes((PLAIN, KeyHash("sha256")))

    assert list(hashes.digests(PEPPER, TEXT)) == [
        imported_digest(PEPPER, each) for each in (TEXT.encode(), hashlib.sha256(TEXT.encode()).digest())
    ]


def test_a_hash_is_named_by_its_algorithm_and_its_secrets_id_and_shows_no_secret():
    keyed = KeyHash("hmac-sha256", "k1", b"not to be seen")

    assert (PLAIN.name, keyed.name) == ("plain", "hmac-sha256:k1")
    assert repr(keyed) == "KeyHash('hmac-sha256:k1')"


def test_a_slow_hash_is_not_the_text_of_a_key():
    hashed = "$2b$12$" + "x" * 53

    assert slow_digest(PEPPER, hashed) not in {key_digest(PEPPER, hashed), slow_digest(PEPPER, hashed + "x")}


@pytest.mark.parametrize(
    ("text", "may"),
    [
        ("x" * SHORTEST, True),
        ("x" * LONGEST, True),
        ("x" * (SHORTEST - 1), False),
        ("x" * (LONGEST + 1), False),
        ("!~" * SHORTEST, True),
        ("with a blank in it", False),
        ("x" * SHORTEST + "\n", False),
        ("é" * SHORTEST, False),
    ],
)
def test_a_foreign_key_is_16_to_512_visible_ascii_characters(text, may):
    assert may_be_imported(text) is may


@given(st.text(alphabet=st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=SHORTEST, max_size=LONGEST))
def test_every_such_text_has_a_digest(text):
    assert may_be_imported(text)
    assert len(imported_digest(PEPPER, PLAIN.of(text))) == 32


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("plain", None),
        ("a:b", "the key has a colon, which HTTP Basic cannot carry"),
        ("a,b", "the key has a comma, which other headers cannot carry"),
        ("a:b,c", "the key has a colon, which HTTP Basic cannot carry, and a comma, which other headers cannot carry"),
    ],
)
def test_a_key_that_not_every_header_carries_says_where_it_cannot_go(text, words):
    assert limits_of(text) == words
