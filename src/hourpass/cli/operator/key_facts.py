"""What the commands say of an API key."""

from hourpass.cli.terminal import moment
from hourpass.core.api_key import ApiKey, key_state
from hourpass.core.key_rotation import old_secret_until, pending_secret
from hourpass.core.last_use import LastUses, latest
from hourpass.core.policy import SECOND


def key_facts(key: ApiKey, now: int) -> dict[str, object]:
    """Every member of a key, by the name that people use for it. Durations are in seconds."""
    waiting = pending_secret(key)
    audiences = [] if key.audience is None else [key.audience, *key.more_audiences]
    return {
        "key_id": key.key_id,
        "name": key.name,
        "environment": key.environment,
        "subject": key.subject,
        "scope": key.scope,
        "audience": key.audience,
        "audiences": audiences,
        "claims": dict(key.claims),
        "tags": dict(key.tags),
        "external_id": key.external_id,
        "state": key_state(key, now),
        "retry_window": _seconds(key.retry_window),
        "access_token_lifetime": _seconds(key.access_token_lifetime),
        "allowed_ips": list(key.allowed_ips),
        "self_rotation": key.self_rotation,
        "created_at": moment(key.created_at),
        "expires_at": moment(key.expires_at),
        "raw_until": moment(key.raw_until),
        "disabled_at": moment(key.disabled_at),
        "revoked_at": moment(key.revoked_at),
        "revoked_why": key.revoked_why,
        "next_secret_at": moment(waiting.created_at if waiting else None),
        "old_secret_until": moment(old_secret_until(key, now)),
    }


def use_facts(uses: LastUses) -> dict[str, object]:
    """When a key was last used in each way, and from where. A kind that never was is missing."""
    return {kind: {"at": moment(use.at), "address": use.address} for kind, use in sorted(uses.items())}


def use_in_words(uses: LastUses) -> str | None:
    """The last use of any kind, in words."""
    last = latest(uses)
    if last is None:
        return None
    kind, use = last
    return f"{moment(use.at)} {kind}" + (f" from {use.address}" if use.address else "")


def _seconds(milliseconds: int | None) -> int | None:
    return None if milliseconds is None else milliseconds // SECOND
