"""Rotation of API keys: the next secret of a key is made and kept, and its first use noted.

What happens is decided in `core/key_rotation.py`. Each function works inside one transaction of a store that waits for
the others of its kind, so several nodes and commands can do the same at once.
"""

from collections.abc import Callable
from typing import assert_never

from hourpass.core import key_events
from hourpass.core.actor import Actor
from hourpass.core.api_key import ApiKey, KeySecret, may_have_tokens, still_proves, why_refused_now
from hourpass.core.errors import InvalidCredentials, InvalidRequest, RotationUnderWay, SelfRotationOff
from hourpass.core.grant import revoke
from hourpass.core.key_rotation import (
    MAX_OVERLAP,
    SEED_BYTES,
    CannotRotate,
    MakeNext,
    SameAgain,
    TwoAlive,
    decide_rotation,
    decide_rotation_at_once,
    first_use,
    may_be_pending,
)
from hourpass.core.key_shape import PREFIX
from hourpass.core.policy import DAY, MAX_RETRY_WINDOW, SECOND, Policy
from hourpass.server.keys.api_keys import NewKey, all_grants, get_key, save_key
from hourpass.server.keys.server_secrets import Secrets
from hourpass.server.store import Store
from hourpass.server.store.revocations import NewRevocation


def rotate_key(
    store: Store,
    secrets: Secrets,
    key_id: str,
    now: int,
    *,
    overlap: int,
    random: Callable[[int], bytes],
    actor: Actor,
    prefix: str = PREFIX,
) -> NewKey:
    """Make the next secret of a key. It becomes the current one on its first use, and then the overlap begins.

    Raises:
        NotFound: if no key has this id; RotationUnderWay: if two secrets are alive.
        InvalidRequest: if the key has ended, or the overlap is out of range.
    """
    if not 0 <= overlap <= MAX_OVERLAP:
        raise InvalidRequest(f"an overlap is 0 to {MAX_OVERLAP // DAY} days", name="overlap")
    key = get_key(store, key_id)
    match decide_rotation(key, now):
        case MakeNext() as made:
            return _keep(store, secrets, key, made, now, overlap, random, actor, prefix)
        case TwoAlive(ends_at):
            raise RotationUnderWay(ends_at, now)
        case CannotRotate(why):
            raise InvalidRequest(f"the key is {why}: it cannot rotate")
        case SameAgain():  # pragma: no cover - only a secret that asks gets the same again
            raise AssertionError
        case decision:  # pragma: no cover - the type checker proves it unreachable
            assert_never(decision)


