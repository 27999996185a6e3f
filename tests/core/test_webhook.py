"""What becomes of an attempt to deliver an event, and what signs it."""

import base64
import hashlib
import hmac

import pytest

from hourpass.core.policy import DAY, HOUR, SECOND
from hourpass.core.webhook import (
    MOST_SECRETS,
    Attempt,
    Delivered,
    EndWebhook,
    Seed,
    TryAgain,
    decide_delivery,
    message_id,
    result_of,
    rotated_seeds,
    secret_text,
    signature_headers,
    signing_seeds,
    tried_again_by,
    webhook_secret,
)

NOW = 1_800_000_000_000
FAILED = Attempt("timeout", None, 10_000)


@pytest.mark.parametrize(
    ("status", "result"),
    [(200, "delivered"), (204, "delivered"), (299, "delivered"), (199, "status"), (300, "status"), (301, "status"),
     (308, "status"), (400, "status"), (404, "status"), (409, "status"), (410, "gone"),
     (411, "status"), (500, "status")],
)  # fmt: skip
def test_only_2xx_is_a_delivery_and_410_is_the_end(status, result):
    assert result_of(status) == result


def test_what_arrived_is_delivered_however_long_it_failed_before():
    assert decide_delivery(NOW - 4 * DAY, Attempt("delivered", 200, 1), NOW, 0.5) == Delivered()


@pytest.mark.parametrize(
    ("failed_for", "pause"),
    [(0, 5 * SECOND), (4 * SECOND, 5 * SECOND), (20 * SECOND, 20 * SECOND), (HOUR, HOUR), (2 * DAY, HOUR)],
)
def test_a_pause_is_as_long_as_it_failed_until_now_from_5_seconds_to_an_hour(failed_for, pause):
    assert decide_delivery(NOW - failed_for, FAILED, NOW, 0.5) == TryAgain(NOW - failed_for, pause)


def test_the_first_failure_is_noted_and_pauses_differ_by_a_fifth_either_way():
    assert decide_delivery(None, FAILED, NOW, 0.0) == TryAgain(NOW, 4 * SECOND)
    assert decide_delivery(None, FAILED, NOW, 1.0) == TryAgain(NOW, 6 * SECOND)


def test_by_when_an_event_is_tried_again_is_the_longest_pause_after_its_failure():
    for failed_for in (0, HOUR, 2 * DAY):
        longest = decide_delivery(NOW - failed_for, FAILED, NOW, 1.0)
        assert tried_again_by(NOW - failed_for, NOW) == NOW + longest.pause


def test_a_webhook_is_given_up_after_exactly_three_days():
    assert isinstance(decide_delivery(NOW - 3 * DAY + 1, FAILED, NOW, 0.5), TryAgain)
    assert decide_delivery(NOW - 3 * DAY, FAILED, NOW, 0.5) == EndWebhook("failing")


def test_a_webhook_whose_endpoint_is_gone_is_given_up_at_once():
    assert decide_delivery(None, Attempt("gone", 410, 1), NOW, 0.5) == EndWebhook("gone")


def test_after_a_rotation_both_secrets_sign_for_exactly_a_day():
    seeds = rotated_seeds((Seed(b"old"),), b"new", NOW)

    assert signing_seeds(seeds, NOW + DAY - 1) == [b"new", b"old"]
    assert signing_seeds(seeds, NOW + DAY) == [b"new"]


def test_a_second_rotation_takes_nothing_from_the_holder_of_the_first_secret():
    """An answer that was lost is asked for again: nobody has the secret in between."""
    seeds = rotated_seeds(rotated_seeds((Seed(b"a"),), b"b", NOW), b"c", NOW + 1)

    assert signing_seeds(seeds, NOW + DAY - 1) == [b"c", b"b", b"a"]
    assert signing_seeds(seeds, NOW + DAY) == [b"c", b"b"]


def test_secrets_are_bounded_and_those_that_ended_are_forgotten():
    seeds = (Seed(b"0"),)
    for number in range(1, 9):
        seeds = rotated_seeds(seeds, b"%d" % number, NOW + number)

    assert [each.seed for each in seeds] == [b"8", b"7", b"6", b"5"]
    assert len(seeds) == MOST_SECRETS
    assert rotated_seeds(seeds, b"x", NOW + 3 * DAY) == (Seed(b"x"), Seed(b"8", NOW + 4 * DAY))


def test_a_secret_needs_the_servers_own_and_the_webhook_and_the_seed():
    made = {
        webhook_secret(server, webhook, seed)
        for server in (b"s" * 32, b"t" * 32)
        for webhook in ("wh_1", "wh_2")
        for seed in (b"1", b"2")
    }

    assert len(made) == 8
    assert {len(each) for each in made} == {32}
    assert webhook_secret(b"s", "wh_1", b"1") == webhook_secret(b"s", "wh_1", b"1")


def test_a_secret_is_told_as_standard_webhooks_has_it():
    assert secret_text(bytes(32)) == "whsec_" + base64.b64encode(bytes(32)).decode()


def test_each_secret_signs_the_id_the_second_and_the_body():
    headers = signature_headers([b"new", b"old"], "evt_1", NOW + 999, b'{"a":1}')

    signed = b'evt_1.1800000000.{"a":1}'
    expected = [base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode() for key in (b"new", b"old")]
    assert headers == {
        "webhook-id": "evt_1",
        "webhook-timestamp": "1800000000",
        "webhook-signature": f"v1,{expected[0]} v1,{expected[1]}",
    }


def test_a_number_that_a_restored_backup_gives_again_has_another_id():
    assert message_id(7, NOW) != message_id(7, NOW + 1)
    assert message_id(7, NOW) == message_id(7, NOW)


def test_a_seed_is_not_in_a_repr():
    assert "616263" not in repr(Seed(b"abc", NOW))
    assert "abc" not in repr(Seed(b"abc", NOW))
