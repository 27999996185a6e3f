"""What needs an operator's attention, in words: each rule looks at the facts that the database has.

Every sentence is made here, so the command, the API and the console say the same.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from hourpass.core.policy import DAY

EXPIRES_SOON = 30 * DAY
"""Milliseconds before its end for which a key is said to expire."""

LATELY = DAY
"""Milliseconds for which a replay or trouble is news."""

SIGNS_TOO_LONG = 400 * DAY
"""Milliseconds after which a signing key should have a successor."""

Severity = Literal["critical", "warning", "info"]

AttentionKind = Literal[
    "no_signing_key",
    "signing_key_ends",
    "signing_key_old",
    "replays",
    "keys_leaked",
    "storage_trouble",
    "failures",
    "audit_not_chained",
    "webhooks_disabled",
    "webhooks_failing",
    "keys_revoked_used",
    "keys_rotated_used",
    "keys_raw_after_end",
    "keys_expiring",
    "keys_raw",
    "secrets_published",
]

Place = Literal["keys", "audit", "webhooks", "signing_keys", "secrets", "log"]
"""Where to look: a list, or the server's log."""


class KeyNumbers(NamedTuple):
    """How many keys are in each state, and how many of those that have not ended are on their way.

    `expiring` end within `EXPIRES_SOON`, `raw_until_set` must be exchanged from some instant on, and `leaked` were
    reported as leaked and can still be used.
    """

    active: int = 0
    disabled: int = 0
    expired: int = 0
    revoked: int = 0
    expiring: int = 0
    raw_until_set: int = 0
    leaked: int = 0


class RawNumbers(NamedTuple):
    """How many keys were sent themselves in the last day and week, and in that week after their `raw_until`."""

    day: int = 0
    week: int = 0
    after_end: int = 0


class Facts(NamedTuple):
    """What the database says. Instants are epoch milliseconds.

    `signs_since` and `signs_until` are those of the signing key, None if there is no such instant. `published` are what
    waits to be used: secrets of the server and signing keys, by their kind. The rest happened within `LATELY`.
    `revoked_used` and `rotated_used` count keys that were used after their end, or with a secret that had ended.
    """

    keys: KeyNumbers = KeyNumbers()
    raw: RawNumbers = RawNumbers()
    signs_since: int | None = 0
    signs_until: int | None = None
    published: tuple[str, ...] = ()
    webhooks_disabled: int = 0
    webhooks_failing: int = 0
    audit_not_chained: int = 0
    replays: int = 0
    revoked_used: int = 0
    rotated_used: int = 0
    unavailable: int = 0
    failures: int = 0


class Attention(NamedTuple):
    """One thing that needs attention. `filters` narrow the list at `place` to it, by the names of its query.

    `since` among them is an instant.
    """

    kind: AttentionKind
    severity: Severity
    number: int
    sentence: str
    place: Place
    filters: tuple[tuple[str, str | int], ...] = ()


def needs_attention(facts: Facts, now: int) -> list[Attention]:
    """All that needs attention at an instant, the gravest first."""
    rank = {"critical": 0, "warning": 1, "info": 2}
    return sorted((each for each in _all(facts, now) if each.number), key=lambda each: rank[each.severity])


def _all(facts: Facts, now: int) -> Iterator[Attention]:
    yield from _signing(facts, now)
    yield from _keys(facts.keys, facts.raw)
    n = facts.replays
    words = f"In the last 24 hours {_count(n, 'grant was', 'grants were')} replayed and ended. A token may be stolen."
    yield Attention("replays", "critical", n, words, "audit", _lines_of("grant.replayed", now))
    yield from _used_after_end(facts, now)
    n = facts.unavailable
    words = f"In the last 24 hours {_count(n, 'request was', 'requests were')} answered with 503: see the server's log."
    yield Attention("storage_trouble", "warning", n, words, "log")
    n = facts.failures
    words = (
        f"In the last 24 hours {_count(n, 'request', 'requests')} failed with 500. That is a bug: see the server's log."
    )
    yield Attention("failures", "warning", n, words, "log")
    n = facts.audit_not_chained
    words = f"{_count(n, 'line', 'lines')} of the audit trail could be changed without a trace: the chain lags behind."
    yield Attention("audit_not_chained", "critical", n, words, "audit")
    n = facts.webhooks_disabled
    words = f"{_count(n, 'webhook was', 'webhooks were')} disabled because the endpoint did not take the events."
    yield Attention("webhooks_disabled", "warning", n, words, "webhooks")
    n = facts.webhooks_failing
    words = f"{_count(n, 'webhook is', 'webhooks are')} failing. Events are tried again."
    yield Attention("webhooks_failing", "warning", n, words, "webhooks")
    n = len(facts.published)
    words = f"{_count(n, 'secret or key waits', 'secrets and keys wait')} to be used: {', '.join(facts.published)}."
    yield Attention("secrets_published", "info", n, words, "secrets")


def _used_after_end(facts: Facts, now: int) -> Iterator[Attention]:
    who = "and refused: a forgotten client, or a thief."
    n = facts.revoked_used
    words = f"In the last 24 hours {_count(n, 'revoked key was', 'revoked keys were')} used {who}"
    yield Attention("keys_revoked_used", "warning", n, words, "audit", _lines_of("key.revoked_used", now))
    n = facts.rotated_used
    words = f"In the last 24 hours {_count(n, 'key was', 'keys were')} used with an ended secret {who}"
    yield Attention("keys_rotated_used", "warning", n, words, "audit", _lines_of("key.rotated_used", now))


def _lines_of(event: str, now: int) -> tuple[tuple[str, str | int], ...]:
    return ("event", event), ("since", now - LATELY)


def _signing(facts: Facts, now: int) -> Iterator[Attention]:
    until, since = facts.signs_until, facts.signs_since
    if since is None or (until is not None and until <= now):
        yield Attention("no_signing_key", "critical", 1, "No key signs: nobody gets a token.", "signing_keys")
    elif until is not None:
        words = f"The signing key ends {_within(until - now)} and has no successor. Rotate it."
        yield Attention("signing_key_ends", "critical", 1, words, "signing_keys")
    elif now - since > SIGNS_TOO_LONG:
        words = f"The signing key has signed for {(now - since) // DAY} days. Rotate it."
        yield Attention("signing_key_old", "info", 1, words, "signing_keys")


def _keys(keys: KeyNumbers, raw: RawNumbers) -> Iterator[Attention]:
    week = (("raw_since", 7 * DAY // 1_000),)
    n = keys.leaked
    words = f"{_count(n, 'key was', 'keys were')} reported as leaked and can still be used. Rotate or revoke."
    yield Attention("keys_leaked", "critical", n, words, "audit", (("event", "key.leaked"),))
    n = raw.after_end
    words = f"{_count(n, 'key was', 'keys were')} still sent raw this week, after the end of raw use, and refused."
    yield Attention("keys_raw_after_end", "warning", n, words, "keys", week)
    n = raw.week
    sent = _count(n, "key was", "keys were")
    words = f"{sent} sent without an exchange this week, {raw.day:,} of them in the last 24 hours."
    yield Attention("keys_raw", "info", n, words, "keys", week)
    n = keys.expiring
    words = f"{_count(n, 'key expires', 'keys expire')} within 30 days."
    yield Attention("keys_expiring", "warning", n, words, "keys", (("expires_within", EXPIRES_SOON // 1_000),))


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _within(span: int) -> str:
    days = span // DAY
    return "within a day" if days < 1 else f"in {_count(days, 'day', 'days')}"
