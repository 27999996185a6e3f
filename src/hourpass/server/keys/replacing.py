"""Replaces the secrets of the server: a new one of a kind is published, and earlier ones are retired.

The functions each work inside one transaction of a store. Nodes learn of it by `Secrets.learn`.
"""

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

from hourpass.core import server_events
from hourpass.core.actor import Actor
from hourpass.core.errors import InvalidRequest, RotationUnderWay
from hourpass.core.policy import SECOND, Policy
from hourpass.core.secret_ring import ServerSecret, decide_new_secret
from hourpass.server.keys.sealed import NEEDED, PEPPER, REFRESH, add_secret, require_no_older_node
from hourpass.server.keys.server_secrets import Secrets
from hourpass.server.store import Store

SecretKind = Literal["refresh", "pepper", "rotation", "trail"]


def rotate_secret(
    store: Store, secrets: Secrets, kind: SecretKind, now: int, random: Callable[[int], bytes], *, actor: Actor
) -> ServerSecret:
    """Publish a new secret of a kind. It is used a minute later, when every node knows it.

    Raises:
        RotationUnderWay: if a new one waits already.
        InvalidRequest: if nodes of an older version run.
    """
    require_no_older_node(store)
    if waiting := decide_new_secret(secrets.ring(kind), now):
        seconds = -(-(waiting.used_from - now) // SECOND)
        words = f"a new {kind} secret is waiting already: it is used in {seconds} s"
        raise RotationUnderWay(waiting.used_from, now, words)
    kid = random(6).hex()
    add_secret(store, secrets.master, kind, kid, random(32), now)
    secrets.learn(store.sealed_secrets(), now)
    new = secrets.ring(kind).secrets[0]
    if kind == PEPPER:
        store.need_program(NEEDED)
    store.append_audit(now, [server_events.SecretRotated(kind, kid, secrets.ring(kind).used_from(new), actor)])
    return new


class Retired(NamedTuple):
    """The kids of the secrets that were deleted.

    If that ended all grants, `fresh` is the kid of the secret in their place. Every access token issued before
    `issued_before`, in epoch seconds, was revoked.
    """

    kids: list[str]
    fresh: str | None = None
    issued_before: int | None = None


def retirable(secrets: Secrets, kind: SecretKind, now: int) -> tuple[ServerSecret, ...]:
    """The secrets of a kind from before the one in use, newest first."""
    ring = secrets.ring(kind)
    return ring.earlier_than(ring.used_at(now))


def ends_grants(store: Store, secrets: Secrets, kind: SecretKind, now: int) -> bool:
    """Whether retiring ends all grants: if one lives that was opened before the refresh secret in use was used.

    Somebody who can forge a token of an earlier secret may have refreshed such a grant, and holds a token of the one in
    use. The database tells, because the command may not know the server's lifetime of a grant.
    """
    if kind != REFRESH or not retirable(secrets, kind, now):
        return False
    ring = secrets.ring(kind)
    return store.count_live_grants(now, ring.used_from(ring.used_at(now))) > 0


def retire_secrets(
    store: Store,
    secrets: Secrets,
    kind: SecretKind,
    now: int,
    policy: Policy,
    random: Callable[[int], bytes],
    *,
    actor: Actor,
) -> Retired:
    """Delete the secrets of a kind from before the one in use: nothing that they made is good any more.

    If that `ends_grants`, the secret in use is deleted too, and a fresh one is used at once. So every refresh token
    from before is dead, however many there are, and no row of a grant is touched.

    Raises:
        InvalidRequest: if there is none.
    """
    old = retirable(secrets, kind, now)
    if not old:
        raise InvalidRequest(f"there is no {kind} secret from before the one in use: rotate first, and wait a minute")
    if not ends_grants(store, secrets, kind, now):
        return Retired(_delete(store, kind, old, now, actor))
    # By then every node has learned of the fresh secret: until then one may still sign for an old refresh token.
    issued_before = now // SECOND + 2
    kids = _delete(store, kind, secrets.ring(kind).secrets, now, actor, issued_before)
    fresh = random(6).hex()
    add_secret(store, secrets.master, kind, fresh, random(32), now)
    store.append_audit(now, [server_events.SecretRotated(kind, fresh, now, actor)])
    store.add_revocation("issued_before", str(issued_before), now + policy.revocation_lifetime)
    return Retired(kids, fresh, issued_before)


def _delete(
    store: Store,
    kind: str,
    old: Iterable[ServerSecret],
    now: int,
    actor: Actor,
    issued_before: int | None = None,
) -> list[str]:
    kids = [secret.kid for secret in old]
    for kid in kids:
        store.delete_secret(kind, kid)
    store.append_audit(now, [server_events.SecretRetired(kind, kid, issued_before, actor) for kid in kids])
    return kids
