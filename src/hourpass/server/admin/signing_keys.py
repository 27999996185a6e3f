"""Signing keys: list, rotate and withdraw them."""

from typing import Any

from hourpass.admin import shapes
from hourpass.admin.instants import known_moment, moment
from hourpass.core.signing_key import SigningKey, key_that_signs, signing_key_state, verifies_until
from hourpass.server.admin.context import Context
from hourpass.server.keys.signing_keys import rotate_signing_key
from hourpass.server.keys.signing_keys import withdraw_signing_key as withdraw


def list_signing_keys(ctx: Context, asked: shapes.Nothing) -> shapes.SigningKeyPage:
    """The signing keys, oldest first. A key that is gone verifies nothing any more."""
    return shapes.SigningKeyPage(data=[_facts(ctx, stored.key) for stored in ctx.store.signing_keys()])


def rotate_signing_keys(ctx: Context, asked: shapes.Nothing) -> shapes.RotatedSigningKey:
    """Publish a new signing key. Once every verifier knows it, it signs, and the old one retires."""
    old = key_that_signs([stored.key for stored in ctx.store.signing_keys()], ctx.now, ctx.policy)
    new = rotate_signing_key(ctx.store, ctx.master, ctx.now, ctx.policy, ctx.random, actor=ctx.actor)
    return shapes.RotatedSigningKey(**_members(ctx, new), retires=old.kid if old else None)


def withdraw_signing_key(ctx: Context, asked: shapes.SigningKeyNamed) -> shapes.WithdrawnSigningKey:
    """Withdraw a compromised signing key at once: every token that it signed is refused."""
    fresh = withdraw(ctx.store, ctx.master, asked.kid, ctx.now, ctx.policy, ctx.random, actor=ctx.actor)
    return shapes.WithdrawnSigningKey(kid=asked.kid, stand_in=None if fresh is None else _facts(ctx, fresh))


def _facts(ctx: Context, key: SigningKey) -> shapes.SigningKeyFacts:
    return shapes.SigningKeyFacts(**_members(ctx, key))


def _members(ctx: Context, key: SigningKey) -> dict[str, Any]:
    # A retired key verifies for as long as a token lives: by the server's setting, not the longest lifetime.
    policy = ctx.settings.policy()
    return {
        "kid": key.kid,
        "algorithm": key.algorithm,
        "state": signing_key_state(key, ctx.now, policy),
        "published_at": known_moment(key.published_at),
        "signs_from": known_moment(key.signs_from),
        "retired_at": moment(key.retired_at),
        "verifies_until": moment(verifies_until(key, policy)),
    }
