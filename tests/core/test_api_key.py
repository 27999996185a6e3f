"""API keys: their format, their proof, their life, and the scope and addresses they are good for."""

import re
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hourpass.core.api_key import (
    ENTROPY_BYTES,
    KEY_ID_PATTERN,
    KEY_PATTERN,
    MAX_SCOPE_LENGTH,
    ApiKey,
    KeySecret,
    allows_ip,
    from_anywhere,
    is_usable,
    is_well_formed,
    key_digest,
    narrow_scope,
    new_api_key,
    normal_scope,
    secret_of,
    unverified_key_id,
    why_unusable,
)

START = 1_800_000_000_000
PEPPER = b"p" * 32
KEY_ID, TEXT = new_api_key("production", bytes(range(ENTROPY_BYTES)))


def stored_key(**changes) -> ApiKey:
    key = ApiKey(
        key_id=KEY_ID,
        name="nightly",
        secrets=(KeySecret(key_digest(PEPPER, TEXT), 0, START),),
        subject="alice",
        scope="videos.read videos.write",
        environment="production",
        audience=None,
        retry_window=None,
        allowed_ips=(),
        created_at=START,
    )
    return key._replace(**changes)


entropies = st.binary(min_size=ENTROPY_BYTES, max_size=ENTROPY_BYTES)


@given(st.sampled_from(["production", "sandbox"]), entropies)
def test_every_new_key_is_read_back_and_needs_no_escaping_anywhere(environment, entropy):
    key_id, text = new_api_key(environment, entropy)

    assert is_well_formed(text)
    assert unverified_key_id(text) == key_id
    assert KEY_PATTERN.fullmatch(text)[1] == environment
    assert KEY_PATTERN.fullmatch(text)
    assert KEY_ID_PATTERN.fullmatch(key_id)
    assert re.fullmatch("[A-Za-z0-9_]+", text)


@given(entropies, entropies)
def test_no_two_secrets_make_the_same_key(one, other):
    numbers = [int.from_bytes(entropy, "big") % 62**38 for entropy in (one, other)]

    assert (new_api_key("sandbox", one) == new_api_key("sandbox", other)) == (numbers[0] == numbers[1])


@pytest.mark.parametrize("size", [0, ENTROPY_BYTES - 1, ENTROPY_BYTES + 1])
def test_a_key_is_made_from_exactly_32_random_bytes(size):
    with pytest.raises(ValueError, match="32 random bytes"):
        new_api_key("production", bytes(size))


def test_the_checksum_is_the_crc_32_in_plain_base_62():
    """The format is published for secret scanners, which read a number with its highest digit first."""
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    number = 0
    for digit in TEXT[-6:]:
        number = number * 62 + digits.index(digit)

    assert number == crc32(TEXT[:-6].encode())


@pytest.mark.parametrize("position", range(len(TEXT)))
def test_a_typing_error_anywhere_is_noticed(position):
    for typed in "0Zz_":
        if TEXT[position] != typed:
            assert not is_well_formed(TEXT[:position] + typed + TEXT[position + 1 :])


@pytest.mark.parametrize("position", range(len(TEXT) - 1))
def test_two_characters_that_changed_places_are_noticed(position):
    left, right = TEXT[position : position + 2]
    swapped = TEXT[:position] + right + left + TEXT[position + 2 :]

    assert is_well_formed(swapped) == (left == right)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " " + TEXT,
        TEXT + " ",
        TEXT + "\n",
        TEXT + "\0",
        TEXT[:-1],
        TEXT + "0",
        TEXT.upper(),
        TEXT.replace("production", "staging"),
        TEXT.replace("production", "sandbox"),
        TEXT.replace("hp_", ""),
        TEXT.replace("_", "-"),
        TEXT[:-1] + "\N{FULLWIDTH DIGIT ONE}",
        TEXT[:-1] + "\N{ARABIC-INDIC DIGIT ONE}",
        TEXT[:-1] + "\udc80",
    ],
    ids=ascii,
)
def test_a_text_that_is_not_a_key_is_neither_well_formed_nor_proves_anything(text):
    assert not is_well_formed(text)
    assert not secret_of(text, stored_key(), PEPPER)


def test_a_key_is_proven_by_its_digest_under_the_pepper():
    _, other = new_api_key("production", b"x" * ENTROPY_BYTES)

    assert secret_of(TEXT, stored_key(), PEPPER)
    assert not secret_of(other, stored_key(), PEPPER)
    assert not secret_of(TEXT, stored_key(), b"q" * 32)


def test_a_digest_is_a_mac_of_the_whole_key():
    """A known answer (BLAKE2b, computed with OpenSSL): a change would end every key that was ever stored."""
    known = "2a66fdf9949309ab002b26d4adcfd5f1eb4cbb4d0fc71c780c200d127026a2a3"

    assert key_digest(PEPPER, "hp_sandbox_example").hex() == known