def _keep(
    store: Store,
    secrets: Secrets,
    key: ApiKey,
    made: MakeNext,
    now: int,
    overlap: int,
    random: Callable[[int], bytes],
    actor: Actor,
    prefix: str,
) -> NewKey:
    seed = random(SEED_BYTES)
    text = secrets.next_key_text(key, made.n, seed, prefix)
    first_used_at = now if made.at_once else None
    digest, pepper = secrets.new_digest(text)
    fresh = KeySecret(digest, made.n, now, first_used_at, seed=seed, overlap=overlap, pepper=pepper)
    for secret in made.drop:
        store.delete_key_secret(secret.digest)
    for secret in made.keep:
        store.save_key_secret(key.key_id, secret)
    store.add_key_secret(key.key_id, fresh)
    if made.at_once:
        store.show_key_secret(key.key_id, fresh)
    store.append_audit(now, [key_events.KeyRotated(key.key_id, made.n, overlap // SECOND, made.at_once, actor)])
    return NewKey(key._replace(secrets=(*made.keep, fresh)), text)


def rotate_by_holder(
    store: Store,
    secrets: Secrets,
    key_id: str,
    secret: KeySecret,
    now: int,
    *,
    overlap: int,
    random: Callable[[int], bytes],
    address: str | None,
    prefix: str = PREFIX,
) -> str:
    """The text of the next secret of a key, for the holder of a secret of it that was proven.

    Raises:
        InvalidCredentials: if the secret opens nothing any more; SelfRotationOff: if the key may not rotate itself.
        RotationUnderWay: if two secrets are alive.
    """
    key = store.key(key_id)
    presented = None if key is None else next((own for own in key.secrets if own.n == secret.n), None)
    if key is None or presented is None:
        raise InvalidCredentials("another secret took its place")
    if trouble := why_refused_now(key, secret, now, address):
        raise InvalidCredentials(reason=trouble)
    if not key.self_rotation:
        raise SelfRotationOff
    texts = {each.n: secrets.text_again(key, each, prefix) for each in key.secrets}
    # One that cannot be derived any more is treated like one that never could: it has no seed.
    known = tuple(each if texts[each.n] else each._replace(seed=None) for each in key.secrets)
    match decide_rotation(key._replace(secrets=known), now, presented):
        case SameAgain(again):
            return texts[again.n] or ""
        case MakeNext() as made:
            if may_be_pending(presented):
                store.show_key_secret(key_id, presented)
            by = Actor("client", address)
            return _keep(store, secrets, key, made, now, overlap, random, by, prefix).api_key
        case TwoAlive(ends_at):
            raise RotationUnderWay(ends_at, now)
        case CannotRotate(why):
            raise InvalidCredentials(reason=why)
        case decision:  # pragma: no cover - the type checker proves it unreachable
            assert_never(decision)


def rotate_key_at_once(
    store: Store,
    secrets: Secrets,
    key_id: str,
    now: int,
    policy: Policy,
    *,
    random: Callable[[int], bytes],
    actor: Actor,
    prefix: str = PREFIX,
) -> NewKey:
    """End every secret of a key, its grants and their access tokens, and give it a new secret: after a leak.

    The transaction must be over before the next whole second, from which on the key's grants and tokens are good.

    Raises:
        NotFound: if no key has this id; InvalidRequest: if the key has ended.
    """
    key = get_key(store, key_id)
    made = decide_rotation_at_once(key, now)
    if isinstance(made, CannotRotate):
        raise InvalidRequest(f"the key is {made.why}: it cannot rotate")
    old, key = key, key._replace(valid_from=made.valid_from)
    save_key(store, old, key)
    new = _keep(store, secrets, key, made, now, 0, random, actor, prefix)
    _end_grants(store, old, made.valid_from or 0, now, policy)
    return new


def _end_grants(store: Store, old: ApiKey, valid_from: int, now: int, policy: Policy) -> None:
    """End the access tokens of a key from before an instant, and those of its grants, unless they were ended before.

    The grants themselves end with `valid_from`. One that was opened after a rotation in the same second is too new.
    """
    until = now + policy.revocation_lifetime
    # A verifier that does not know cutoffs refuses the tokens of these grants. There may be others: closed ones. Those
    # that have issued nothing since the last time are in the list.
    since = max(now - policy.revocation_lifetime - MAX_RETRY_WINDOW, (old.valid_from or 0) - 1)
    grants = [g for g in all_grants(store, old.key_id) if g.generation_at > since and g.revoked_at is None]
    entries = [NewRevocation("grant", grant.grant_id.hex(), until) for grant in grants]
    if may_have_tokens(old, now):
        entries.append(NewRevocation("key", old.key_id, until, valid_from // SECOND))
    if entries:
        store.add_revocations(entries)
    if too_new := [revoke(grant, now, "revoked") for grant in grants if grant.created_at >= valid_from]:
        store.revoke_grants(too_new)


def note_first_use(store: Store, key_id: str, secret: KeySecret, now: int) -> bool:
    """Note that the next secret of a key was used. Noting it twice changes nothing.

    False if the secret proves the key no more: another one took its place meanwhile.
    """
    key = store.key(key_id)
    if key is None or not still_proves(key, secret, now):
        return False
    used = first_use(key, secret, now)
    if used is not None:
        for each in set(used).difference(key.secrets):
            store.save_key_secret(key_id, each)
        store.show_key_secret(key_id, next(each for each in used if each.n == secret.n))
    return True
