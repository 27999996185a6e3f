"""How long somebody stays signed in to the console, and what proves that a form is the console's own.

A sign-in is known by a random id in a cookie. Of the id of a sign-in or of a one-time link, only the hash is stored: a
reader of the database can use neither.
"""

import hmac
import re
from hashlib import sha256
from typing import NamedTuple

from hourpass.core.api_key import ApiKey, is_usable
from hourpass.core.policy import HOUR, MINUTE, SECOND

IDLE = HOUR
"""A desk that nobody used for so long is an open door."""

ABSOLUTE = 12 * HOUR
"""No sign-in outlives a working day."""

LINK_LIFETIME = 60 * SECOND
"""A link is used at once or not at all: it may stay in the history of a terminal or a browser."""

NOTED_EVERY = MINUTE
"""How exactly the last use is known. Without this, each page would write to the database."""

TOLD_FOR = MINUTE
"""For so long a page may tell what was done. It tells it once."""

ID_BYTES = 32
"""How many random bytes an id has."""

FAILURES = 5
"""How many attempts from one address may fail in a minute. A good one is never refused because of others."""

SIGN_INS = 5
"""How often a key may sign in within a minute. Each time writes to the audit trail and to the database."""


class SignIn(NamedTuple):
    """That somebody is signed in. Instants are epoch milliseconds.

    `who` is the actor of the audit trail: `key:ID`, or `cli:USER@HOST` for a sign-in by a one-time link. `address` is
    where they signed in from, None if that is not known.
    `key_id` is the admin key's whose role the person has at each request, None after a one-time link. `key_print` is
    that key's `key_fingerprint` when the person signed in.
    """

    id_hash: bytes
    who: str
    key_id: str | None
    key_print: bytes | None
    started_at: int
    seen_at: int
    address: str | None = None

    def __repr__(self) -> str:
        """Without the hash."""
        return f"SignIn({self.who!r})"


class OneTimeLink(NamedTuple):
    """A one-time link: the hash of its id, for whom it was made, and when (epoch milliseconds)."""

    id_hash: bytes
    who: str
    made_at: int

    def __repr__(self) -> str:
        """Without the hash."""
        return f"OneTimeLink({self.who!r})"


def sign_in_name(one: SignIn) -> str:
    """The name of a sign-in for people and for the admin API. Nobody can sign in with it."""
    return f"si_{one.id_hash[:8].hex()}"


class Over(NamedTuple):
    """What is over: sign-ins that began or were last used until an instant, and links that were made until one."""

    started: int
    seen: int
    made: int


def over_at(now: int) -> Over:
    """What is over now, to be forgotten."""
    return Over(now - ABSOLUTE, now - IDLE, now - LINK_LIFETIME)


def is_id(text: str) -> bool:
    """Whether a text looks like an id of ours: `ID_BYTES` in base64url. Anything else is not worth a question."""
    return _ID.fullmatch(text) is not None


_ID = re.compile(r"[A-Za-z0-9_-]{43}")


def hash_of(id: str) -> bytes:  # noqa: A002
    """What is stored in place of the id of a sign-in or a link. A random id needs no slow hash."""
    return sha256(id.encode()).digest()


def is_signed_in(one: SignIn, now: int) -> bool:
    """Whether a sign-in is still good. At exactly the end of its time it is not."""
    return _is_within(one.seen_at, IDLE, now) and _is_within(one.started_at, ABSOLUTE, now)


def _is_within(began: int, lifetime: int, now: int) -> bool:
    """Clocks of nodes differ by seconds. If one was set back by more, what began later than now would never end."""
    return -MINUTE <= now - began < lifetime


def key_fingerprint(key: ApiKey) -> bytes:
    """What changes with the record of a key: its members, its state, and since when it is valid. Not its secrets."""
    return sha256(repr([value for name, value in key._asdict().items() if name != "secrets"]).encode()).digest()


def still_signs_in(one: SignIn, key: ApiKey | None, now: int) -> bool:
    """Whether the key of a sign-in is as it was then, and usable. A sign-in by a link does not depend on a key."""
    if one.key_id is None:
        return True
    return key is not None and is_usable(key, now) and key_fingerprint(key) == one.key_print


def is_to_note(one: SignIn, now: int) -> bool:
    """Whether a use at this instant must be noted."""
    return now >= one.seen_at + NOTED_EVERY


def opens(link: OneTimeLink, now: int) -> bool:
    """Whether a link still signs in."""
    return _is_within(link.made_at, LINK_LIFETIME, now)


def told_of(id: str, path: str, word: str, now: int) -> str:  # noqa: A002
    """A word about what was just done, for the page that the browser goes to. Nobody else can make it."""
    second = now // SECOND
    return f"{word}.{second}.{_seal(id, path, word, second)}"


def word_of(id: str, path: str, told: str, now: int) -> str:  # noqa: A002
    """The word of `told_of`, empty if it is not this sign-in's and path's, or is older than a minute."""
    word, _, rest = told.partition(".")
    second, _, seal = rest.partition(".")
    if not (id and second.isascii() and second.isdecimal() and len(second) <= 12):
        return ""
    if not hmac.compare_digest(_seal(id, path, word, int(second)).encode(), seal.encode("utf-8", "surrogateescape")):
        return ""
    return word if _is_within(int(second) * SECOND, TOLD_FOR, now) else ""


def _seal(id: str, path: str, word: str, second: int) -> str:  # noqa: A002
    told = f"hourpass console done {word} {second} {path}".encode("utf-8", "surrogateescape")
    return hmac.digest(id.encode(), told, "sha256").hex()[:32]


def form_token(id: str, place: str = "form") -> str:  # noqa: A002
    """What each form carries. It follows from the id in the cookie, which no other site can read.

    Nobody can compute the id from it, so it may stand in a page. `place` is `door` in a form that signs in, and `form`
    in every other one: a token of one is refused in the other.
    """
    return hmac.digest(id.encode(), f"hourpass console {place}".encode(), "sha256").hex()


def is_form_of(id: str, token: str, place: str = "form") -> bool:  # noqa: A002
    """Whether a form was made for this id, at this place. Compared in constant time."""
    return bool(id) and hmac.compare_digest(form_token(id, place).encode(), token.encode("utf-8", "surrogateescape"))
