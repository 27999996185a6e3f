"""Rotation of API keys: the next secret of a key is made and kept, and its first use noted.

What happens is decided in `core/key_rotation.py`. Each function works inside one transaction of a store that waits for
the others of its kind, so several nodes and commands can do the same at once.
"""

from collections.abc import Callable
from typing import assert_never

from hourpass.core import audit
from hourpass.core.api_key import ApiKey, KeySecret, key_digest, still_proves
from hourpass.core.errors import InvalidRequest, RotationUnderWay
from hourpass.core.key_rotation import (
    MAX_OVERLAP,
    SEED_BYTES,
    CannotRotate,
    MakeNext,
    SameAgain,
    TwoAlive,
    decide_rotation,
    first_use,
    next_key_text,
)
from hourpass.core.key_shape import PREFIX
from hourpass.core.policy import DAY, SECOND
from hourpass.server.keys.api_keys import NewKey, get_key
from hourpass.server.keys.signing_keys import Secrets
from hourpass.server.store import Store


def rotate_key(
    store: Store,
    secrets: Secrets,
    key_id: str,
    now: int,
    *,
    overlap: int,
    random: Callable[[int], bytes],
    actor: str,
    prefix: str = PREFIX,
) -> NewKey:
    """Make the next secret of a key. It becomes the current one on its first use; then the overlap begins.

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
    actor: str,
    prefix: str,
) -> NewKey:
    seed = random(SEED_BYTES)
    text = next_key_text(secrets.rotation, key, made.n, seed, prefix)
    fresh = KeySecret(key_digest(secrets.pepper, text), made.n, now, seed=seed, overlap=overlap)
    for secret in made.drop:
        store.delete_key_secret(secret.digest)
    for secret in made.keep:
        store.save_key_secret(key.key_id, secret)
    store.add_key_secret(key.key_id, fresh)
    store.append_audit(now, [audit.KeyRotated(key.key_id, made.n, overlap // SECOND, actor)])
    return NewKey(key._replace(secrets=(*made.keep, fresh)), text)


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
        store.show_key_secret(key_id, secret)
    return True
