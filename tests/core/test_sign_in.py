"""Sign-ins of the console: when they end, and which forms are theirs."""

from hypothesis import given
from hypothesis import strategies as st

from hourpass.core.sign_in import (
    ABSOLUTE,
    IDLE,
    LINK_LIFETIME,
    NOTED_EVERY,
    OneTimeLink,
    SignIn,
    form_token,
    hash_of,
    is_form_of,
    is_signed_in,
    is_to_note,
    opens,
)

SIGN_IN = SignIn(hash_of("id"), "cli:ada@host", None, started_at=1_000, seen_at=1_000)


def test_an_unused_sign_in_ends_after_an_hour():
    assert is_signed_in(SIGN_IN, 1_000 + IDLE - 1)
    assert not is_signed_in(SIGN_IN, 1_000 + IDLE)


def test_a_sign_in_in_use_ends_after_twelve_hours():
    busy = SIGN_IN._replace(seen_at=1_000 + ABSOLUTE - 1)

    assert is_signed_in(busy, 1_000 + ABSOLUTE - 1)
    assert not is_signed_in(busy, 1_000 + ABSOLUTE)


def test_a_use_is_noted_once_a_minute():
    assert not is_to_note(SIGN_IN, 1_000 + NOTED_EVERY - 1)
    assert is_to_note(SIGN_IN, 1_000 + NOTED_EVERY)


def test_a_link_signs_in_for_a_minute():
    link = OneTimeLink(hash_of("id"), "cli:ada@host", 1_000)

    assert opens(link, 1_000 + LINK_LIFETIME - 1)
    assert not opens(link, 1_000 + LINK_LIFETIME)


@given(st.text(min_size=1), st.text(min_size=1))
def test_a_form_is_of_the_sign_in_that_made_it_alone(one, other):
    assert is_form_of(one, form_token(one))
    assert is_form_of(other, form_token(one)) == (one == other)


@given(st.text())
def test_no_form_is_of_a_request_without_a_sign_in(token):
    assert not is_form_of("", token)
    assert not is_form_of("", form_token(""))


def test_neither_the_hash_nor_the_token_of_a_form_is_the_id():
    assert "id" not in {hash_of("id").hex(), form_token("id")}
    assert hash_of("id").hex() != form_token("id")


def test_what_is_printed_shows_no_hash():
    link = OneTimeLink(hash_of("id"), "cli:ada@host", 1_000)

    assert repr(SIGN_IN) == "SignIn('cli:ada@host')"
    assert repr(link) == "OneTimeLink('cli:ada@host')"
