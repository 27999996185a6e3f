"""API keys: what they look like, how they are proven, and when they are valid.

    hp_production_3fK9mZ8qLx2P_7Qm1XcVb…a1B2c3
       |          |            |        └ checksum: CRC-32 of all before it, 6 base-62 digits
       |          |            └ secret: 26 base-62 digits, 154 random bits
       |          └ key id, public: 12 base-62 digits
       └ environment

The checksum refuses typing errors and scanners' guesses before the database is asked. A key has only `[A-Za-z0-9_]`, so
a double click selects all of it and no encoding changes it. The key itself is never stored, only its MAC.
"""

import hmac
import re
from hashlib import blake2b
from typing import Literal, NamedTuple
from zlib import crc32

from hourpass.core.address import in_networks

Environment = Literal["production", "sandbox"]

KEY_PATTERN = re.compile(r"hp_(production|sandbox)_([0-9A-Za-z]{12})_([0-9A-Za-z]{26})([0-9A-Za-z]{6})", re.ASCII)
"""Published so that secret scanners can find leaked keys."""

KEY_ID_PATTERN = re.compile(r"[0-9A-Za-z]{12}", re.ASCII)

ENTROPY_BYTES = 32
"""How many random bytes `new_api_key` needs: 38 base-62 digits are 227 bits."""

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PAIRS = [high + low for high in _DIGITS for low in _DIGITS]
_VALUES = {pair: value for value, pair in enumerate(_PAIRS)}

MAX_SCOPE_LENGTH = 1_024
_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+", re.ASCII)


class ApiKey(NamedTuple):
    """What is kept of a key.

    Instants are epoch milliseconds. `scope` is space-separated, sorted and without doubles. `digest` is the key's MAC.
    """

    key_id: str
    name: str
    digest: bytes
    subject: str
    scope: str
    environment: str
    audience: str | None
    retry_window: int | None
    allowed_ips: tuple[str, ...]
    created_at: int
    expires_at: int | None = None
    revoked_at: int | None = None

    def __repr__(self) -> str:
        """Without the digest."""
        return f"ApiKey({self.key_id!r}, name={self.name!r})"


def new_api_key(environment: Environment, entropy: bytes) -> tuple[str, str]:
    """Make a key from 32 random bytes: `(key_id, api_key)`.

    Raises:
        ValueError: if the entropy has another length.
    """
    if len(entropy) != ENTROPY_BYTES:
        raise ValueError(f"a key needs exactly {ENTROPY_BYTES} random bytes")
    digits = _base62(int.from_bytes(entropy, "big"), 38)
    key_id, secret = digits[:12], digits[12:]
    body = f"hp_{environment}_{key_id}_{secret}"
    return key_id, body + _checksum(body)


def is_well_formed(text: str) -> bool:
    """Whether this text has the form and the checksum of a key. Only then is it worth a look-up."""
    match = KEY_PATTERN.fullmatch(text)
    if match is None:
        return False
    checksum = match[4]
    value = (_VALUES[checksum[:2]] * 3844 + _VALUES[checksum[2:4]]) * 3844 + _VALUES[checksum[4:]]
    return value == crc32(text[:-6].encode("ascii"))


def unverified_key_id(text: str) -> str:
    """The key id that a well-formed text names. Only `proves` tells whether the text is really that key."""
    return text[-45:-33]


def key_digest(pepper: bytes, text: str) -> bytes:
    """What is stored instead of the key: a MAC (keyed BLAKE2b, RFC 7693) under a secret that is not in the database.

    It is fast on purpose. Nobody can search 154 random bits, and a slow hash would only let strangers burn our CPU.
    """
    return blake2b(text.encode("ascii"), key=pepper, digest_size=32).digest()


def proves(text: str, key: ApiKey, pepper: bytes) -> bool:
    """Whether the text is this key, compared in constant time. The MAC covers all of it, its form included."""
    return text.isascii() and hmac.compare_digest(key_digest(pepper, text), key.digest)


def is_usable(key: ApiKey, now: int) -> bool:
    """Whether the key is valid at this instant. At exactly `expires_at` it has expired."""
    return key.revoked_at is None and (key.expires_at is None or now < key.expires_at)


def allows_ip(key: ApiKey, address: str | None) -> bool:
    """Whether the key may be used from this address. If the key has an allow-list, an unknown address is refused."""
    if not key.allowed_ips:
        return True
    return address is not None and in_networks(address, key.allowed_ips)


def from_anywhere(key: ApiKey) -> ApiKey:
    """The key without its allow-list, for a caller that asks about a credential and does not use it."""
    return key._replace(allowed_ips=())


def normal_scope(scope: str) -> str | None:
    """A space-separated scope list, sorted and without doubles. None if it breaks the grammar of RFC 6749 §3.3."""
    if len(scope) > MAX_SCOPE_LENGTH:
        return None
    tokens = set(scope.split(" ")) - {""}
    if not all(_SCOPE_TOKEN.fullmatch(token) for token in tokens):
        return None
    return " ".join(sorted(tokens))


def narrow_scope(owned: str, requested: str | None) -> str | None:
    """The scope to grant: all that is owned if `requested` is None. None if more is requested than is owned."""
    if requested is None:
        return owned
    narrowed = normal_scope(requested)
    if narrowed is None or not set(narrowed.split()) <= set(owned.split()):
        return None
    return narrowed


def _checksum(body: str) -> str:
    return _base62(crc32(body.encode("ascii")), 6)


def _base62(number: int, digits: int) -> str:
    """The lowest `digits` base-62 digits of a number. `digits` must be even."""
    out = ""
    for _ in range(digits // 2):
        number, pair = divmod(number, 3844)
        out = _PAIRS[pair] + out
    return out
