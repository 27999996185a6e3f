"""Keys that are not known: one shared fetch, a cooldown that counts attempts, and nobody waits for long."""

import base64

import pytest
from tests.verifier.test_jwks import BAD, FIRST, NOW, answer, fetch

from hourpass.core.policy import HOUR, MINUTE, SECOND
from hourpass.jose import encode_segment
from hourpass.verifier.jwks import COOLDOWN, LONGEST_WAIT, UNKNOWN_FOR, UNKNOWN_REMEMBERED, JwkSet


def header(kid: str, alg: str = "ES256") -> bytes:
    return encode_segment(f'{{"typ":"at+jwt","alg":"{alg}","kid":"{kid}"}}'.encode())


@pytest.fixture
def fresh():
    return fetch(JwkSet("https://auth.test/.well-known/jwks.json", lambda: 0.0), NOW, answer(FIRST))


def test_a_plausible_key_that_is_unknown_is_fetched_at_once_and_waited_for(fresh):
    assert fresh.ask(header("k2"), NOW + SECOND) == LONGEST_WAIT == 2_000
    assert fresh.due_at == NOW + SECOND


def test_all_share_one_attempt_and_none_waits_longer_than_two_seconds_from_its_start(fresh):
    began = NOW + SECOND
    fresh.ask(header("k2"), began)
    fresh.begin(began)

    assert [fresh.ask(header(f"x{ms}"), began + ms) for ms in (0, 500, 1_999, 2_000, 9_000)] == [2_000, 1_500, 1, 0, 0]


@pytest.mark.parametrize("ending", [answer(FIRST), BAD["no answer"]], ids=["endpoint up", "endpoint down"])
def test_the_cooldown_begins_with_the_attempt_even_if_it_fails(fresh, ending):
    began = NOW + SECOND
    fresh.ask(header("k2"), began)
    fetch(fresh, began + 1_500, ending)

    assert fresh.ask(header("other"), began + COOLDOWN - 1) == 0
    assert fresh.ask(header("other"), began + COOLDOWN) == LONGEST_WAIT


def test_a_key_that_was_not_found_is_not_looked_for_again_for_a_minute(fresh):
    began = NOW + SECOND
    fresh.ask(header("k2"), began)
    fetch(fresh, began, answer(FIRST))

    assert fresh.ask(header("k2"), began + UNKNOWN_FOR - 1) == 0
    assert fresh.ask(header("k2"), began + UNKNOWN_FOR) == LONGEST_WAIT


def test_a_fetch_that_failed_says_nothing_about_a_key(fresh):
    began = NOW + SECOND
    fresh.ask(header("k2"), began)
    fetch(fresh, began, BAD["no answer"])

    assert fresh.ask(header("k2"), began + COOLDOWN) == LONGEST_WAIT


def test_a_flood_of_key_ids_is_remembered_only_so_far(fresh):
    for number in range(10 * UNKNOWN_REMEMBERED):
        fresh.ask(header(f"x{number}"), NOW + SECOND)
    fetch(fresh, NOW + SECOND, answer(FIRST))

    assert len(fresh._unknown) == UNKNOWN_REMEMBERED == 256
    assert not fresh._wanted


@pytest.mark.parametrize("minutes", [1, 10])
def test_a_flood_of_random_key_ids_costs_one_fetch_per_cooldown(fresh, minutes):
    fetches = 0
    for now in range(NOW + 1, NOW + minutes * MINUTE, 500):
        fresh.ask(header(f"x{now}"), now)
        if fresh.due_at <= now:
            fetches += 1
            fetch(fresh, now, BAD["no answer"] if fetches % 2 else answer(FIRST))

    assert fetches <= minutes * MINUTE // COOLDOWN + minutes


@pytest.mark.parametrize(
    "segment",
    [
        b"",
        b"e30",
        header("k2") + b"=",
        header("k2", "none"),
        header("k2", "HS256"),
        header("k" * 65),
        header("../k2"),
        header(""),
        encode_segment(b'{"typ":"JWT","alg":"ES256","kid":"k2"}'),
        encode_segment(b'{"alg":"ES256","typ":"at+jwt","kid":"k2"}'),
        encode_segment(b'{"typ":"at+jwt","alg":"ES256","kid":"k2"}\n'),
        base64.urlsafe_b64encode(b'{"typ":"at+jwt","alg":"ES256","kid":"k2" }'),
        b"\xff" * 20,
        b"A" * 5_000,
    ],
    ids=range(14),
)
def test_a_text_that_cannot_be_a_header_causes_no_fetch(fresh, segment):
    assert fresh.ask(segment, NOW + HOUR) == 0
    assert fresh.due_at > NOW + SECOND
