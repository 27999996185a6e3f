"""What the audit trail says about the server: its secrets, its database, and who signs in to its console."""

from typing import NamedTuple

from hourpass.core.actor import SERVER, Actor


class Restored(NamedTuple):
    """The installation was filled from a backup.

    All of its grants were ended, and so were all access tokens issued before `issued_before`, in epoch seconds.
    """

    grants_ended: int
    issued_before: int
    actor: Actor


class SigningKeyPublished(NamedTuple):
    """A signing key entered the JWK Set. The one before it retires at `signs_from`, in epoch milliseconds."""

    kid: str
    algorithm: str
    signs_from: int
    actor: Actor = SERVER


class SigningKeyWithdrawn(NamedTuple):
    """A signing key was withdrawn: every token that it signed is refused from now on.

    `stand_in` is the key that takes its place, None if the withdrawn key was already retired.
    """

    kid: str
    stand_in: str | None
    actor: Actor


class MasterKeyRotated(NamedTuple):
    """Everything that is sealed was sealed again, by another master key. They are named by their ids.

    `values` is how many values were sealed. Nodes may need the old key until all of them have the new one.
    """

    master_key: str
    before: str
    values: int
    actor: Actor


class SecretRotated(NamedTuple):
    """A new secret of the server was made: `refresh`, `pepper`, `rotation`, `trail`. It is used from an instant on."""

    kind: str
    kid: str
    used_from: int
    actor: Actor


class SecretRetired(NamedTuple):
    """A secret of the server was deleted. Nothing that it made is good any more.

    With `issued_before`, in epoch seconds, all grants ended with it, and all access tokens issued before that.
    """

    kind: str
    kid: str
    issued_before: int | None
    actor: Actor


class ConsoleSignedIn(NamedTuple):
    """Somebody signed in to the console: `by` a one-time `link` or an admin `key`. The actor is who."""

    by: str
    actor: Actor


class ConsoleRefused(NamedTuple):
    """Attempts to sign in to the console failed: so many since the line before this one, all addresses together.

    `by` and the address are those of the last one: a `link`, or a `key`.
    """

    by: str
    times: int
    actor: Actor


class ConsoleSignedOut(NamedTuple):
    """Somebody signed out of the console, in one browser or everywhere, which ended so many sign-ins.

    `who` is the actor whose sign-in it was, if an owner ended somebody else's.
    """

    ended: int
    who: str | None
    actor: Actor


class StorageTrouble(NamedTuple):
    """The database did not take writes. Written when it took them again, with the time at which a node noticed."""

    actor: Actor = SERVER


class StorageRecovered(NamedTuple):
    """The database takes writes again, after trouble that a node noticed at `began`, in epoch milliseconds."""

    began: int
    actor: Actor = SERVER
