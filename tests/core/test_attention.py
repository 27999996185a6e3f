"""What needs attention: each rule at its boundary, the gravest first, and in words that count right."""

import pytest

from hourpass.core.attention import SIGNS_TOO_LONG, Facts, KeyNumbers, RawNumbers, needs_attention
from hourpass.core.policy import DAY

NOW = 1_800_000_000_000
FINE = Facts(signs_since=NOW, keys=KeyNumbers(active=7, disabled=1, expired=2, revoked=3, raw_until_set=4))


def told(**facts):
    return [(each.kind, each.severity, each.number) for each in needs_attention(FINE._replace(**facts), NOW)]


def test_if_all_is_well_nothing_needs_attention():
    assert needs_attention(FINE, NOW) == []


@pytest.mark.parametrize(
    ("facts", "kind", "severity", "number", "sentence"),
    [
        ({"signs_since": None}, "no_signing_key", "critical", 1, "No key signs: nobody gets a token."),
        ({"signs_until": NOW}, "no_signing_key", "critical", 1, "No key signs: nobody gets a token."),
        (
            {"signs_until": NOW + 1},
            "signing_key_ends",
            "critical",
            1,
            "The signing key ends within a day and has no successor. Rotate it.",
        ),
        (
            {"signs_until": NOW + 2 * DAY},
            "signing_key_ends",
            "critical",
            1,
            "The signing key ends in 2 days and has no successor. Rotate it.",
        ),
        (
            {"signs_since": NOW - SIGNS_TOO_LONG - 1},
            "signing_key_old",
            "info",
            1,
            "The signing key has signed for 400 days. Rotate it.",
        ),
        (
            {"replays": 1},
            "replays",
            "critical",
            1,
            "In the last 24 hours 1 grant was replayed and ended. A token may be stolen.",
        ),
        (
            {"revoked_used": 2},
            "keys_revoked_used",
            "warning",
            2,
            "In the last 24 hours 2 revoked keys were used and refused: a forgotten client, or a thief.",
        ),
        (
            {"rotated_used": 1},
            "keys_rotated_used",
            "warning",
            1,
            "In the last 24 hours 1 key was used with an ended secret and refused: a forgotten client, or a thief.",
        ),
        (
            {"unavailable": 1_200},
            "storage_trouble",
            "warning",
            1_200,
            "In the last 24 hours 1,200 requests were answered with 503: see the server's log.",
        ),
        (
            {"failures": 1},
            "failures",
            "warning",
            1,
            "In the last 24 hours 1 request failed with 500. That is a bug: see the server's log.",
        ),
        (
            {"audit_not_chained": 2},
            "audit_not_chained",
            "critical",
            2,
            "2 lines of the audit trail could be changed without a trace: the chain lags behind.",
        ),
        (
            {"webhooks_disabled": 1},
            "webhooks_disabled",
            "warning",
            1,
            "1 webhook was disabled because the endpoint did not take the events.",
        ),
        ({"webhooks_failing": 2}, "webhooks_failing", "warning", 2, "2 webhooks are failing. Events are tried again."),
        (
            {"published": ("pepper", "signing key")},
            "secrets_published",
            "info",
            2,
            "2 secrets and keys wait to be used: pepper, signing key.",
        ),
        (
            {"keys": KeyNumbers(leaked=1)},
            "keys_leaked",
            "critical",
            1,
            "1 key was reported as leaked and can still be used. Rotate or revoke.",
        ),
        ({"keys": KeyNumbers(expiring=2)}, "keys_expiring", "warning", 2, "2 keys expire within 30 days."),
        (
            {"raw": RawNumbers(after_end=1)},
            "keys_raw_after_end",
            "warning",
            1,
            "1 key was still sent raw this week, after the end of raw use, and refused.",
        ),
        (
            {"raw": RawNumbers(day=1, week=3)},
            "keys_raw",
            "info",
            3,
            "3 keys were sent without an exchange this week, 1 of them in the last 24 hours.",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else "",
)
def test_each_trouble_is_told_with_its_number(facts, kind, severity, number, sentence):
    [item] = needs_attention(FINE._replace(**facts), NOW)

    assert (item.kind, item.severity, item.number, item.sentence) == (kind, severity, number, sentence)


def test_a_signing_key_is_not_old_until_its_day():
    assert told(signs_since=NOW - SIGNS_TOO_LONG) == []


def test_what_waits_is_followed_by_nothing_else():
    """A key that waits to sign is a rotation under way, and not a key that is missing."""
    assert told(published=("signing key",)) == [("secrets_published", "info", 1)]


def test_the_gravest_come_first():
    severities = [
        severity
        for _, severity, _ in told(
            replays=1, failures=1, published=("pepper",), raw=RawNumbers(1, 1, 1), keys=KeyNumbers(expiring=1, leaked=1)
        )
    ]

    assert severities == sorted(severities, key=["critical", "warning", "info"].index)
    assert set(severities) == {"critical", "warning", "info"}


def test_a_filter_leads_to_the_list_of_what_was_counted():
    items = {
        each.kind: each
        for each in needs_attention(FINE._replace(replays=1, raw=RawNumbers(1, 1), keys=KeyNumbers(expiring=1)), NOW)
    }

    assert (items["replays"].place, items["replays"].filters) == (
        "audit",
        (("event", "grant.replayed"), ("since", NOW - DAY)),
    )
    assert (items["keys_expiring"].place, items["keys_expiring"].filters) == ("keys", (("expires_within", 2_592_000),))
    assert items["keys_raw"].filters == (("raw_since", 604_800),)
