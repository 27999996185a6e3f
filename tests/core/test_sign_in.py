"""Sign-ins of the console: when they end, and which forms are theirs."""

from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hourpass.core.api_key import ApiKey, KeySecret
from hourpass.core.policy import MINUTE, SECOND
from hourpass.core.sign_in import (
    ABSOLUTE,
    ID_BYTES,
    IDLE,
    LINK_LIFETIME,
    NOTED_EVERY,
    OneTimeLink,
    SignIn,
    form_token,
    hash_of,
    is_form_of,
    is_id,
    is_signed_in,
    is_to_note,
    key_fingerprint,
    opens,
    over_at,
    sign_in_name,
    still_signs_in,
    told_of,
    word_of,
)

SIGN_IN = SignIn(hash_of("id"), "cli:ada@host", None, None, started_at=1_000, seen_at=1_000)


def test_an_unused_sign_in_ends_after_an_hour():
    assert is_signed_in(SIGN_IN, 1_000 + IDLE - 1)
    assert not is_signed_in(SIGN_IN, 1_000 + IDLE)


def test_a_sign_in_in_use_ends_after_twelve_hours():
    busy = SIGN_IN._replace(seen_at=1_000 + ABSOLUTE - 1)

    assert is_signed_in(busy, 1_000 + ABSOLUTE - 1)
    assert not is_signed_in(busy, 1_000 + ABSOLUTE)


def test_what_is_over_is_what_signs_nobody_in_any_more():
    started, seen, made = over_at(ABSOLUTE + 5)

    assert not is_signed_in(SIGN_IN._replace(started_at=started, seen_at=ABSOLUTE + 5), ABSOLUTE + 5)
    assert is_signed_in(SIGN_IN._replace(started_at=started + 1, seen_at=seen + 1), ABSOLUTE + 5)
    assert not opens(OneTimeLink(b"l", "ada", made), ABSOLUTE + 5)
    assert opens(OneTimeLink(b"l", "ada", made + 1), ABSOLUTE + 5)


def test_the_name_of_a_sign_in_is_not_what_signs_in():
    assert sign_in_name(SIGN_IN) == f"si_{SIGN_IN.id_hash[:8].hex()}"
    assert not is_id(sign_in_name(SIGN_IN))


def test_a_use_is_noted_once_a_minute():
    assert not is_to_note(SIGN_IN, 1_000 + NOTED_EVERY - 1)
    assert is_to_note(SIGN_IN, 1_000 + NOTED_EVERY)


@given(st.text(min_size=1))
def test_a_form_of_the_door_is_of_no_sign_in(one):
    assert is_form_of(one, form_token(one, "door"), "door")
    assert not is_form_of(one, form_token(one, "door"))
    assert not is_form_of(one, form_token(one), "door")


@given(st.binary(min_size=ID_BYTES, max_size=ID_BYTES))
def test_an_id_looks_like_what_we_make_and_like_nothing_else(made):
    ours = urlsafe_b64encode(made).rstrip(b"=").decode()
    assert is_id(ours)
    for other in (ours[1:], ours + "A", ours + "\n", "." + ours[1:], "é" + ours[1:], "/" + ours[1:]):
        assert not is_id(other)


def test_a_link_signs_in_for_a_minute():
    link = OneTimeLink(hash_of("id"), "cli:ada@host", 1_000)

    assert opens(link, 1_000 + LINK_LIFETIME - 1)
    assert not opens(link, 1_000 + LINK_LIFETIME)


@given(st.text(min_size=1), st.text(min_size=1))
def test_a_form_belongs_to_its_sign_in_alone(one, other):
    assert is_form_of(one, form_token(one))
    assert is_form_of(other, form_token(one)) == (one == other)


@given(st.text())
def test_no_form_is_of_a_request_without_a_sign_in(token):
    assert not is_form_of("", token)
    assert not is_form_of("", form_token(""))


def test_neither_the_hash_nor_the_token_of_a_form_is_the_id():
    assert "id" not in {hash_of("id").hex(), form_token("id")}
    assert hash_of("id").hex() != form_token("id")


def test_a_clock_that_was_set_back_makes_no_sign_in_longer():
    assert is_signed_in(SIGN_IN, 1_000 - MINUTE), "clocks of nodes differ"
    assert not is_signed_in(SIGN_IN, 1_000 - MINUTE - 1)
    assert not opens(OneTimeLink(hash_of("id"), "cli:ada@host", 1_000), 1_000 - MINUTE - 1)


@given(st.text(max_size=60))
def test_a_word_about_what_was_done_is_of_one_sign_in_path_and_minute(text):
    now = 1_800_000_000_000
    told = told_of("id", "/keys", "changed", now)

    assert word_of("id", "/keys", told, now + MINUTE - SECOND) == "changed"
    for other in (("x", "/keys", told, now), ("", "/keys", told, now), ("id", "/key", told, now)):
        assert word_of(*other) == ""
    assert word_of("id", "/keys", told, now + MINUTE) == ""
    assert word_of("id", "/keys", told.replace("changed", "revoked"), now) == ""
    assert word_of("id", "/keys", text, now) == ""


def test_what_is_printed_shows_no_hash():
    link = OneTimeLink(hash_of("id"), "cli:ada@host", 1_000)

    assert repr(SIGN_IN) == "SignIn('cli:ada@host')"
    assert repr(link) == "OneTimeLink('cli:ada@host')"


KEY = ApiKey(
    "3fK9mZ8qLx2P", "Ada", "ada", "", "production", None, None, (), 1_000, secrets=(KeySecret(bytes(32), 0, 1_000),)
)
BY_KEY = SIGN_IN._replace(key_id=KEY.key_id, key_print=key_fingerprint(KEY))


def test_a_sign_in_by_a_link_does_not_depend_on_a_key():
    assert still_signs_in(SIGN_IN, None, 1_000)


def test_a_sign_in_by_a_key_goes_on_while_the_key_is_as_it_was():
    assert still_signs_in(BY_KEY, KEY, 1_000)
    assert still_signs_in(BY_KEY, KEY._replace(secrets=()), 1_000), "an ordinary rotation"


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Bob"},
        {"disabled_at": 1_000},
        {"revoked_at": 1_000},
        {"allowed_ips": ("10.0.0.0/8",)},
        {"valid_from": 1_000},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_sign_in_by_a_key_ends_with_any_change_of_the_key(change):
    assert not still_signs_in(BY_KEY, KEY._replace(**change), 1_000)


def test_a_sign_in_ends_when_its_key_expires_or_is_gone():
    key = KEY._replace(expires_at=2_000)
    one = BY_KEY._replace(key_print=key_fingerprint(key))

    assert still_signs_in(one, key, 1_999)
    assert not still_signs_in(one, key, 2_000)
    assert not still_signs_in(one, None, 1_000)
