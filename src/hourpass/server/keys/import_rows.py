"""One row of an import: the columns that a file has become a secret and members of a key, each checked.

What is refused is refused with a reason that repeats no value of the row and, of the names of members, only those that
cannot be a key: a key may be anywhere by mistake.
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import msgspec

from hourpass.admin.instants import read_moment
from hourpass.core.errors import InvalidRequest, InvalidScope
from hourpass.core.key_entropy import ENOUGH, estimated_bits
from hourpass.core.key_hash import LONGEST, SHORTEST, KeyHash, may_be_imported
from hourpass.core.key_members import MAX_AUDIENCES, MAX_NETWORKS, MAX_TAGS, fields, holds_key, texts_in
from hourpass.server.keys.slow_hashes import SlowAlgorithm, fast_hash_of, refusal_of
from hourpass.settings_file import did_you_mean

SHORTEST_LOOKUP, LONGEST_LOOKUP = 4, 64

_SIZES = {"sha256": 32, "sha512": 64, "hmac-sha256": 32}
_SECRET_COLUMNS = ("key", "hash", "algorithm", "lookup")


MAX_LINE = 64 * 1024
"""Bytes of a line, as of a request that makes one key. A file with a longer one is none of ours."""


class RowRefused(Exception):
    """A row that is not imported. Its text is the reason, in words that show no key."""


class InPlain(NamedTuple):
    """A key in plain. The repr shows nothing of it."""

    text: str

    def __repr__(self) -> str:
        """Without the key."""
        return "InPlain(…)"


class Hashed(NamedTuple):
    """What the provider kept of a key, and by which hash. The repr shows nothing of it."""

    by: KeyHash
    hashed: bytes

    def __repr__(self) -> str:
        """Without the hash."""
        return f"Hashed({self.by.name!r})"


class SlowlyHashed(NamedTuple):
    """A hash by which a key cannot be found, and how the key's text begins. The repr shows nothing of them."""

    lookup: str
    algorithm: SlowAlgorithm
    hashed: str

    def __repr__(self) -> str:
        """Without the hash."""
        return f"SlowlyHashed({self.algorithm!r})"


Secret = InPlain | Hashed | SlowlyHashed


class ImportRow(NamedTuple):
    """A row: the secret, and the fields of `ApiKey` that the file has. A `subject` of None is the key id."""

    secret: Secret
    fields: dict[str, Any]


