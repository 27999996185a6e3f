"""The shape of a key: any prefix is recognised, and a scanner's rule finds what the server makes."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hourpass.core.api_key import ENTROPY_BYTES, is_well_formed, keys_in, new_api_key, unverified_key_id
from hourpass.core.key_shape import PREFIX, PREFIX_PATTERN, published_pattern

ENTROPY = bytes(range(ENTROPY_BYTES))
KEY_ID, KEY = new_api_key("production", ENTROPY)
PREFIXES = ["hp", "a", "acme", "x9", "abcdefghijklmnop"]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("environment", ["production", "sandbox"])
def test_a_key_of_any_prefix_is_well_formed_and_found_by_the_rule_of_its_prefix_alone(prefix, environment):
    key_id, key = new_api_key(environment, ENTROPY, prefix)

    assert key.startswith(f"{prefix}_{environment}_{key_id}_")
    assert is_well_formed(key)
    assert unverified_key_id(key) == key_id
    assert re.findall(published_pattern(prefix), f'key="{key}"\n') == [key]
    assert not re.findall(published_pattern("other"), key)


@pytest.mark.parametrize("around", [r"line\n{}\n", r"\t{}", "key%3D{}%26", "KEY_{}_", "a{}b", "{}"])
def test_the_pattern_finds_a_key_in_any_text(around):
    """In JSON and in forms a letter of an escape stands right before it."""
    assert re.findall(published_pattern(PREFIX), around.format(KEY)) == [KEY]


def test_the_prefix_is_under_the_checksum():
    assert not is_well_formed("acme" + KEY.removeprefix(PREFIX))


@pytest.mark.parametrize("prefix", ["", "9a", "A", "Acme", "a_b", "a-b", "é", "abcdefghijklmnopq", "a\n"])
def test_a_prefix_is_a_small_letter_and_up_to_15_small_letters_and_digits(prefix):
    assert not PREFIX_PATTERN.fullmatch(prefix)


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("before", ["", " ", "key=", "apikey", "9", "x9", "é", '{"k":"', "A", "_", "a" * 40, "9" * 40])
@pytest.mark.parametrize("after", ["", " ", "x", "_", '"', "\n"])
def test_a_key_is_found_between_any_letters(prefix, before, after):
    _, key = new_api_key("sandbox", ENTROPY, prefix)

    assert keys_in(before + key + after) == [key]


def test_several_keys_are_found_in_their_order_and_texts_with_a_wrong_checksum_are_not():
    other = new_api_key("sandbox", ENTROPY[::-1])[1]

    assert keys_in(f"{other}{KEY[:-1]}0 {KEY},{KEY}") == [other, KEY, KEY]
    assert keys_in("production_" + KEY[-45:]) == []


@given(st.text())
def test_no_text_raises(text):
    assert keys_in(text) == []
