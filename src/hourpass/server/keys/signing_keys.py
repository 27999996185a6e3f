"""The signing keys: made, published, retired, withdrawn.

`prepare`, `rotate_signing_key` and `withdraw_signing_key` each work inside one transaction of a store, so the command
and the server can share them. `core/signing_key.py` decides when a key signs and verifies.
"""

from collections.abc import Callable, Iterator

from hourpass.core import server_events
from hourpass.core.actor import SERVER, Actor
from hourpass.core.errors import ConfigurationError, NotFound, RotationUnderWay, Unavailable
from hourpass.core.policy import SECOND, Policy
from hourpass.core.signing_key import (
    Algorithm,
    SigningKey,
    SigningKeyState,
    key_that_signs,
    retire,
    schedule,
    signing_key_state,
    signs_until,
    stand_in,
)
from hourpass.jose import Jwk, SigningKeyPair, VerificationKey
from hourpass.server.keys.audit_chain import begin_chain
from hourpass.server.keys.master_key import MasterKey
from hourpass.server.keys.sealed import add_signing_key, open_signing_key
from hourpass.server.keys.server_secrets import Secrets, make_missing_secrets
from hourpass.server.store import Store
from hourpass.server.store.sealed import StoredSigningKey

Random = Callable[[int], bytes]


def prepare(
    store: Store,
    master: MasterKey,
    algorithm: Algorithm,
    now: int,
    policy: Policy,
    random: Random,
    *,
    serving: bool,
) -> Secrets:
    """Make the secrets that are missing, one of each kind, and a signing key, and begin the chain of the audit trail.

    Only a server (`serving`) adds a signing key of another algorithm, because a command may not know the server's
    settings. `now` is epoch milliseconds.

    Raises:
        ConfigurationError: if another master key sealed the secrets that are there.
    """
    make_missing_secrets(store, master, now, random)
    begin_chain(store, master, now, random)
    keys = [stored.key for stored in store.signing_keys() if signing_key_state(stored.key, now, policy) != "gone"]
    wanted = [key for key in keys if key.algorithm == algorithm and key.retired_at is None] if serving else keys
    if not wanted:
        _publish(store, master, algorithm, keys, now, policy, random, actor=SERVER)
    return Secrets(master, store.sealed_secrets(), now, policy)


def _publish(
    store: Store,
    master: MasterKey,
    algorithm: Algorithm,
    keys: list[SigningKey],
    now: int,
    policy: Policy,
    random: Random,
    *,
    actor: Actor,
) -> SigningKey:
    key = schedule(random(6).hex(), algorithm, keys, now, policy)
    for old in keys:
        if old.retired_at is None:
            store.retire_signing_key(old.kid, retire(old, key).retired_at or now)
    _make(store, master, key, now, actor)
    return key


def _make(store: Store, master: MasterKey, key: SigningKey, now: int, actor: Actor) -> None:
    pair = SigningKeyPair.generate(key.kid, key.algorithm)
    add_signing_key(store, master, key, pair.private_bytes())
    if key.retired_at is not None:
        store.retire_signing_key(key.kid, key.retired_at)
    store.append_audit(now, [server_events.SigningKeyPublished(key.kid, key.algorithm, key.signs_from, actor)])


