"""What a change takes away from who uses a key or a webhook, or gives to an admin key: a person is asked before it.

It compares what a record allows before and after. How that is told and asked, it does not know.
"""

from collections.abc import Collection
from typing import NamedTuple

from hourpass.core.address import is_within
from hourpass.core.admin_access import Role, scopes_of_role


class Rights(NamedTuple):
    """What a key allows. Instants are epoch milliseconds. No audience means the server's, no network every address."""

    scope: str = ""
    audiences: Collection[str] = ()
    allowed_ips: Collection[str] = ()
    expires_at: int | None = None
    raw_until: int | None = None
    self_rotation: bool = False
    admin: Role | None = None
    subject_prefix: str | None = None
    max_scope: str | None = None


def narrowed(old: Rights, new: Rights) -> list[str]:
    """The members by which a changed key allows less than before, in the order of `Rights`."""
    less = {
        "scope": lost_words(old.scope, new.scope),
        "audiences": not set(old.audiences or [""]) <= set(new.audiences or [""]),
        "allowed_ips": _fewer_addresses(old.allowed_ips, new.allowed_ips),
        "expires_at": _sooner(old.expires_at, new.expires_at),
        "raw_until": _sooner(old.raw_until, new.raw_until),
        "self_rotation": old.self_rotation and not new.self_rotation,
        "admin": lost_scopes(old, new),
        "subject_prefix": not (old.subject_prefix or "").startswith(new.subject_prefix or ""),
        "max_scope": new.max_scope is not None and (old.max_scope is None or lost_words(old.max_scope, new.max_scope)),
    }
    return [name for name in Rights._fields if less[name]]


POWER = ("admin", "subject_prefix", "max_scope")
"""The members that say what an admin key may do to the keys and the data of others."""


def widened(old: Rights, new: Rights) -> list[str]:
    """The members by which a changed admin key may do more than before: what the change back would take from it."""
    return [name for name in narrowed(new, old) if name in POWER]


def lost_words(old: str, new: str) -> list[str]:
    """The words of a scope that another one does not have."""
    return sorted(set(old.split()) - set(new.split()))


def lost_scopes(old: Rights, new: Rights) -> list[str]:
    """The scopes of the administration that a change of an admin key takes from it."""
    before, after = (scopes_of_role(each.admin, delegated=each.subject_prefix is not None) for each in (old, new))
    return sorted(before - after)


def fewer_events(old: Collection[str], new: Collection[str]) -> bool:
    """Whether a webhook would miss events that it gets now. None named means all of them."""
    return bool(new) and (not old or not set(old) <= set(new))


def _fewer_addresses(old: Collection[str], new: Collection[str]) -> bool:
    return bool(new) and (not old or not all(any(is_within(each, network) for network in new) for each in old))


def _sooner(old: int | None, new: int | None) -> bool:
    return new is not None and (old is None or new < old)
