"""API keys: list, show, make, change, rotate, disable and revoke them."""

from typing import Any

from msgspec import UNSET

from hourpass.admin import shapes
from hourpass.admin.instants import moment
from hourpass.core.admin_access import require_giveable, require_not_reserved, require_settable, role_of, sees
from hourpass.core.api_key import ApiKey, why_unusable
from hourpass.core.errors import ChangedMeanwhile, InvalidRequest, NotFound, RotationUnderWay
from hourpass.core.grant import state_of
from hourpass.core.key_filter import KeyFilter
from hourpass.core.key_hash import KeyHashes, may_be_imported
from hourpass.core.policy import DAY, SECOND
from hourpass.server.admin.context import Context, Outside
from hourpass.server.admin.key_shapes import key_shape, members_of, new_key_shape, use_shapes
from hourpass.server.keys import api_keys, editing, listing, rotation
from hourpass.server.keys.key_hashes import hashes_in_use, slow_candidates
from hourpass.server.keys.leaks import end_leaked_key


def list_keys(ctx: Context, asked: shapes.ListKeys) -> shapes.KeyPage:
    """The keys that fulfil all conditions, in the order of their ids."""
    now = ctx.now
    wanted = KeyFilter(
        asked.state,
        asked.subject,
        tuple(_pair(tag) for tag in asked.tag),
        None if asked.expires_within is None else now + asked.expires_within * SECOND,
        None if asked.raw_since is None else now - asked.raw_since * SECOND,
        None if asked.unused_for is None else now - asked.unused_for * SECOND,
        asked.external_id,
        asked.next_waits,
        asked.text,
        ctx.caller.subject_prefix,
        asked.admin,
    )
    page = listing.keys_page(ctx.store, wanted, now, asked.cursor or "", asked.limit)
    found: list[shapes.Key] = []
    for key, uses in page.keys:
        shape = key_shape(key, now)
        shape.last_used = use_shapes(uses)
        found.append(shape)
    return shapes.KeyPage(data=found, next=page.next)


def _pair(tag: str) -> tuple[str, str]:
    name, equals, text = tag.partition("=")
    if not equals:
        raise InvalidRequest("a tag is NAME=TEXT", name="tag")
    return name, text


def get_key(ctx: Context, asked: shapes.KeyNamed) -> shapes.Key:
    """One key, how many live grants it has, and its last uses."""
    return _shown(ctx, ctx.key(asked.key_id))


def find_key(ctx: Context, asked: shapes.FindKey) -> shapes.Key:
    """Which key a whole API key is. A real key id with a made-up secret finds nothing."""
    found = api_keys.identify_key(ctx.store, ctx.secrets, asked.api_key)
    key = _find_slowly(ctx, asked.api_key) if found is None else found[0]
    if key is None or not sees(ctx.caller, key):
        raise NotFound("this is not an API key of this server")
    if asked.alive and found is not None and why_unusable(key, ctx.now, found[1]) == "rotated":
        raise NotFound(f"this secret has ended already; to end the key that had it, name {key.key_id}")
    return _shown(ctx, key)


def _find_slowly(ctx: Context, text: str) -> ApiKey | None:
    """An imported key that nobody has used yet and that came with a slow hash.

    Only the hashes of keys that the caller sees are checked: the time must not tell how others begin.
    """
    if ctx.outside is not None:
        return ctx.store.key(ctx.outside) if ctx.outside else None
    hashes = hashes_in_use(ctx.store, ctx.secrets.master) if may_be_imported(text) else KeyHashes()
    candidates = slow_candidates(ctx.store, hashes, text, among=lambda key_id: _is_seen(ctx, key_id))
    if candidates is None:
        return None

    def check() -> str:
        match = candidates.match(text)
        return match.key_id if match else ""

    raise Outside(check, begins=candidates.lookup)


def _is_seen(ctx: Context, key_id: str) -> bool:
    key = ctx.store.key(key_id)
    return key is not None and sees(ctx.caller, key)


def _shown(ctx: Context, key: ApiKey) -> shapes.Key:
    shape = key_shape(key, ctx.now)
    grants = api_keys.all_grants(ctx.store, key.key_id)
    shape.grants = sum(state_of(grant, key, ctx.now, ctx.secrets.refresh_since) == "live" for grant in grants)
    shape.last_used = use_shapes(api_keys.last_uses_of(ctx.store, key.key_id))
    return shape


