"""Administration of API keys, grants and single tokens: to make, find and revoke them.

Each function works inside one transaction of a store, so the command and the server can share them.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from hourpass.core import grant_events, key_events, server_events
from hourpass.core.actor import Actor
from hourpass.core.admin_access import require_whole
from hourpass.core.api_key import (
    ENTROPY_BYTES,
    KEY_ID_PATTERN,
    ApiKey,
    Environment,
    KeyRevokedWhy,
    KeySecret,
    is_well_formed,
    key_digest,
    new_api_key,
    unverified_key_id,
)
from hourpass.core.claims import Claims
from hourpass.core.errors import InvalidRequest, NotFound
from hourpass.core.grant import Grant, GrantRef, revoke
from hourpass.core.key_hash import KeyHashes, may_be_imported
from hourpass.core.key_members import fields, require_ahead
from hourpass.core.key_shape import PREFIX
from hourpass.core.last_use import LastUses
from hourpass.core.policy import LEEWAY, SECOND, Policy
from hourpass.core.revocation import Revocation, token_until
from hourpass.core.secret_ring import ServerSecret
from hourpass.core.sign_in import key_fingerprint
from hourpass.server.keys.key_hashes import hashes_in_use
from hourpass.server.keys.sealed import require_no_older_node
from hourpass.server.keys.server_secrets import Secrets
from hourpass.server.store import Store
from hourpass.server.store.grants import FIRST_GRANT, LAST_GRANT

PAGE = 500

ADMIN_KEYS = 13
"""The number of the migration before which a program would exchange an admin key like every other one."""


WHOLE_GRANT_ID = 32


class NewKey(NamedTuple):
    """A new key with its text, which its owner sees only this once. The repr does not show the text."""

    key: ApiKey
    api_key: str

    def __repr__(self) -> str:
        """Without the key itself."""
        return f"NewKey({self.key.key_id!r})"


def create_key(
    store: Store,
    pepper: ServerSecret,
    *,
    name: str,
    now: int,
    random: Callable[[int], bytes],
    actor: Actor,
    environment: Environment = "production",
    subject: str | None = None,
    audience: str | None = None,
    expires_in: int | None = None,
    prefix: str = PREFIX,
    **members: Any,
) -> NewKey:
    """Make and store an API key. Durations are in milliseconds. `subject` is the key id if none is given.

    `members` are the others of `core/key_members.py`. `audience` is short for one of `audiences`.

    Raises:
        InvalidScope: if the scope breaks RFC 6749 §3.3's grammar.
        InvalidRequest: if another member is out of range, the external id is taken, or nodes run that do not know admin
            keys.
    """
    if expires_in is not None:
        members["expires_at"] = now + expires_in
    require_ahead(members.get("expires_at"), now)
    if audience:
        members["audiences"] = [audience]
    key_id, text = new_api_key(environment, random(ENTROPY_BYTES), prefix)
    plain = ApiKey(key_id, "", key_id, "", environment, None, None, (), now)
    given = {"name": name, "environment": environment, **members}
    if subject:
        given["subject"] = subject
    secret = KeySecret(key_digest(pepper.secret, text), 0, now, pepper=pepper.kid)
    key = require_whole(plain._replace(**fields(given), secrets=(secret,)), given.keys())
    if key.admin is not None:
        require_no_older_node(store, ADMIN_KEYS)
        store.need_program(ADMIN_KEYS)
    if key.raw_until is not None:
        key = key._replace(raw_until_set_at=now)
    if key.external_id is not None and store.keys_of_external_ids([key.external_id]):
        raise InvalidRequest("another key has this external_id", name="external_id")
    store.add_key(key)
    may = key.admin, key.subject_prefix, key.max_scope
    store.append_audit(now, [key_events.KeyCreated(key_id, name, actor, *may)])
    return NewKey(key, text)


def get_key(store: Store, key_id: str) -> ApiKey:
    """One API key, by its id.

    Raises:
        NotFound: if no key has this id.
    """
    key = store.key(key_id) if KEY_ID_PATTERN.fullmatch(key_id) else None
    if key is None:
        raise no_such_key(key_id)
    return key


def save_key(store: Store, old: ApiKey, new: ApiKey) -> None:
    """Store a changed key. Sign-ins to the console with it end for good, also if the key is changed back."""
    store.update_key(new)
    if new.admin is not None and key_fingerprint(new) != key_fingerprint(old):
        store.end_sign_ins_of(f"key:{new.key_id}")


def no_such_key(key_id: str) -> NotFound:
    """The error for an id that no key has, or none that the caller may know of."""
    return NotFound(f"no API key has {_named(key_id)}")


def identify_key(store: Store, secrets: Secrets, text: str) -> tuple[ApiKey, KeySecret] | None:
    """The API key that a text is, with the secret of it that the text is. None if it is not one of this server.

    An imported key is found by its digest, as when it is proven. So one that came with a slow hash is found from its
    first use on.
    """
    key = store.key(unverified_key_id(text)) if is_well_formed(text) else None
    secret = None if key is None else secrets.secret_in(key, text)
    if key is not None and secret is not None:
        return key, secret
    hashes = hashes_in_use(store, secrets.master) if may_be_imported(text) else KeyHashes()
    for digest, *_ in secrets.digests(hashes, text):
        key_id = store.key_of_digest(digest)
        key = None if key_id is None else store.key(key_id)
        if key is not None:
            return next(((key, each) for each in key.secrets if each.digest == digest), None)
    return None


def _named(given: str) -> str:
    # A text that is longer than an id may be a secret that was pasted by mistake, so it is not repeated.
    return f"the id {given!r}" if len(given) <= 16 else "that id"


def keys_with_uses(store: Store, after: str = "") -> Iterator[tuple[ApiKey, LastUses]]:
    """Every API key after an id with its last uses, in the order of their ids."""
    while page := store.keys_page(after, PAGE):
        after = page[-1].key_id
        uses = store.uses_of_keys([key.key_id for key in page])
        yield from ((key, uses.get(key.key_id, {})) for key in page)


def last_uses_of(store: Store, key_id: str) -> LastUses:
    """The last uses of one API key."""
    return store.uses_of_keys([key_id]).get(key_id, {})


def revoke_key(
    store: Store,
    key_id: str,
    now: int,
    policy: Policy,
    actor: Actor,
    why: KeyRevokedWhy = "revoked",
) -> Revocation | None:
    """Revoke an API key, its grants and their access tokens. None if the key was revoked before.

    Raises:
        NotFound: if no key has this id.
    """
    get_key(store, key_id)
    if not store.revoke_key(key_id, now, why):
        return None
    store.append_audit(now, [key_events.KeyRevoked(key_id, why, actor)])
    # The rows of the grants stay as they are: without its key a grant is dead. This entry refuses its access tokens.
    return store.add_revocation("key", key_id, now + policy.revocation_lifetime)


def get_grant(store: Store, grant_id: str, key_id: str | None = None) -> Grant:
    """One grant, by its id in hex. With the id of its API key it is found at once.

    Raises:
        NotFound: if no grant has this id.
    """
    try:
        raw = bytes.fromhex(grant_id)
    except ValueError:
        raw = b""
    grant = store.find_grant(raw) if key_id is None else store.grants([ref := GrantRef(key_id, raw)]).get(ref)
    if grant is None:
        raise no_such_grant(grant_id)
    return grant


def no_such_grant(grant_id: str) -> NotFound:
    """The error for an id that no grant has, or none that the caller may know of."""
    whole = ": a whole id has 32 digits, and pages show its last eight" if len(grant_id) < WHOLE_GRANT_ID else ""
    return NotFound(f"no grant has {_named(grant_id)}{whole}")


def all_grants(store: Store, key_id: str | None = None) -> Iterator[Grant]:
    """Every grant of one key, or of all keys, in the order of their ids."""
    after, last_key = (FIRST_GRANT, LAST_GRANT.key_id) if key_id is None else (GrantRef(key_id, b""), key_id)
    while page := store.grants_page(after, PAGE, last_key):
        yield from page
        after = page[-1].ref


def revoke_grant(
    store: Store, grant: Grant, now: int, policy: Policy, *, actor: Actor, token: bool = False
) -> Revocation | None:
    """Revoke a grant and its access tokens. None if it was revoked before.

    `token` is true if a client revoked the grant's refresh token (RFC 7009), false if an operator named the grant.
    """
    grant = revoke(grant, now, "token_revoked" if token else "revoked")
    if not store.revoke_grant(grant):
        return None
    grant_id = grant.grant_id.hex()
    store.append_audit(now, [grant_events.GrantRevoked(grant_id, grant.key_id, str(grant.revoked_why), actor)])
    return store.add_revocation("grant", grant_id, now + policy.revocation_lifetime)


def end_restored_grants(store: Store, now: int, policy: Policy, actor: Actor) -> server_events.Restored:
    """Revoke every grant of a restored backup, and every access token that was issued until now.

    A backup does not know which refresh tokens were used since it was made. If a thief copied one before the backup, it
    would be current again, and the theft would never show.
    """
    ended, after = 0, FIRST_GRANT
    while page := store.grants_page(after, PAGE):
        if live := [revoke(grant, now, "restored") for grant in page if grant.revoked_at is None]:
            ended += len(store.revoke_grants(live))
        after = page[-1].ref
    # The first whole second after now: `iat` has whole seconds, so a token of this second may be older than `now`.
    restored = server_events.Restored(ended, now // SECOND + 1, actor)
    store.add_revocation("issued_before", str(restored.issued_before), now + policy.revocation_lifetime)
    store.append_audit(now, [restored])
    return restored


def revoke_issued_before(store: Store, at: int, now: int, policy: Policy, actor: Actor) -> int:
    """Revoke every access token that was issued before an instant. Returns that instant in epoch seconds.

    `iat` has whole seconds. So tokens that are issued later in the second of the instant are revoked as well.

    Raises:
        InvalidRequest: if the instant is to come: nobody could get a token that is accepted until then.
    """
    if at > now:
        raise InvalidRequest("the time is to come: tokens that are issued until then would be refused, too")
    revoked = grant_events.TokensRevoked(-(-at // SECOND), actor)
    store.append_audit(now, [revoked])
    store.add_revocation("issued_before", str(revoked.issued_before), now + policy.revocation_lifetime)
    return revoked.issued_before


def revoke_token(store: Store, claims: Claims, now: int, *, actor: Actor) -> Revocation:
    """Revoke a single access token, whose claims are verified. `now` is epoch milliseconds."""
    store.append_audit(now, [grant_events.TokenRevoked(claims.jti, claims.sid, claims.client_id, actor)])
    return store.add_revocation("token", claims.jti, token_until(claims.exp, LEEWAY))
