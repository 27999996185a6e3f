"""Grants: list, show and revoke them."""

from hourpass.admin import shapes
from hourpass.admin.instants import known_moment, moment
from hourpass.core.address import unpack_address
from hourpass.core.admin_access import HIDDEN_ACTOR, require_changeable, sees, sees_actor
from hourpass.core.api_key import ApiKey
from hourpass.core.audit_filter import AuditFilter
from hourpass.core.errors import InvalidRequest
from hourpass.core.grant import Grant, GrantRef, state_of
from hourpass.core.grant_life import TrailLine, ended_at, life_of
from hourpass.core.key_filter import KeyFilter
from hourpass.server.admin.context import Context
from hourpass.server.keys import api_keys, listing
from hourpass.server.keys.listing import GrantsPage
from hourpass.server.store.grants import FIRST_GRANT

MOST_LINES = 500
"""How many lines of the audit trail are told of one grant at most, the newest ones."""

KEYS = 200
"""Keys of a delegated caller whose grants one call reads at most."""


def list_grants(ctx: Context, asked: shapes.ListGrants) -> shapes.GrantPage:
    """The grants of all keys that the caller sees, in the order of the keys' ids."""
    after = _read_cursor(asked.cursor)
    page = _own_page(ctx, asked, after) if ctx.caller.is_delegated else _search(ctx, asked, None, after, asked.limit)
    return _page(ctx, page)


def _own_page(ctx: Context, asked: shapes.ListGrants, after: GrantRef) -> GrantsPage:
    """Key by key: a delegated caller must not wait for, or learn from a cursor, what others have."""
    wanted = KeyFilter(subject_prefix=ctx.caller.subject_prefix)
    keys = listing.keys_page(ctx.store, wanted, ctx.now, after.key_id, KEYS)
    begun = ctx.store.key(after.key_id)
    own = [key.key_id for key in [begun, *(key for key, _ in keys.keys)] if key is not None and sees(ctx.caller, key)]
    since = ctx.secrets.refresh_since
    page = listing.grants_of_keys(
        ctx.store, ctx.now, own, state=asked.state, refresh_since=since, after=after, limit=asked.limit
    )
    if page.next is None and keys.next is not None:
        return page._replace(next=GrantRef(keys.next, _LAST))
    return page


_LAST = b"\xff" * 16
"""A grant's id after all others."""


def list_grants_of_key(ctx: Context, asked: shapes.ListGrantsOfKey) -> shapes.GrantPage:
    """The grants of one key, oldest first."""
    key = ctx.key(asked.key_id)
    after = _read_cursor(asked.cursor)
    if after.key_id not in {"", key.key_id}:
        raise _no_cursor()
    return _page(ctx, _search(ctx, asked, key.key_id, after, asked.limit))


def _search(ctx: Context, asked: shapes.ListGrants, key_id: str | None, after: GrantRef, limit: int) -> GrantsPage:
    since = ctx.secrets.refresh_since
    return listing.grants_page(
        ctx.store, ctx.now, key_id=key_id, state=asked.state, refresh_since=since, after=after, limit=limit
    )


def _page(ctx: Context, page: GrantsPage) -> shapes.GrantPage:
    keys = ctx.store.keys_of_ids(list({grant.key_id for grant, _ in page.grants}))
    found = [_facts(ctx, grant, state, keys.get(grant.key_id)) for grant, state in page.grants]
    return shapes.GrantPage(
        data=found, next=None if page.next is None else f"{page.next.key_id}.{page.next.grant_id.hex()}"
    )


def _read_cursor(cursor: str | None) -> GrantRef:
    if cursor is None:
        return FIRST_GRANT
    key_id, _, grant_id = cursor.partition(".")
    try:
        return GrantRef(key_id, bytes.fromhex(grant_id))
    except ValueError:
        raise _no_cursor() from None


def _no_cursor() -> InvalidRequest:
    return InvalidRequest("this is not a cursor of this list", name="cursor")


def get_grant(ctx: Context, asked: shapes.GrantNamed) -> shapes.GrantFacts:
    """One grant: whose it is, and from which address and when it was opened and last refreshed."""
    grant, key = _named(ctx, asked)
    return _facts(ctx, grant, state_of(grant, key, ctx.now, ctx.secrets.refresh_since), key)


def grant_timeline(ctx: Context, asked: shapes.GrantNamed) -> shapes.GrantTimeline:
    """What happened to a grant, oldest first, and what is planned."""
    grant, key = _named(ctx, asked)
    trail = ctx.store.newest_audit(AuditFilter(grant_id=grant.grant_id.hex()), MOST_LINES)
    lines = [TrailLine(line.at, line.event, line.address, line.actor, line.detail) for line in trail]
    lines = [
        line if sees_actor(ctx.caller, line.actor) else line._replace(address=None, actor=HIDDEN_ACTOR)
        for line in lines
    ]
    return shapes.GrantTimeline(
        grant_id=grant.grant_id.hex(),
        key_id=grant.key_id,
        state=state_of(grant, key, ctx.now, ctx.secrets.refresh_since),
        generation=grant.generation,
        opened_at=known_moment(grant.created_at),
        idle_expires_at=known_moment(grant.idle_expires_at),
        expires_at=known_moment(grant.expires_at),
        events=[
            shapes.GrantLifeEvent(**{**event._asdict(), "at": known_moment(event.at)})
            for event in life_of(grant, key, lines, ctx.now)
        ],
    )


def revoke_grant(ctx: Context, asked: shapes.GrantNamed) -> shapes.RevokedGrant:
    """Revoke a grant and its access tokens."""
    grant, key = _named(ctx, asked)
    if key is not None:
        require_changeable(ctx.caller, key)
    done = api_keys.revoke_grant(ctx.store, grant, ctx.now, ctx.policy, actor=ctx.actor)
    return shapes.RevokedGrant(grant_id=grant.grant_id.hex(), key_id=grant.key_id, changed=done is not None)


def _named(ctx: Context, asked: shapes.GrantNamed) -> tuple[Grant, ApiKey | None]:
    grant = api_keys.get_grant(ctx.store, asked.grant_id, asked.key_id)
    key = ctx.store.key(grant.key_id)
    if ctx.caller.is_delegated and (key is None or not sees(ctx.caller, key)):
        raise api_keys.no_such_grant(asked.grant_id)
    return grant, key


def _facts(ctx: Context, grant: Grant, state: str, key: ApiKey | None) -> shapes.GrantFacts:
    return shapes.GrantFacts(
        grant_id=grant.grant_id.hex(),
        key_id=grant.key_id,
        generation=grant.generation,
        scope=grant.owned_scope(key.scope if key else grant.scope or ""),
        state=state,
        created_at=known_moment(grant.created_at),
        opened_from=_address(grant.opened_from),
        refreshed_at=moment(grant.superseded[0]) if grant.superseded else None,
        last_from=_address(grant.last_from),
        idle_expires_at=known_moment(grant.idle_expires_at),
        expires_at=known_moment(grant.expires_at),
        revoked_at=moment(grant.revoked_at),
        ended_at=moment(ended_at(grant, key, ctx.now)),
        key_name=key.name if key else None,
        subject=key.subject if key else None,
    )


def _address(packed: bytes | None) -> str | None:
    return None if packed is None else unpack_address(packed)
