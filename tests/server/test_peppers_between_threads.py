"""A look-up runs in a thread while the event loop goes over to another pepper: a digest never gets the wrong label."""

import os

import pytest

from hourpass.core.api_key import ApiKey, KeySecret, key_digest
from hourpass.core.key_hash import imported_digest, slow_digest
from hourpass.core.policy import MINUTE, Policy
from hourpass.server.issuing.digest_moves import DigestMoves
from hourpass.server.issuing.slow_proofs import SlowProofs
from hourpass.server.keys.master_key import MasterKey
from hourpass.server.keys.sealed import label_of
from hourpass.server.keys.server_secrets import Secrets
from hourpass.server.store.key_secrets import SlowHash
from hourpass.server.store.sealed import StoredSecret

MADE = 1_000_000
KEY = ApiKey("imported0001", "", "", "", "production", None, None, (), 0)


@pytest.fixture
def secrets() -> Secrets:
    """Of three peppers the second is in use, and the third one will be in a moment."""
    master = MasterKey(os.urandom(32))

    def stored(name: str, kid: str, at: int) -> StoredSecret:
        return StoredSecret(name, kid, master.seal(label_of(name, kid), os.urandom(32)), at, master.ids[0])

    rings = [("pepper", "1", 0), ("pepper", "2", 1), ("pepper", "3", MADE), ("rotation", "1", 0), ("refresh", "a", 0)]
    secrets = Secrets(master, [stored(*each) for each in rings], MADE, Policy())
    assert secrets.pepper.kid == "2"
    return secrets


def go_over(secrets: Secrets) -> None:
    secrets.turn(MADE + MINUTE)
    assert secrets.pepper.kid == "3"


def of(secrets: Secrets, kid: str) -> bytes:
    return next(pepper.secret for pepper in secrets.peppers if pepper.kid == kid)


def test_a_noted_move_names_the_pepper_of_its_new_digest(secrets):
    moves, hashed = DigestMoves(None), os.urandom(32)
    *_, found = secrets.digests_of([hashed])
    go_over(secrets)

    moves.note(KEY, KeySecret(found.digest, 0, 0), found.current, found.pepper)

    [move] = moves._noted.values()
    assert move.new == imported_digest(of(secrets, move.pepper), hashed)


def test_the_digests_of_one_look_up_are_all_of_one_moment(secrets):
    hashed = os.urandom(32)
    digests = secrets.digests_of([hashed])
    found = [next(digests)]
    go_over(secrets)
    found += digests

    assert {(each.current, each.pepper) for each in found} == {(imported_digest(of(secrets, "2"), hashed), "2")}


class Thread:
    """A store for one slow hash. While the thread waits for it, the loop goes over to the next pepper."""

    def __init__(self, secrets: Secrets, key: ApiKey) -> None:
        self.secrets, self.found = secrets, key
        self.kept: KeySecret | None = None
        self.used: SlowHash | None = None

    def key(self, key_id: str) -> ApiKey:
        return self.found

    def delete_key_secret(self, digest: bytes) -> None:
        go_over(self.secrets)

    def add_key_secret(self, key_id: str, secret: KeySecret) -> None:
        self.kept = secret

    def use_slow_hash(self, used: SlowHash) -> None:
        self.used = used


@pytest.mark.anyio
async def test_what_stands_for_a_slow_hash_is_of_the_same_pepper_as_the_digest_in_its_place(secrets):
    slow = SlowHash("sk_live_", KEY.key_id, "bcrypt", "a hash", 0)
    standing = KeySecret(slow_digest(secrets.pepper.secret, slow.hash), 0, 0, pepper="2")
    store = Thread(secrets, KEY._replace(secrets=(standing,)))

    SlowProofs(None, secrets)._replace(store, "sk_live_text", slow)

    assert store.kept.digest == key_digest(of(secrets, store.kept.pepper), "sk_live_text")
    assert store.used.hash == slow_digest(of(secrets, store.kept.pepper), slow.hash).hex()
