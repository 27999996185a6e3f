"""Changes API keys that exist. Each function works inside one transaction of a store."""

from collections.abc import Mapping
from typing import Any

import msgspec

from hourpass.core import key_events
from hourpass.core.actor import Actor
from hourpass.core.admin_access import require_whole
from hourpass.core.api_key import ApiKey, may_have_tokens
from hourpass.core.audit import in_bounds
from hourpass.core.errors import InvalidRequest
from hourpass.core.key_members import EDITABLE, fields, members_of_key, require_ahead
from hourpass.core.policy import SECOND, Policy
from hourpass.server.keys.api_keys import get_key, save_key
from hourpass.server.store import Store


def update_key(
    store: Store,
    key_id: str,
    members: Mapping[str, Any],
    now: int,
    *,
    actor: Actor,
    ends_tokens: Policy | None = None,
) -> ApiKey:
    """Change members of a key, named as in `core/key_members.py`. Returns the changed key.

    The next refresh of each of its grants sees the change. The audit trail keeps the old values and the new ones. A
    member that did not change gets no line.

    With `ends_tokens`, the access tokens that are out end as well, unless they ended before. Then the transaction must
    be over before the next whole second, from which on new tokens are good.

    Raises:
        NotFound: if no key has this id.
        InvalidScope, InvalidRequest: if a member is out of range or cannot change, or the key was revoked.
    """
    key = get_key(store, key_id)
    if fixed := sorted(members.keys() - EDITABLE):
        raise InvalidRequest(f"{fixed[0]} cannot change", name=fixed[0])
    if "admin" in members and None in {key.admin, members["admin"]}:
        raise InvalidRequest("a key is an admin key from the beginning, or never", name="admin")
    new = require_whole(key._replace(**fields(members)), members.keys())
    if new.raw_until != key.raw_until:
        new = new._replace(raw_until_set_at=None if new.raw_until is None else now)
    _require_not_ended(key)
    if new.expires_at != key.expires_at:
        require_ahead(new.expires_at, now)
    event = change_of(key, new, actor)
    ends_tokens = ends_tokens if may_have_tokens(key, now) else None
    if event:
        store.append_audit(now, [event])
    elif not ends_tokens:
        return key
    return _save(store, key, new, now, actor, ends_tokens)


def disable_key(store: Store, key_id: str, now: int, *, actor: Actor, ends_tokens: Policy | None = None) -> bool:
    """Refuse a key, its grants' refreshes included, until it is enabled again. False if it is disabled already.

    `ends_tokens` does what it does in `update_key`, and the grants refresh again once the key is enabled.

    Raises:
        NotFound: if no key has this id.
        InvalidRequest: if the key was revoked.
    """
    key = get_key(store, key_id)
    _require_not_ended(key)
    done = key.disabled_at is None
    if done:
        store.append_audit(now, [key_events.KeyDisabled(key_id, actor)])
    ends_tokens = ends_tokens if may_have_tokens(key, now) else None
    if done or ends_tokens:
        _save(store, key, key._replace(disabled_at=now) if done else key, now, actor, ends_tokens)
    return done


def enable_key(store: Store, key_id: str, now: int, *, actor: Actor) -> bool:
    """Let a disabled key work again, and its grants refresh. False if it is not disabled.

    Raises:
        NotFound: if no key has this id.
        InvalidRequest: if the key was revoked.
    """
    key = get_key(store, key_id)
    _require_not_ended(key)
    if key.disabled_at is None:
        return False
    save_key(store, key, key._replace(disabled_at=None))
    store.append_audit(now, [key_events.KeyEnabled(key_id, actor)])
    return True


def _save(store: Store, old: ApiKey, new: ApiKey, now: int, actor: Actor, ends_tokens: Policy | None) -> ApiKey:
    if ends_tokens:
        second = now // SECOND + 1
        new = new._replace(tokens_from=second * SECOND)
        store.add_revocation("key", new.key_id, now + ends_tokens.revocation_lifetime, issued_before=second)
        store.append_audit(now, [key_events.KeyTokensEnded(new.key_id, second, actor)])
    save_key(store, old, new)
    return new


def change_of(key: ApiKey, new: ApiKey, actor: Actor) -> key_events.KeyUpdated | None:
    """What the audit trail says of a change of members; None if none differs."""
    old, now = members_of_key(key), members_of_key(new)
    # Not the values themselves: 1, 1.0 and true are equal in Python, and differ in a token.
    changed = [name for name in now if repr(now[name]) != repr(old[name])]
    if not changed:
        return None
    old_values, new_values = ({name: _told(each[name]) for name in changed} for each in (old, now))
    return key_events.KeyUpdated(key.key_id, old_values, new_values, actor)


def _require_not_ended(key: ApiKey) -> None:
    if key.revoked_at is not None:
        raise InvalidRequest("the key was revoked: nothing about it changes any more")


def _told(value: Any) -> object:
    value = list(value) if isinstance(value, tuple) else value
    return in_bounds(value, msgspec.json.encode(value))