def rotate_signing_key(
    store: Store, master: MasterKey, now: int, policy: Policy, random: Random, *, actor: Actor
) -> SigningKey:
    """Publish a signing key of the newest one's algorithm. It takes over after verifiers had time to learn of it.

    The key that signs until then retires at that instant. It verifies until its last token has expired.

    Raises:
        RotationUnderWay: if a key is waiting to sign already. A second one would retire it before it ever signs.
    """
    keys = [stored.key for stored in store.signing_keys()]
    for key in keys:
        if signing_key_state(key, now, policy) == "published":
            seconds = -(-(key.signs_from - now) // SECOND)
            words = f"the signing key {key.kid} is waiting already: it signs in {seconds} s"
            raise RotationUnderWay(key.signs_from, now, words)
    return _publish(store, master, keys[-1].algorithm, keys, now, policy, random, actor=actor)


def withdraw_signing_key(
    store: Store, master: MasterKey, kid: str, now: int, policy: Policy, random: Random, *, actor: Actor
) -> SigningKey | None:
    """Delete a compromised signing key. Every token that it signed is refused from now on.

    A fresh key takes the place of one that signs or waits to sign. It does so at once, because a compromise leaves no
    time to publish it ahead. None if no fresh key is needed, because the deleted one had retired.

    Raises:
        NotFound: if no signing key has this id.
    """
    key = next((stored.key for stored in store.signing_keys() if stored.key.kid == kid), None)
    if key is None:
        raise NotFound(f"no signing key has the id {kid!r}" if len(kid) <= 16 else "no signing key has that id")
    fresh = None
    if signing_key_state(key, now, policy) in ("published", "signing"):
        fresh = stand_in(random(6).hex(), key, now)
        _make(store, master, fresh, now, actor)
    store.delete_signing_key(kid)
    store.append_audit(now, [server_events.SigningKeyWithdrawn(kid, None if fresh is None else fresh.kid, actor)])
    return fresh


class SigningKeys:
    """The signing keys in memory: the one that signs now, and all that verify.

    Without `known`, it raises a ConfigurationError if one does not open. With it, one that does not is left out, and
    `trouble` says why.
    """

    def __init__(
        self,
        stored: list[StoredSigningKey],
        master: MasterKey,
        policy: Policy,
        *,
        known: "SigningKeys | None" = None,
    ) -> None:
        self._policy = policy
        # A pair that is known already stays the same object, so tokens that were verified with it stay remembered.
        pairs = known.pairs if known else {}
        self.pairs: dict[str, SigningKeyPair] = {}
        self.trouble: ConfigurationError | None = None
        for each in stored:
            kid = each.key.kid
            try:
                self.pairs[kid] = pairs.get(kid) or SigningKeyPair.from_private_bytes(
                    kid, each.key.algorithm, open_signing_key(master, each)
                )
            except ConfigurationError as error:
                if known is None:
                    raise
                self.trouble = error
        self._keys = [each.key for each in stored if each.key.kid in self.pairs]
        self._until = -1
        self._pair: SigningKeyPair | None = None

    def pair(self, now: int) -> SigningKeyPair:
        """The key that signs now (epoch milliseconds).

        Raises:
            Unavailable: if there is none. This passes, or the operator must act. It is never the caller's fault.
        """
        if now >= self._until or self._pair is None:
            key = key_that_signs(self._keys, now, self._policy)
            if key is None:
                raise Unavailable("no signing key is in its signing state")
            self._pair = self.pairs[key.kid]
            # Until the next boundary of any key, the answer stays the same.
            self._until = min((at for at in self._boundaries() if at > now), default=2**63)
        return self._pair

    def _boundaries(self) -> Iterator[int]:
        for key in self._keys:
            yield key.signs_from
            if key.retired_at is not None:
                yield key.retired_at

    def in_state(self, state: SigningKeyState, now: int) -> int:
        """How many keys are in a state."""
        return sum(signing_key_state(key, now, self._policy) == state for key in self._keys)

    def signs_since(self, now: int) -> int | None:
        """When the key that signs now began to. None if none signs."""
        key = key_that_signs(self._keys, now, self._policy)
        return None if key is None else key.signs_from

    def signs_until(self, now: int) -> int | None:
        """The instant from which no key signs any more. None if nobody has planned that."""
        return signs_until(self._keys, now, self._policy)

    def verification_keys(self, now: int) -> dict[bytes, VerificationKey]:
        """The keys that may verify now, by the header segment of their tokens."""
        pairs = [self.pairs[key.kid] for key in self._keys if signing_key_state(key, now, self._policy) != "gone"]
        return {pair.header: pair.verification_key for pair in pairs}

    def jwks(self, now: int) -> list[Jwk]:
        """The public keys that verifiers may need now, including those that are published and do not sign yet."""
        return [key.jwk for key in self.verification_keys(now).values()]