def create_key(ctx: Context, asked: shapes.CreateKey) -> shapes.CreatedKey:
    """Make an API key. It is shown only this once, because the server keeps only a digest."""
    given = members_of(asked)
    _require_may_give(ctx, given)
    if ctx.caller.is_delegated and "subject" not in given:
        raise InvalidRequest("a delegated admin key must say the subject", name="subject")
    new = api_keys.create_key(
        ctx.store,
        ctx.secrets.pepper,
        now=ctx.now,
        random=ctx.random,
        actor=ctx.actor,
        prefix=ctx.settings.key_prefix,
        **given,
    )
    require_giveable(ctx.caller, new.key)
    return new_key_shape(new.key, ctx.now, new.api_key)


def update_key(ctx: Context, asked: shapes.UpdateKey) -> shapes.Key:
    """Change a key. Its clients' next refresh sees the change."""
    key = ctx.key(asked.key_id, change=True)
    if not shapes.precondition_holds(asked.if_match, key_shape(key, ctx.now).etag()):
        raise ChangedMeanwhile(f"the key {asked.key_id} was changed meanwhile: read it again")
    given = members_of(asked)
    _require_may_give(ctx, given)
    if not given and not asked.now:
        raise InvalidRequest("nothing is asked to change")
    ends_tokens = ctx.policy if asked.now else None
    new = editing.update_key(ctx.store, asked.key_id, given, ctx.now, actor=ctx.actor, ends_tokens=ends_tokens)
    require_giveable(ctx.caller, new)
    return key_shape(new, ctx.now)


def _require_may_give(ctx: Context, given: dict[str, Any]) -> None:
    """Refuse members that the caller must not set, before anything is made of them."""
    require_settable(ctx.caller, given.keys())
    require_not_reserved(given.get("audiences", ()), ctx.settings.public_url())


def rotate_key(ctx: Context, asked: shapes.RotateKey) -> shapes.RotatedKey:
    """Make the next secret of a key. The old one goes on until the new one is in use, or with `now` it ends at once."""
    require_giveable(ctx.caller, ctx.key(asked.key_id, change=True))
    if asked.now and asked.overlap is not UNSET:
        raise InvalidRequest("after a leak there is no overlap: give now or overlap", name="overlap")
    overlap = 0 if asked.now else DAY if asked.overlap is UNSET else asked.overlap * SECOND
    by: dict[str, Any] = {"random": ctx.random, "actor": ctx.actor, "prefix": ctx.settings.key_prefix}
    try:
        if asked.now:
            new = rotation.rotate_key_at_once(ctx.store, ctx.secrets, asked.key_id, ctx.now, ctx.policy, **by)
        else:
            new = rotation.rotate_key(ctx.store, ctx.secrets, asked.key_id, ctx.now, overlap=overlap, **by)
    except RotationUnderWay as error:
        words = f"two secrets of {asked.key_id} are alive: the old one ends at {moment(error.ends_at)}"
        raise RotationUnderWay(error.ends_at, ctx.now, words) from None
    return shapes.RotatedKey(
        api_key=new.api_key,
        key_id=asked.key_id,
        external_id=new.key.external_id,
        overlap=overlap // SECOND,
        expires_at=moment(new.key.expires_at),
    )


def disable_key(ctx: Context, asked: shapes.DisableKey) -> shapes.Changed:
    """Refuse a key until it is enabled again. Meanwhile its grants cannot refresh."""
    ctx.key(asked.key_id, change=True)
    ends_tokens = ctx.policy if asked.now else None
    done = editing.disable_key(ctx.store, asked.key_id, ctx.now, actor=ctx.actor, ends_tokens=ends_tokens)
    return shapes.Changed(key_id=asked.key_id, changed=done)


def enable_key(ctx: Context, asked: shapes.KeyNamed) -> shapes.Changed:
    """Let a disabled key work again."""
    require_giveable(ctx.caller, ctx.key(asked.key_id, change=True))
    done = editing.enable_key(ctx.store, asked.key_id, ctx.now, actor=ctx.actor)
    return shapes.Changed(key_id=asked.key_id, changed=done)


def revoke_key(ctx: Context, asked: shapes.RevokeKey) -> shapes.Changed:
    """Revoke a key, its grants and their access tokens."""
    ctx.key(asked.key_id, change=True)
    end = end_leaked_key if asked.reason == "leaked" else api_keys.revoke_key
    revoked = end(ctx.store, asked.key_id, ctx.now, ctx.policy, ctx.actor)
    return shapes.Changed(key_id=asked.key_id, changed=revoked is not None)


def me(ctx: Context, asked: shapes.Nothing) -> shapes.Me:
    """Who the caller is, and what it may do."""
    caller = ctx.caller
    key = None if caller.key_id is None else ctx.store.key(caller.key_id)
    return shapes.Me(
        actor=caller.actor.name,
        key_id=caller.key_id,
        name=None if key is None else key.name,
        role=(key and role_of(key)) or "owner",
        scopes=sorted(caller.scopes),
        subject_prefix=caller.subject_prefix,
        max_scope=caller.max_scope,
    )
