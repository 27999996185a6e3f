"""The overview: what happened, what there is, and what needs attention. Each fact is read from the database."""

from hourpass.admin import shapes
from hourpass.admin.instants import known_moment
from hourpass.core.attention import LATELY, Facts, needs_attention
from hourpass.core.audit_verification import LATE
from hourpass.core.policy import MINUTE
from hourpass.core.signing_key import key_that_signs, signing_key_state, signs_until
from hourpass.core.stats import total, window
from hourpass.server.admin.context import Context
from hourpass.server.keys.sealed import PEPPER, REFRESH, ROTATION
from hourpass.server.store import Store
from hourpass.server.store.stats import GRANTS_IN_USE, Measured

COUNTED_AT_ONCE = 20_000
"""Up to so many grants are counted for each question: a few milliseconds. Of more, the last walk over them tells."""


def overview(ctx: Context, asked: shapes.GetOverview) -> shapes.Overview:
    """The last hours in numbers, and what needs attention now."""
    now = ctx.now
    shown = window(asked.hours, now)
    series = shown.series(ctx.store.stats_since(shown.first, shown.width))
    facts = facts_of(ctx)
    grants = live_grants(ctx.store, now)
    keys = facts.keys
    return shapes.Overview(
        at=known_moment(now),
        hours=asked.hours,
        point_minutes=shown.width,
        totals=shapes.Happened(**total(stats for _, stats in series)._asdict()),
        series=[shapes.Point(at=known_moment(minute * MINUTE), **stats._asdict()) for minute, stats in series],
        keys=shapes.KeysInNumbers(
            active=keys.active,
            disabled=keys.disabled,
            expired=keys.expired,
            revoked=keys.revoked,
            raw_until_set=keys.raw_until_set,
        ),
        raw=shapes.RawUse(day=facts.raw.day, week=facts.raw.week),
        live_grants=shapes.LiveGrants(count=grants.value, counted_at=known_moment(grants.at)),
        attention=[
            shapes.AttentionItem(
                kind=each.kind,
                severity=each.severity,
                count=each.number,
                sentence=each.sentence,
                place=each.place,
                filters={name: _written(name, value) for name, value in each.filters},
            )
            for each in needs_attention(facts, now)
        ],
    )


def _written(name: str, value: str | int) -> str | int:
    """A filter as the admin API's queries take it: an instant in RFC 3339."""
    return known_moment(value) if name == "since" and isinstance(value, int) else value


def live_grants(store: Store, now: int) -> Measured:
    """How many grants can refresh: as they were counted last, or counted now if they are few or never were."""
    measured = store.measured(GRANTS_IN_USE)
    if measured is None or measured.value <= COUNTED_AT_ONCE:
        return Measured(store.count_grants_in_use(now), now)
    return measured


def facts_of(ctx: Context) -> Facts:
    """What the database says at this instant."""
    store, now = ctx.store, ctx.now
    signing_keys = [stored.key for stored in store.signing_keys()]
    signing = key_that_signs(signing_keys, now, ctx.policy)
    waiting = [key for key in signing_keys if signing_key_state(key, now, ctx.policy) == "published"]
    webhooks = store.webhooks()
    lately = total(store.stats_since((now - LATELY) // MINUTE, 60).values())
    return Facts(
        keys=store.key_numbers(now),
        raw=store.raw_numbers(now),
        signs_since=None if signing is None else signing.signs_from,
        signs_until=signs_until(signing_keys, now, ctx.policy),
        published=(*_secrets_waiting(ctx), *("signing key" for _ in waiting)),
        webhooks_disabled=sum(each.disabled_why in {"failing", "gone"} for each in webhooks),
        webhooks_failing=sum(each.failing_since is not None and each.disabled_at is None for each in webhooks),
        audit_not_chained=lines_not_chained(store, now),
        replays=store.count_audit("grant.replayed", now - LATELY),
        revoked_used=store.count_audit_keys("key.revoked_used", now - LATELY),
        rotated_used=store.count_audit_keys("key.rotated_used", now - LATELY),
        unavailable=lately.unavailable,
        failures=lately.failures,
    )


def _secrets_waiting(ctx: Context) -> list[str]:
    kinds = (("pepper", PEPPER), ("refresh secret", REFRESH), ("rotation secret", ROTATION))
    return [
        words
        for words, kind in kinds
        for secret in ctx.secrets.ring(kind).secrets
        if ctx.secrets.state(kind, secret, ctx.now) == "published"
    ]


def lines_not_chained(store: Store, now: int) -> int:
    """How many lines of the audit trail are not chained, if the oldest of them should be by now."""
    ends = store.audit_ends()
    behind = store.audit_after(0 if ends is None else ends.head_n, 1)
    if not behind or behind[0].at > now - LATE:
        return 0
    return store.control().last_audit - behind[0].n + 1