def test_no_repr_shows_a_secret_or_a_digest():
    shown = repr(stored_key())

    assert TEXT[-32:] not in shown
    assert repr(stored_key().secrets[0].digest) not in shown
    assert KEY_ID in shown


SECRET = KeySecret(key_digest(PEPPER, TEXT), 0, START)


@pytest.mark.parametrize(
    ("changes", "ends_at", "now", "why"),
    [
        ({}, None, START, None),
        ({"expires_at": START + 1}, None, START, None),
        ({"expires_at": START}, None, START, "expired"),
        ({"revoked_at": START}, None, START, "revoked"),
        ({"revoked_at": START + 1}, None, START, "revoked"),
        ({"revoked_at": START, "expires_at": START}, None, START, "revoked"),
        ({"disabled_at": START + 1}, None, START, "disabled"),
        ({"disabled_at": START, "expires_at": START}, None, START, "expired"),
        ({}, START + 1, START, None),
        ({}, START, START, "rotated"),
        ({"disabled_at": START}, START, START, "disabled"),
    ],
)
def test_a_genuine_key_is_refused_for_one_reason_from_an_exact_instant_on(changes, ends_at, now, why):
    key = stored_key(**changes)

    assert why_unusable(key, now, SECRET._replace(ends_at=ends_at)) == why
    assert is_usable(key, now) == (why in {None, "rotated"})
    assert why_unusable(key, now) == (None if why == "rotated" else why)


def test_each_secret_of_a_key_proves_it_whether_or_not_it_has_ended():
    _, text = new_api_key("production", b"x" * ENTROPY_BYTES)
    second = KeySecret(key_digest(PEPPER, text), 1, START + 1, ends_at=START)
    key = stored_key(secrets=(SECRET, second))

    assert secret_of(TEXT, key, PEPPER) == SECRET
    assert secret_of(text, key, PEPPER) == second
    assert repr(second) == "KeySecret(n=1)"


@pytest.mark.parametrize(
    ("allowed", "address", "allows"),
    [
        ((), None, True),
        ((), "203.0.113.9", True),
        (("192.0.2.0/24",), "192.0.2.255", True),
        (("192.0.2.0/24",), "192.0.3.0", False),
        (("192.0.2.7",), "192.0.2.7", True),
        (("192.0.2.7",), "192.0.2.8", False),
        (("198.51.100.0/24", "192.0.2.0/24"), "192.0.2.1", True),
        (("192.0.2.0/24",), "::ffff:192.0.2.1", True),
        (("2001:db8::/32",), "2001:db8::1", True),
        (("2001:db8::/32",), "2001:db9::1", False),
        (("2001:db8::/32",), "192.0.2.1", False),
        (("192.0.2.0/24",), "2001:db8::1", False),
        (("192.0.2.0/24",), None, False),
        (("192.0.2.0/24",), "", False),
        (("192.0.2.0/24",), "unix:", False),
        (("0.0.0.0/0",), "192.0.2.1, 203.0.113.9", False),
    ],
)
def test_a_list_of_addresses_is_kept_and_an_unknown_address_fails_it(allowed, address, allows):
    assert allows_ip(stored_key(allowed_ips=allowed), address) is allows


@pytest.mark.parametrize(
    ("scope", "normal"),
    [
        ("", ""),
        ("   ", ""),
        ("b a", "a b"),
        ("a  b a ", "a b"),
        ("!#[]~", "!#[]~"),
        ('a"b', None),
        ("a\\b", None),
        ("a\tb", None),
        ("a\nb", None),
        ("a\x7f", None),
        ("caf\N{LATIN SMALL LETTER E WITH ACUTE}", None),
        ("a" * MAX_SCOPE_LENGTH, "a" * MAX_SCOPE_LENGTH),
        ("a" * (MAX_SCOPE_LENGTH + 1), None),
    ],
    ids=lambda scope: ascii(scope)[:24],
)
def test_a_scope_list_is_sorted_without_doubles_and_within_the_grammar(scope, normal):
    """RFC 6749 §3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E )."""
    assert normal_scope(scope) == normal


@pytest.mark.parametrize(
    ("owned", "requested", "granted"),
    [
        ("a b", None, "a b"),
        ("a b", "", ""),
        ("a b", "b a", "a b"),
        ("a b", "b", "b"),
        ("a b", "a c", None),
        ("", "a", None),
        ("", None, ""),
        ("videos.read", "videos", None),
        ("a b", 'a"', None),
    ],
)
def test_a_request_may_narrow_the_owned_scope_but_never_widen_it(owned, requested, granted):
    assert narrow_scope(owned, requested) == granted


def test_a_caller_who_asks_about_a_credential_is_not_bound_by_its_allow_list():
    key = stored_key(allowed_ips=("203.0.113.0/24",))

    assert not allows_ip(key, "198.51.100.1")
    assert allows_ip(from_anywhere(key), "198.51.100.1")
    assert from_anywhere(key) == stored_key()
