"""API keys as the administration tells them, and their members as it is told."""

from typing import Any

import msgspec
from msgspec import UNSET

from hourpass.admin import shapes
from hourpass.admin.instants import given_moment, known_moment, moment
from hourpass.core.api_key import ApiKey, key_state
from hourpass.core.key_rotation import old_secret_until, pending_secret
from hourpass.core.last_use import LastUses
from hourpass.core.policy import SECOND

_NOTHING: dict[str, Any] = {
    "scope": "",
    "audiences": (),
    "claims": {},
    "tags": {},
    "allowed_ips": (),
    "self_rotation": False,
}
"""What None makes of a member that every key has."""


def key_shape(key: ApiKey, now: int) -> shapes.Key:
    """A key at an instant (epoch milliseconds)."""
    return shapes.Key(**_members(key, now))


def new_key_shape(key: ApiKey, now: int, api_key: str) -> shapes.CreatedKey:
    """A key that was just made, with its text."""
    return shapes.CreatedKey(**_members(key, now), api_key=api_key)


def _members(key: ApiKey, now: int) -> dict[str, Any]:
    waiting = pending_secret(key)
    return {
        "key_id": key.key_id,
        "name": key.name,
        "environment": key.environment,
        "subject": key.subject,
        "scope": key.scope,
        "audience": key.audience,
        "audiences": [] if key.audience is None else [key.audience, *key.more_audiences],
        "claims": dict(key.claims),
        "tags": dict(key.tags),
        "external_id": key.external_id,
        "state": key_state(key, now),
        "retry_window": _seconds(key.retry_window),
        "access_token_lifetime": _seconds(key.access_token_lifetime),
        "allowed_ips": list(key.allowed_ips),
        "self_rotation": key.self_rotation,
        "created_at": known_moment(key.created_at),
        "expires_at": moment(key.expires_at),
        "raw_until": moment(key.raw_until),
        "disabled_at": moment(key.disabled_at),
        "revoked_at": moment(key.revoked_at),
        "revoked_why": key.revoked_why,
        "next_secret_at": moment(waiting.created_at if waiting else None),
        "old_secret_until": moment(old_secret_until(key, now)),
        "admin": key.admin,
        "subject_prefix": key.subject_prefix,
        "max_scope": key.max_scope,
    }


def use_shapes(uses: LastUses) -> dict[str, shapes.Use]:
    """When a key was last used in each way, and from where. A kind that never was is missing."""
    return {kind: shapes.Use(at=known_moment(use.at), address=use.address) for kind, use in sorted(uses.items())}


def members_of(asked: shapes.KeyMembers) -> dict[str, Any]:
    """The members that were given, as `core/key_members.py` names them, in its units.

    Raises:
        InvalidRequest: naming a member that is not an instant.
    """
    given = {
        field.name: getattr(asked, field.name)
        for field in msgspec.structs.fields(type(asked))
        if field.name not in {"key_id", "now", "if_match"} and getattr(asked, field.name) is not UNSET
    }
    for name, value in given.items():
        match name:
            case "expires_at" | "raw_until" if value is not None:
                given[name] = given_moment(name, value)
            case "retry_window" | "access_token_lifetime" if value is not None:
                given[name] = value * SECOND
            case _:
                given[name] = _NOTHING.get(name) if value is None else value
    return given


def _seconds(milliseconds: int | None) -> int | None:
    return None if milliseconds is None else milliseconds // SECOND
