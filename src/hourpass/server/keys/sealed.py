"""Everything that the master key seals in the database: the one place that seals, opens and seals again.

What is sealed is a row of the table `secrets` or of `signing_keys`. A new kind of secret is a new name in the first, so
the replacing of the master key cannot forget it. While the master key is replaced, nodes have different sets of keys.
So the database says which key seals: the one that sealed the pepper, until `reseal` goes over to the first key.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

from hourpass.core import server_events
from hourpass.core.actor import Actor
from hourpass.core.errors import ConfigurationError, InvalidRequest
from hourpass.core.secret_ring import ServerSecret
from hourpass.core.signing_key import SigningKey
from hourpass.server.keys.master_key import MasterKey
from hourpass.server.store import Store
from hourpass.server.store.sealed import StoredSecret, StoredSigningKey

PEPPER = "pepper"
ROTATION = "rotation"
REFRESH = "refresh"
TRAIL = "trail"
HMAC_SECRET = "import_hmac"
WEBHOOK = "webhook"
IDEMPOTENCY = "idempotency"
"""What the secrets are called in their table. The last three are the providers' HMAC secrets, what the secrets of
webhooks are made with, and what repeated calls of the admin API are recognised and answered again with."""

NEEDED = 9
"""The program, as the number of its newest migration, that learns of new secrets while it runs. An older one would
refuse what they make, and does not open what a second master key seals."""

_FIRST_LABELS = {(PEPPER, "1"): PEPPER, (ROTATION, "1"): ROTATION}


def label_of(name: str, kid: str) -> str:
    """What a secret is called when it is sealed, so that no sealed value can take the place of another."""
    if name == REFRESH:
        return f"refresh secret {kid}"
    return _FIRST_LABELS.get((name, kid), f"{name} {kid}")


def add_secret(store: Store, master: MasterKey, name: str, kid: str, secret: bytes, now: int) -> None:
    """Seal a new secret and keep it."""
    by = key_that_seals(store, master)
    store.add_secret(name, kid, master.seal(label_of(name, kid), secret, by), now, by)


def lasting_secret(store: Store, master: MasterKey, name: str, now: int, random: Callable[[int], bytes]) -> bytes:
    """The one secret of a name that is never replaced. It is made when it is first needed.

    `now` is epoch milliseconds, and `random` returns so many random bytes.

    Raises:
        ConfigurationError: if the master key did not seal it.
    """
    found = open_secrets_of(store, master, name)
    if found:
        return found[-1].secret
    secret = random(32)
    add_secret(store, master, name, "1", secret, now)
    return secret


def add_signing_key(store: Store, master: MasterKey, key: SigningKey, private: bytes) -> None:
    """Seal the private half of a new signing key and keep it."""
    by = key_that_seals(store, master)
    store.add_signing_key(StoredSigningKey(key, master.seal(_label_of_signing_key(key), private, by), by))


def open_secret(master: MasterKey, stored: StoredSecret) -> ServerSecret:
    """Open a secret. Raises ConfigurationError if the master key did not seal it."""
    secret = master.open(label_of(stored.name, stored.kid), stored.sealed, stored.sealed_by)
    return ServerSecret(stored.kid, secret, stored.created_at)


def open_secrets_of(store: Store, master: MasterKey, name: str) -> list[ServerSecret]:
    """The secrets of a name, newest first. Raises ConfigurationError if the master key did not seal them."""
    return [open_secret(master, stored) for stored in store.sealed_secrets(name)]


def open_signing_key(master: MasterKey, stored: StoredSigningKey) -> bytes:
    """Open the private half of a signing key. Raises ConfigurationError if the master key did not seal it."""
    return master.open(_label_of_signing_key(stored.key), stored.sealed, stored.sealed_by)


def require_opens(store: Store, master: MasterKey) -> None:
    """Open everything that is sealed. Raises ConfigurationError if the master key did not seal all of it."""
    for value in _everything(store):
        master.open(value.label, value.sealed, value.sealed_by)


def key_that_seals(store: Store, master: MasterKey) -> str:
    """The id of the key that seals what is new: every node has it. The first one if nothing is sealed yet.

    Raises:
        ConfigurationError: if it is not among the keys of the master key.
    """
    pepper = next(iter(store.sealed_secrets(PEPPER)), None)
    if pepper is None:
        return master.ids[0]
    return master.sealer(label_of(pepper.name, pepper.kid), pepper.sealed, pepper.sealed_by)


class Sealing(NamedTuple):
    """How many values a master key seals. `given` says whether this command has it."""

    key_id: str
    given: bool
    values: int


def sealings(store: Store, master: MasterKey) -> list[Sealing]:
    """Each master key that is given, in the order in which it was, and each other one that is needed.

    A value that no given key opens, and that does not say which one it needs, is listed under `unknown`.
    """
    found = Counter(_sealer(master, value) for value in _everything(store))
    ids = dict.fromkeys([*master.ids, *sorted(found)])
    return [Sealing(key_id, key_id in master.ids, found[key_id]) for key_id in ids]


def _sealer(master: MasterKey, value: "_Value") -> str:
    try:
        return master.sealer(value.label, value.sealed, value.sealed_by)
    except ConfigurationError:
        return value.sealed_by or "unknown"


class Resealed(NamedTuple):
    """The master key that seals everything now, how many values it sealed just now, and the other keys given."""

    key_id: str
    values: int
    others: tuple[str, ...]


def reseal(store: Store, master: MasterKey, now: int, *, actor: Actor) -> Resealed:
    """Seal everything by the first key of the master key. Doing it again changes nothing.

    It works inside one transaction of a store that waits for the others of its kind: all of it is done, or nothing.

    Raises:
        InvalidRequest: if only one key is given, or nodes of an older version run.
        ConfigurationError: if a value is sealed by a key that is not given.
    """
    if len(master.ids) == 1:
        raise InvalidRequest(f"only one master key is given, {master.ids[0]}: give the new one before it, and both")
    require_no_older_node(store)
    first, old = master.ids[0], key_that_seals(store, master)
    done = sum(_reseal(store, master, value, first) for value in list(_everything(store)))
    if done:
        store.append_audit(now, [server_events.MasterKeyRotated(first, old, done, actor)])
    return Resealed(first, done, master.ids[1:])


def require_no_older_node(store: Store, number: int = NEEDED) -> None:
    """Refuse to change what a node that runs would not learn of: one from before the migration of this number.

    Raises:
        InvalidRequest: if there is one, as far as the database can tell.
    """
    if older := store.older_programs(number):
        raise InvalidRequest(f"a node of an older version runs ({older} connections): bring every node to this version")


class _Value(NamedTuple):
    label: str
    sealed: bytes
    sealed_by: str | None
    row: StoredSecret | StoredSigningKey


def _everything(store: Store) -> Iterator[_Value]:
    """Every sealed value of the database. This is the only list of them."""
    for secret in store.sealed_secrets():
        yield _Value(label_of(secret.name, secret.kid), secret.sealed, secret.sealed_by, secret)
    for key in store.signing_keys():
        yield _Value(_label_of_signing_key(key.key), key.sealed, key.sealed_by, key)


def _reseal(store: Store, master: MasterKey, value: _Value, by: str) -> bool:
    """Seal a value, unless this key sealed it already. It is opened either way: the other key may be dropped then."""
    secret = master.open(value.label, value.sealed, value.sealed_by)
    if value.sealed_by == by:
        return False
    sealed = master.seal(value.label, secret, by)
    match value.row:
        case StoredSecret() as row:
            store.seal_secret(row, row._replace(sealed=sealed, sealed_by=by))
        case row:
            store.seal_signing_key(row, row._replace(sealed=sealed, sealed_by=by))
    return True


def _label_of_signing_key(key: SigningKey) -> str:
    return f"signing key {key.kid}"
