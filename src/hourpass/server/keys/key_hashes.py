"""Which hashes the digests of imported keys are made of, as the database keeps it, and the slow ones among them."""

from collections.abc import Callable
from typing import NamedTuple, cast

from hourpass.core.key_hash import PLAIN, KeyHash, KeyHashes
from hourpass.server.keys.master_key import MasterKey
from hourpass.server.keys.sealed import HMAC_SECRET, add_secret, open_secrets_of
from hourpass.server.keys.slow_hashes import SlowAlgorithm, first_match
from hourpass.server.store import Store
from hourpass.server.store.key_secrets import SlowHash


class Candidates(NamedTuple):
    """Slow hashes of keys that begin as a text does: one of them may be that of the text.

    `lookup` is the shortest beginning among them. Whose it is to check takes turns by it.
    """

    lookup: str
    hashes: list[SlowHash]

    def match(self, text: str) -> SlowHash | None:
        """The hash that a text has. It takes as long as checking all of them. Raises ExtraMissing."""
        at = first_match([(cast("SlowAlgorithm", each.algorithm), each.hash) for each in self.hashes], text)
        return None if at is None else self.hashes[at]

    def __repr__(self) -> str:
        """Without how the keys begin."""
        return "Candidates(…)"


def slow_candidates(
    store: Store, hashes: KeyHashes, text: str, *, among: Callable[[str], bool] = lambda key_id: True
) -> Candidates | None:
    """The slow hashes that a text may have, of keys that were not used yet. `among` says of which keys, by their ids.

    None if there are none.
    """
    beginnings = [text[:length] for length in sorted(hashes.lookups)]
    waiting = [each for begins in beginnings for each in store.slow_hashes(begins) if each.algorithm != "used"]
    asked = [each for each in waiting if among(each.key_id)]
    return Candidates(asked[0].lookup, asked) if asked else None


def hashes_in_use(store: Store, master: MasterKey) -> KeyHashes:
    """What imported keys are found by. Nothing if no key was ever imported.

    Raises:
        ConfigurationError: if the master key is not the one that sealed a provider's secret.
    """
    names = store.key_hashes()
    with_secrets = any(name.startswith("hmac-sha256:") for name in names)
    secrets = {each.kid: each.secret for each in open_secrets_of(store, master, HMAC_SECRET)} if with_secrets else {}
    fast: list[KeyHash] = []
    lookups: list[int] = []
    for name in names:
        algorithm, _, rest = name.partition(":")
        match algorithm:
            case "lookup":
                lookups.append(int(rest))
            case "hmac-sha256" if rest in secrets:
                fast.append(KeyHash(algorithm, rest, secrets[rest]))
            case "plain" | "sha256" | "sha512":
                fast.append(KeyHash(algorithm))
            case _:
                pass  # a newer program's, or one whose secret is gone: it proves nothing
    fast.sort(key=lambda each: each != PLAIN)
    return KeyHashes(tuple(fast), tuple(lookups))


def note_hash(store: Store, master: MasterKey, used: KeyHash, now: int) -> None:
    """Note that keys are imported by a hash, and keep its secret sealed, if it has one."""
    if used.kid and used.kid not in {stored.kid for stored in store.sealed_secrets(HMAC_SECRET)}:
        add_secret(store, master, HMAC_SECRET, used.kid, used.secret, now)
    store.add_key_hash(used.name, now)
