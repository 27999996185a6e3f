"""Durations and limits: what a key may override, and what follows from what."""

import pytest

from hourpass.core.policy import DAY, EARLY, HOUR, LEEWAY, MAX_RETRY_WINDOW, MINUTE, RING_SIZE, SECOND, Policy, backoff


def test_the_defaults_are_those_of_the_design():
    assert Policy() == Policy(
        access_token_lifetime=HOUR,
        retry_window=MINUTE,
        idle_lifetime=30 * DAY,
        absolute_lifetime=90 * DAY,
        grants_per_key=10_000,
        publish_ahead=10 * MINUTE,
    )
    assert (LEEWAY, EARLY, MAX_RETRY_WINDOW, RING_SIZE) == (5 * SECOND, 30 * SECOND, 300 * SECOND, 8)


@pytest.mark.parametrize("window", [0, 1, MAX_RETRY_WINDOW])
def test_a_keys_own_retry_window_replaces_the_general_one_and_nothing_else(window):
    policy = Policy(retry_window=60_000, grants_per_key=7)

    assert policy.with_retry_window(window) == Policy(retry_window=window, grants_per_key=7)


def test_a_key_without_a_window_of_its_own_has_the_general_one():
    policy = Policy(retry_window=60_000)

    assert policy.with_retry_window(None) is policy
    assert policy.with_retry_window(60_000) is policy


def test_a_revocation_is_remembered_as_long_as_the_longest_token_could_be_accepted():
    assert Policy(access_token_lifetime=HOUR).revocation_lifetime == HOUR + LEEWAY


@pytest.mark.parametrize(("failures", "longest"), [(0, 1_000), (1, 2_000), (5, 32_000), (6, 60_000), (10_000, 60_000)])
def test_a_pause_doubles_up_to_the_longest_and_chance_shortens_it(failures, longest):
    def pause(chance, **options):
        return backoff(failures, chance, first=SECOND, longest=MINUTE, **options)

    assert [pause(chance) for chance in (1, 0.5, 0)] == [longest, longest / 2, 0]
    assert [pause(chance, share=0.25) for chance in (1, 0.5, 0)] == [longest, longest * 7 / 8, longest * 3 / 4]
    assert pause(0, least=100) == 100, "never a busy loop"
