"""Keys that somebody found: which of a scanner's texts are keys of this server, and their end."""

from hourpass.admin import shapes
from hourpass.admin.instants import known_moment
from hourpass.core.admin_access import may_change, sees
from hourpass.server.admin.context import Context
from hourpass.server.keys.leaks import MAY_COME_BACK, Leak, Leaks, end_leaked_key, find_leaks


def find_leaked_keys(ctx: Context, asked: shapes.LeakedTexts) -> shapes.LeakedKeys:
    """The keys of this server among some texts. Each is proven, so a made-up secret finds nothing."""
    found = find_leaks(ctx.store, ctx.secrets, asked.texts, ctx.now)
    return _told(ctx, found, set())


def revoke_leaked_keys(ctx: Context, asked: shapes.LeakedTexts) -> shapes.LeakedKeys:
    """The same, and the end of those that are good, disabled or expired.

    An admin key that the caller may not revoke goes on, and its answer says so.
    """
    found = find_leaks(ctx.store, ctx.secrets, asked.texts, ctx.now)
    revoked = {
        leak.key.key_id
        for leak in found.ours
        if _may_end(ctx, leak) and end_leaked_key(ctx.store, leak.key.key_id, ctx.now, ctx.policy, ctx.actor)
    }
    return _told(ctx, found, revoked)


def _may_end(ctx: Context, leak: Leak) -> bool:
    return leak.trouble in MAY_COME_BACK and sees(ctx.caller, leak.key) and may_change(ctx.caller, leak.key.admin)


def _told(ctx: Context, found: Leaks, revoked: set[str]) -> shapes.LeakedKeys:
    seen = [leak for leak in found.ours if sees(ctx.caller, leak.key)]
    return shapes.LeakedKeys(
        keys=[_key(leak, revoked=leak.key.key_id in revoked) for leak in seen],
        strangers=found.strangers + len(found.ours) - len(seen),
    )


def _key(leak: Leak, *, revoked: bool) -> shapes.LeakedKey:
    how, use = leak.last_use or (None, None)
    return shapes.LeakedKey(
        key_id=leak.key.key_id,
        name=leak.key.name,
        subject=leak.key.subject,
        environment=leak.key.environment,
        state="revoked" if revoked else leak.trouble or "active",
        good=leak.trouble is None,
        created_at=known_moment(leak.key.created_at),
        last_used=None if use is None else known_moment(use.at),
        last_how=how,
        last_from=None if use is None else use.address,
        revoked=revoked,
    )
