"""Webhooks: who gets which events, what becomes of an attempt to deliver one, and which secrets sign it.

A webhook's events are delivered in the order of their numbers. One that could not be delivered is tried again until it
could, or until the webhook is disabled. So an event may come twice, and none is skipped.
"""

import hmac
from base64 import b64encode
from collections.abc import Sequence
from hashlib import blake2b
from typing import Literal, NamedTuple

from hourpass.core.policy import DAY, HOUR, SECOND

TIME_OUT = 10 * SECOND
"""How long an endpoint may take to answer."""

SHORTEST_PAUSE = 5 * SECOND
LONGEST_PAUSE = HOUR
"""The bounds of the pause before an event is tried again."""

GIVE_UP_AFTER = 3 * DAY
"""How long an endpoint may fail before its webhook is disabled."""

ROTATION_OVERLAP = DAY
"""How long the secret from before a rotation signs along."""

MOST_SECRETS = 4
"""How many secrets sign at the same time: rotations that follow each other quickly end the oldest one early."""

MOST_WEBHOOKS = 100
"""How many webhooks an installation has at most. Each one has a connection of its own."""

DELIVERIES_KEPT = DAY
"""How long it is known how a delivery went."""

MOST_DELIVERIES = 200
"""How many deliveries of one webhook are known at most, the newest ones."""

SEED_BYTES = 16

Result = Literal[
    "delivered", "status", "gone", "timeout", "unreachable", "tls", "unknown_host", "private_address", "broken"
]
"""How an attempt went: a 2xx status, another status, 410, no answer in time, no connection, a certificate that is not
good, a name without address, an address that is not public, or an answer that is not HTTP."""

Disabled = Literal["operator", "failing", "gone"]
"""Why a webhook gets no events: an operator said so, it failed for three days, or its endpoint answered with 410."""


class Seed(NamedTuple):
    """What a secret is made of, beside the server's own. It signs until an instant, or as long as it is the newest.

    The repr does not show it.
    """

    seed: bytes
    until: int | None = None

    def __repr__(self) -> str:
        """Without the seed."""
        return f"Seed(until={self.until})"


class Webhook(NamedTuple):
    """Where events are sent. No `events` means all of them. Instants are epoch milliseconds.

    `delivered` is the number up to which every event was delivered or not wanted. `failing_since` is when the attempts
    began to fail. `revision` grows with every change that an operator makes. The newest of `seeds` is the first.
    """

    webhook_id: str
    url: str
    events: tuple[str, ...]
    description: str
    created_at: int
    seeds: tuple[Seed, ...]
    delivered: int
    revision: int = 0
    failing_since: int | None = None
    disabled_at: int | None = None
    disabled_why: Disabled | None = None


class Attempt(NamedTuple):
    """How an attempt went, with the status of an answer, and how many milliseconds it took."""

    result: Result
    status: int | None
    took: int


class Delivered(NamedTuple):
    """The event arrived. The next one may follow at once."""


class TryAgain(NamedTuple):
    """The event did not arrive. It is tried again after a pause in milliseconds. It has failed since an instant."""

    failing_since: int
    pause: int


class EndWebhook(NamedTuple):
    """The webhook is disabled."""

    why: Disabled


def decide_delivery(
    failing_since: int | None, outcome: Attempt, now: int, chance: float
) -> Delivered | TryAgain | EndWebhook:
    """Decide what becomes of an event after an attempt. `chance` is from 0 to below 1."""
    if outcome.result == "delivered":
        return Delivered()
    if outcome.result == "gone":
        return EndWebhook("gone")
    since = now if failing_since is None else failing_since
    if now - since >= GIVE_UP_AFTER:
        return EndWebhook("failing")
    return TryAgain(since, _pause(since, now, chance))


def tried_again_by(failing_since: int, failed_at: int) -> int:
    """By when at the latest an event is tried again whose last attempt failed at an instant."""
    return failed_at + _pause(failing_since, failed_at, chance=1)


def _pause(failing_since: int, now: int, chance: float) -> int:
    """As long as it has failed until now, so each pause is about as long as all of them before it."""
    pause = min(max(now - failing_since, SHORTEST_PAUSE), LONGEST_PAUSE)
    return int(pause * (0.8 + 0.4 * chance))


def result_of(status: int) -> Result:
    """What a status says. A redirect is not followed, so it does not deliver."""
    return "delivered" if 200 <= status < 300 else "gone" if status == 410 else "status"


def rotated_seeds(seeds: tuple[Seed, ...], fresh: bytes, now: int) -> tuple[Seed, ...]:
    """The seeds after a rotation: the one from before signs along for a day."""
    ends = now + ROTATION_OVERLAP
    old = (seed._replace(until=ends) if seed.until is None else seed for seed in seeds)
    alive = [seed for seed in old if seed.until is not None and now < seed.until]
    return (Seed(fresh), *alive[: MOST_SECRETS - 1])


def signing_seeds(seeds: tuple[Seed, ...], now: int) -> list[bytes]:
    """The seeds of the secrets that sign at an instant. At exactly `until` one does not."""
    return [seed.seed for seed in seeds if seed.until is None or now < seed.until]


def webhook_secret(server_secret: bytes, webhook_id: str, seed: bytes) -> bytes:
    """A secret of a webhook: it needs the server's own secret, and the seed that only the database holds."""
    return blake2b(webhook_id.encode() + b"\x00" + seed, key=server_secret, digest_size=32).digest()


def secret_text(secret: bytes) -> str:
    """A secret as receivers get it (Standard Webhooks)."""
    return f"whsec_{b64encode(secret).decode()}"


def signature_headers(secrets: Sequence[bytes], message_id: str, now: int, body: bytes) -> dict[str, str]:
    """The headers that prove a body's origin (Standard Webhooks): one signature for each secret."""
    timestamp = str(now // SECOND)
    signed = f"{message_id}.{timestamp}.".encode() + body
    signatures = (b64encode(hmac.digest(secret, signed, "sha256")).decode() for secret in secrets)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{each}" for each in signatures),
    }


def message_id(number: int, at: int) -> str:
    """The id of an event, the same at every attempt. With the instant, because a restored backup numbers again."""
    return f"evt_{number}_{at}"
