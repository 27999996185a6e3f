"""How hard a key is to guess: what is beyond doubt too weak is told from what may be random."""

import random
import string
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hourpass.core.key_entropy import ENOUGH, estimated_bits

BASE_62 = string.ascii_letters + string.digits
CHANCE = random.Random(7)


def made_of(alphabet: str, length: int) -> str:
    return "".join(CHANCE.choices(alphabet, k=length))


@pytest.mark.parametrize(
    "text",
    [
        "password12345678",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "abcdefghijklmnopqrstuvwxyz0123456789",
        "zyxwvutsrqponmlkjihgfedcba",
        "abcabcabcabcabcabcabcabcabcabcabc",
        "sk_live_4242424242424242",
        "1234567890123456",
        "my-secret-api-key-2024",
        "----------------",
        "",
    ],
)
def test_what_somebody_made_up_is_weak(text):
    assert estimated_bits(text) < ENOUGH


@pytest.mark.parametrize(
    "make",
    [
        lambda: made_of(BASE_62, 16),
        lambda: made_of("0123456789abcdef", 24),
        lambda: made_of("0123456789ABCDEF", 24),
        lambda: "sk_live_" + made_of(BASE_62, 24),
        lambda: str(uuid.UUID(int=CHANCE.getrandbits(128))),
        lambda: made_of(string.digits, 32),
        lambda: made_of(string.punctuation, 40),
    ],
    ids=["16 of base 62", "hex", "upper-case hex", "with a prefix", "UUID", "digits", "punctuation"],
)
def test_what_is_random_is_strong_enough(make):
    assert all(estimated_bits(make()) >= ENOUGH for _ in range(500))


def test_hex_is_counted_as_hex():
    assert estimated_bits("0f1e2d3c4b5a6978") < 16 * 4 + 1


@given(st.text(alphabet=st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=512))
def test_no_text_has_more_than_its_length_allows(text):
    assert 0 <= estimated_bits(text) <= len(text) * 6.6
