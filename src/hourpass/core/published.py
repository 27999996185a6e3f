"""Which lines of the audit trail are events that other programs may read and subscribe to, and what each one says.

Every name here is a promise to receivers. The documentation and the check of a subscription read this table.
"""

from collections.abc import Mapping

PUBLISHED: Mapping[str, str] = {
    "key.created": "an API key was made",
    "key.rotated": "the next secret of an API key was made",
    "key.revoked": "an API key was revoked: by an operator, by somebody who held it, or because it leaked",
    "key.leaked": "an API key leaked: a secret scanner reported it, or an operator ended it for that",
    "key.expiring": "an API key expires in 30, 7 or 1 days",
    "key.expired": "an API key has expired",
    "key.raw_used_after_end": "an API key came itself after its end as a raw key: a client that does not exchange it",
    "key.revoked_used": "an API key was used after it was revoked: stale configuration, or a thief",
    "key.rotated_used": "a secret of an API key was used after its end: stale configuration, or a thief",
    "grant.replayed": "a superseded refresh token came back: the theft signal. The grant was revoked",
    "grant.revoked": "a grant was revoked",
    "refresh.ahead": "a genuine refresh token came from the future: a restored backup or a lossy failover",
    "signing_key.published": "a signing key entered the JWK Set",
    "signing_key.withdrawn": "a signing key was withdrawn: the tokens that it signed are refused",
    "storage.trouble": "the database did not take writes, told after it took them again",
    "storage.recovered": "the database takes writes again",
    "webhook.disabled": "a webhook gets no events any more",
}
"""The name of each published event, with a line on when it happens."""

TEST = "webhook.test"
"""The event that tries out a webhook. It is not in the trail, and every webhook takes it."""


def takes(subscribed: tuple[str, ...], event: str) -> bool:
    """Whether somebody who subscribed to these events gets one. Nothing subscribed means every published event."""
    return event in PUBLISHED and (not subscribed or event in subscribed)


def unpublished(events: tuple[str, ...]) -> tuple[str, ...]:
    """Those of some names that are not published events."""
    return tuple(event for event in events if event not in PUBLISHED)