def read_columns(line: bytes) -> Mapping[str, object] | str:
    """The members of a line of JSON, or why it cannot be read."""
    try:
        row = msgspec.json.decode(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return "not UTF-8"
    except (msgspec.DecodeError, RecursionError):
        row = None
    return row if isinstance(row, dict) else "not a JSON object"


def read_row(
    columns: Mapping[str, object], *, hmac_hash: KeyHash | None = None, accept_weak: bool = False
) -> ImportRow:
    """Read one row: texts of a CSV file, or the values of a JSON object. Empty texts and null are as nothing.

    `hmac_hash` is the provider's HMAC secret.

    Raises:
        RowRefused: with the reason.
    """
    if unknown := sorted(columns.keys() - COLUMNS.keys()):
        raise RowRefused(_unknown(unknown))
    given = {name: None if value == "" else value for name, value in columns.items()}
    secret = _secret(given, hmac_hash, accept_weak=accept_weak)
    for name, value in given.items():
        if name != "key" and _shows_key(value, secret):
            raise RowRefused(f"{name}: an API key stands here, and would be kept in plain")
    members: dict[str, Any] = {}
    found: dict[str, Any] = {}
    for name, value in given.items():
        read = COLUMNS[name]
        if read is None:
            continue
        member, meant = read(name, value)
        if member == "subject" and meant is None:
            found["subject"] = None
        else:
            members[member] = meant
    if "name" not in members:
        raise RowRefused("name is missing")
    try:
        return ImportRow(secret, found | fields(members))
    except InvalidScope:
        raise RowRefused("scope: not scopes separated by spaces alone") from None
    except InvalidRequest as error:
        raise RowRefused(_REASONS.get(error.name, f"{error.name} is out of range")) from None


def _unknown(names: Sequence[str]) -> str:
    """What is said of members that no row has. A name that could be a key is not repeated."""
    told = list(filter(_HARMLESS.fullmatch, names))
    if not told:
        many = "an unknown member" if len(names) == 1 else f"{len(names)} unknown members"
        return f"{many}; known are: {', '.join(COLUMNS)}"
    also = f" and {len(names) - len(told)} more" if len(told) < len(names) else ""
    hint = did_you_mean(told[0], COLUMNS) or f"; known are: {', '.join(COLUMNS)}"
    return f"unknown: {', '.join(told)}{also}{hint}"


_HARMLESS = re.compile(rf"[A-Za-z][A-Za-z_-]{{0,{SHORTEST - 2}}}", re.ASCII)
"""How the name of a member looks. It is shorter than any key."""

_REASONS = {
    "name": "name: not 1 to 200 printable characters",
    "environment": "environment: not production or sandbox",
    "subject": "subject: not up to 200 visible ASCII characters",
    "audiences": f"audience: more than {MAX_AUDIENCES}, or not up to 200 visible ASCII characters",
    "external_id": "external_id: not up to 200 visible ASCII characters",
    "allowed_ips": f"allowed_ips: more than {MAX_NETWORKS}, or not addresses or networks",
    "claims": "claims: reserved or unprintable names, other values than texts, numbers and booleans, or over 1 KiB",
    "tags": f"tags: more than {MAX_TAGS}, or unprintable or too long",
}


def _shows_key(value: object, secret: Secret) -> bool:
    """Whether a key that looks like ours, or the one of the row, stands in another column."""
    own = secret.text if isinstance(secret, InPlain) else None
    return holds_key(value) or (own is not None and any(own in text for text in texts_in(value)))


def _secret(given: Mapping[str, object], hmac_hash: KeyHash | None, *, accept_weak: bool) -> Secret:
    key, hashed, algorithm, lookup = (_text(name, given.get(name)) for name in _SECRET_COLUMNS)
    if key is not None:
        if hashed is not None:
            raise RowRefused("both key and hash are given")
        return _in_plain(key, accept_weak=accept_weak)
    if hashed is None:
        raise RowRefused("neither key nor hash is given")
    match algorithm:
        case "sha256" | "sha512":
            return Hashed(KeyHash(algorithm), _raw(hashed, algorithm))
        case "hmac-sha256":
            if hmac_hash is None:
                raise RowRefused("hmac-sha256 needs the secret that made the hashes")
            return Hashed(hmac_hash, _raw(hashed, algorithm))
        case "bcrypt" | "argon2" | "django":
            return _slow(algorithm, hashed, lookup)
        case None:
            raise RowRefused("hash needs an algorithm")
        case _:
            raise RowRefused("algorithm: not sha256, sha512, hmac-sha256, bcrypt, argon2 or django")


def _in_plain(key: str, *, accept_weak: bool) -> InPlain:
    if not may_be_imported(key):
        raise RowRefused(f"key: not {SHORTEST} to {LONGEST} visible ASCII characters")
    bits = estimated_bits(key)
    if bits < ENOUGH and not accept_weak:
        raise RowRefused(f"key: about {bits:.0f} bits of entropy, too weak (accept_weak takes it)")
    return InPlain(key)


def _raw(hashed: str, algorithm: str) -> bytes:
    size = _SIZES[algorithm]
    try:
        if len(hashed) == 2 * size:
            return binascii.unhexlify(hashed)
        text = hashed.rstrip("=").replace("-", "+").replace("_", "/")
        raw = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        raw = b""
    if len(raw) != size:
        raise RowRefused(f"hash: not {size} bytes in hex or base64")
    return raw


def _slow(algorithm: SlowAlgorithm, hashed: str, lookup: str | None) -> Hashed | SlowlyHashed:
    if fast := fast_hash_of(algorithm, hashed):
        return Hashed(*fast)
    if reason := refusal_of(algorithm, hashed):
        raise RowRefused(f"hash: {reason}")
    if lookup is None:
        raise RowRefused(f"{algorithm} needs a lookup: how the key begins")
    if not SHORTEST_LOOKUP <= len(lookup) <= LONGEST_LOOKUP or not _is_visible(lookup):
        raise RowRefused(f"lookup: not {SHORTEST_LOOKUP} to {LONGEST_LOOKUP} visible ASCII characters")
    return SlowlyHashed(lookup, algorithm, hashed)


def _is_visible(text: str) -> bool:
    return all("\x21" <= character <= "\x7e" for character in text)


def _text(name: str, value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise RowRefused(f"{name}: not a text")
    return value


def _member(name: str, value: object) -> tuple[str, Any]:
    return name, _text(name, value)


def _required(name: str, value: object) -> tuple[str, Any]:
    if value is None:
        raise RowRefused(f"{name} is empty")
    return _member(name, value)


def _scope(name: str, value: object) -> tuple[str, Any]:
    return name, _text(name, value) or ""


def _environment(name: str, value: object) -> tuple[str, Any]:
    return name, _text(name, value) or "production"


def _words(member: str) -> "Callable[[str, object], tuple[str, Any]]":
    def read(name: str, value: object) -> tuple[str, Any]:
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            return member, value
        return member, (_text(name, value) or "").replace(",", " ").split()

    return read


def _instant(name: str, value: object) -> tuple[str, Any]:
    text = _text(name, value)
    if text is None:
        return name, None
    try:
        return name, read_moment(text)
    except ValueError:
        raise RowRefused(f"{name}: not a date such as 2027-01-31 or 2027-01-31T12:00:00Z") from None


def _mapping(name: str, value: object) -> tuple[str, Any]:
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError):
            value = 0
    if value is None:
        return name, {}
    if not isinstance(value, dict):
        raise RowRefused(f"{name}: not a JSON object")
    if name == "tags" and not all(isinstance(each, str) for each in value.values()):
        raise RowRefused("tags: not texts")
    return name, cast("dict[str, Any]", value)


COLUMNS: dict[str, "Callable[[str, object], tuple[str, Any]] | None"] = {
    "key": None,
    "hash": None,
    "algorithm": None,
    "lookup": None,
    "name": _required,
    "subject": _member,
    "scope": _scope,
    "environment": _environment,
    "audience": _words("audiences"),
    "expires_at": _instant,
    "allowed_ips": _words("allowed_ips"),
    "claims": _mapping,
    "tags": _mapping,
    "external_id": _member,
}
"""What a file may have, and how each member is read; None for what is the secret."""
