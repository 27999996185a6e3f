"""Signing in and out: who comes with which link or key, and who is signed in with which cookie.

These are use cases on a store, in a transaction of the caller's.
"""

from collections.abc import Sequence
from typing import NamedTuple

from hourpass.core.actor import Actor
from hourpass.core.admin_access import AdminCaller, caller_of, owner, role_of
from hourpass.core.api_key import ApiKey, Proven, allows_ip, why_refused_now
from hourpass.core.errors import InvalidCredentials
from hourpass.core.server_events import ConsoleSignedIn, ConsoleSignedOut
from hourpass.core.sign_in import (
    OneTimeLink,
    SignIn,
    hash_of,
    is_signed_in,
    key_fingerprint,
    opens,
    still_signs_in,
)
from hourpass.server.admin.administration import AdminIdentity, AdminKeyIdentity
from hourpass.server.store import Store


class Person(NamedTuple):
    """Somebody who is signed in, and what they may do at this moment. `name` is that of the admin key, if it is one."""

    sign_in: SignIn
    caller: AdminCaller
    identity: AdminIdentity
    role: str
    name: str


def make_link(store: Store, link_id: str, who: Actor, now: int) -> None:
    """Keep a one-time link for the person at the command line."""
    store.add_one_time_link(OneTimeLink(hash_of(link_id), who.name, now))


def sign_in_by_link(store: Store, link_id: str, new_id: str, address: Actor, now: int) -> None:
    """Take a link, and sign its person in under a new id. `address` says from where the request came.

    Raises:
        InvalidCredentials: if the link is unknown, used or over. It is used up then.
    """
    link = store.take_one_time_link(hash_of(link_id))
    if link is None or not opens(link, now):
        raise InvalidCredentials("the link is used or over")
    _begin(store, SignIn(hash_of(new_id), link.who, None, None, now, now, address.address), "link", address, now)


def sign_in_by_key(store: Store, proven: Proven, new_id: str, address: Actor, now: int) -> None:
    """Sign the holder of an admin key in under a new id. The key was proven as this node remembered it.

    Raises:
        InvalidCredentials: if the key is gone or not an admin key, or its secret opens nothing any more from there.
    """
    key_id = proven.key.key_id
    key = store.key(key_id)
    if key is None or role_of(key) is None:
        raise InvalidCredentials("the key is not an admin key")
    if trouble := why_refused_now(key, proven.secret, now, address.address):
        raise InvalidCredentials("the key ended during the sign-in", reason=trouble)
    new = SignIn(hash_of(new_id), f"key:{key_id}", key_id, key_fingerprint(key), now, now, address.address)
    _begin(store, new, "key", address, now)


def _begin(store: Store, new: SignIn, by: str, address: Actor, now: int) -> None:
    store.add_sign_in(new)
    store.append_audit(now, [ConsoleSignedIn(by, address._replace(name=new.who))])


def who_is(store: Store, id: str, address: str | None, request_id: str, now: int) -> Person | None:  # noqa: A002
    """Who is signed in with an id, as their key is at this moment. None if nobody is any more."""
    if not id or (one := store.sign_in(hash_of(id))) is None or not is_signed_in(one, now):
        return None
    key = None if one.key_id is None else store.key(one.key_id)
    if not still_signs_in(one, key, now):
        return None
    actor = Actor(one.who, address, request_id)
    if key is None:
        caller = owner(actor)
        return Person(one, caller, caller, "owner", "")
    return _by_key(one, key, actor)


def who_is_one_of(
    store: Store, ids: Sequence[str], address: str | None, request_id: str, now: int
) -> tuple[str, Person] | None:
    """Who is signed in with one of the ids that a browser sent, and with which.

    Others may be planted. If two are good, one of them belongs to somebody who wants this person to work as them: then
    nobody is signed in, and signing in again ends both.
    """
    each = ((one, who_is(store, one, address, request_id, now)) for one in dict.fromkeys(ids))
    found = [(one, person) for one, person in each if person is not None]
    return found[0] if len(found) == 1 else None


def _by_key(one: SignIn, key: ApiKey, actor: Actor) -> Person | None:
    role = role_of(key)
    if role is None or not allows_ip(key, actor.address):
        return None
    identity = AdminKeyIdentity(key.key_id, None, actor.address, actor.request_id)
    return Person(one, caller_of(key, None, actor), identity, role, key.name)


def leave(store: Store, person: Person, now: int, *, everywhere: bool) -> None:
    """Sign somebody out, in this browser or in all of theirs."""
    if everywhere:
        ended = store.end_sign_ins_of(person.sign_in.who)
    else:
        store.end_sign_in(person.sign_in.id_hash)
        ended = 1
    store.append_audit(now, [ConsoleSignedOut(ended, None, person.caller.actor)])
