"""API keys: what they look like, how they are proven, and when they are usable.

    hp_production_3fK9mZ8qLx2P_7Qm1XcVb…a1B2c3
    |  |          |            |        └ checksum: CRC-32 of all before it, 6 base-62 digits
    |  |          |            └ secret: 26 base-62 digits, 154 random bits
    |  |          └ key id, public: 12 base-62 digits
    |  └ environment
    └ prefix: a setting, `hp` by default

The checksum refuses typing errors and scanners' guesses before the database is asked. A key has only `[A-Za-z0-9_]`, so
a double click selects all of it and no encoding changes it. The key itself is never stored, only its MAC.
"""

import hmac
import re
from hashlib import blake2b
from typing import Literal, NamedTuple
from zlib import crc32

from hourpass.core.address import in_networks
from hourpass.core.key_shape import KEY_PATTERN, PREFIX, candidates
from hourpass.core.policy import MINUTE

Environment = Literal["production", "sandbox"]

KeyState = Literal["active", "disabled", "expired", "revoked"]

ClaimValue = str | int | float | bool | None
"""What a claim of a key may say."""

KeyTrouble = Literal["revoked", "expired", "disabled", "rotated"]
"""Why a genuine key is refused: `rotated` if another secret took the place of the one that was sent."""

UseKind = Literal["exchanged", "refreshed", "raw"]
"""How a key is used: for a first pair of tokens, by a refresh, or itself at a protected endpoint."""

KeyRevokedWhy = Literal["revoked", "exposed", "leaked"]
"""Why a key was ended: an operator's decision, by somebody who had the key itself, or because it leaked."""

KEY_ID_PATTERN = re.compile(r"[0-9A-Za-z]{12}", re.ASCII)

ENTROPY_BYTES = 32
"""How many random bytes `new_api_key` needs: 38 base-62 digits are 227 bits."""

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PAIRS = [high + low for high in _DIGITS for low in _DIGITS]
_VALUES = {pair: value for value, pair in enumerate(_PAIRS)}

MAX_SCOPE_LENGTH = 1_024
_SCOPE_TOKEN = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+", re.ASCII)


class KeySecret(NamedTuple):
    """What is kept of one secret of a key. `n` is its number among the key's secrets. Instants are epoch milliseconds.

    It proves the key until `ends_at`. The text of a derived secret is derived from `seed` and a secret of the server.
    `seed` is None if the text was random. `overlap` is for how long the one before it goes on after its first use.
    `pepper` is the kid of the pepper that the digest is made with, None for the first one.
    """

    digest: bytes
    n: int
    created_at: int
    first_used_at: int | None = None
    ends_at: int | None = None
    seed: bytes | None = None
    overlap: int | None = None
    pepper: str | None = None

    def __repr__(self) -> str:
        """Without the digest and the seed."""
        return f"KeySecret(n={self.n})"


class ApiKey(NamedTuple):
    """What is kept of a key: the record, and its secrets, oldest first.

    Instants are epoch milliseconds, durations milliseconds. `scope` is space-separated, sorted and without doubles.
    `audience` is the first one, None for the server's. `more_audiences` are the others. `claims` is what its access
    tokens say besides. `tags` are for management alone. From `raw_until` on the raw
    key is refused at protected endpoints. Grants and tokens from before `valid_from` are dead, and access tokens from
    before `tokens_from`, which are whole seconds. `external_id` is the provider's own id.
    `admin` is the role of an admin key, None for every other key. `subject_prefix` and `max_scope` are those of a
    delegated one (`core/admin_access.py`).
    """

    key_id: str
    name: str
    subject: str
    scope: str
    environment: str
    audience: str | None
    retry_window: int | None
    allowed_ips: tuple[str, ...]
    created_at: int
    expires_at: int | None = None
    revoked_at: int | None = None
    revoked_why: str | None = None
    disabled_at: int | None = None
    more_audiences: tuple[str, ...] = ()
    claims: tuple[tuple[str, ClaimValue], ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    access_token_lifetime: int | None = None
    self_rotation: bool = False
    external_id: str | None = None
    raw_until: int | None = None
    raw_until_set_at: int | None = None
    valid_from: int | None = None
    tokens_from: int | None = None
    admin: str | None = None
    subject_prefix: str | None = None
    max_scope: str | None = None
    secrets: tuple[KeySecret, ...] = ()

    def audiences(self, default: str) -> tuple[str, ...]:
        """Whom its tokens may be for, the default one first. `default` is the audience of the server."""
        return (self.audience, *self.more_audiences) if self.audience else (default,)

    def __repr__(self) -> str:
        """Without the digests."""
        return f"ApiKey({self.key_id!r}, name={self.name!r})"


class Proven(NamedTuple):
    """A key, and the secret of it that was sent."""

    key: ApiKey
    secret: KeySecret


def new_api_key(environment: Environment, entropy: bytes, prefix: str = PREFIX) -> tuple[str, str]:
    """Make a key from 32 random bytes: `(key_id, api_key)`.

    Raises:
        ValueError: if the entropy has another length.
    """
    if len(entropy) != ENTROPY_BYTES:
        raise ValueError(f"a key needs exactly {ENTROPY_BYTES} random bytes")
    number = int.from_bytes(entropy, "big")
    key_id = _base62(number // 62**26, 12)
    return key_id, key_text(prefix, environment, key_id, number)


def key_text(prefix: str, environment: str, key_id: str, number: int) -> str:
    """The key whose secret is the lowest 26 base-62 digits of a number."""
    body = f"{prefix}_{environment}_{key_id}_{_base62(number, 26)}"
    return body + _checksum(body)


def is_well_formed(text: str) -> bool:
    """Whether this text has the form and the checksum of a key. Only then is it worth a look-up."""
    match = KEY_PATTERN.fullmatch(text)
    if match is None:
        return False
    checksum = match[4]
    value = (_VALUES[checksum[:2]] * 3844 + _VALUES[checksum[2:4]]) * 3844 + _VALUES[checksum[4:]]
    return value == crc32(text[:-6].encode("ascii"))


def keys_in(text: str) -> list[str]:
    """Every part of a text that has the form and the checksum of a key, of this server or another."""
    return [candidate for candidate in candidates(text) if is_well_formed(candidate)]


def unverified_key_id(text: str) -> str:
    """The key id that a well-formed text names. Only `secret_of` tells whether the text is really that key."""
    return text[-45:-33]


def key_digest(pepper: bytes, text: str) -> bytes:
    """What is stored instead of the key: a MAC (keyed BLAKE2b, RFC 7693) under a secret that is not in the database.

    It is fast on purpose. Nobody can search 154 random bits, and a slow hash would only let strangers burn our CPU.
    """
    return blake2b(text.encode("ascii"), key=pepper, digest_size=32).digest()


def secret_of(text: str, key: ApiKey, pepper: bytes) -> KeySecret | None:
    """Which of the key's secrets the text is, whether or not it has ended. Each is compared in constant time.

    The MAC covers all of the text, its form included.
    """
    if not text.isascii():
        return None
    digest = key_digest(pepper, text)
    found = None
    for secret in key.secrets:
        if hmac.compare_digest(digest, secret.digest):
            found = secret
    return found


def why_unusable(key: ApiKey, now: int, secret: KeySecret | None = None) -> KeyTrouble | None:
    """Why a key is refused at this instant, or the secret that proved it, if that is given. None if it is usable.

    At exactly `expires_at`, and at exactly a secret's `ends_at`, it is refused.
    """
    if is_usable(key, now):
        ended = secret is not None and secret.ends_at is not None and now >= secret.ends_at
        return "rotated" if ended else None
    state = key_state(key, now)
    return None if state == "active" else state


def still_proves(key: ApiKey, secret: KeySecret, now: int) -> bool:
    """Whether a secret that proved the key once is one that proves it now. Its number names it: a digest may move."""
    own = next((each for each in key.secrets if each.n == secret.n), None)
    return own is not None and why_unusable(key, now, own) is None


def why_refused_now(
    key: ApiKey, secret: KeySecret, now: int, address: str | None
) -> KeyTrouble | Literal["address_not_allowed"] | None:
    """Why a secret that proved the key once opens nothing at this instant, for a caller from this address.

    None if it does. A node proves a key as it remembers it, so this is asked of the record, where something is kept.
    """
    if not still_proves(key, secret, now):
        return why_unusable(key, now) or "rotated"
    return None if allows_ip(key, address) else "address_not_allowed"


def is_usable(key: ApiKey, now: int) -> bool:
    """Whether the key is usable at this instant: it is not revoked, expired or disabled."""
    return key.revoked_at is None and (key.expires_at is None or now < key.expires_at) and key.disabled_at is None


def key_state(key: ApiKey, now: int) -> KeyState:
    """What an operator calls the state of a key at this instant."""
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is not None and now >= key.expires_at:
        return "expired"
    return "active" if key.disabled_at is None else "disabled"


def issued_at(key: ApiKey, now: int) -> int:
    """The `iat`, in epoch seconds, of an access token of the key that is minted now.

    What was issued until a moment ago may be dead from before the next whole second. A new token must not be.
    """
    second = now // 1_000
    if key.valid_from is None and key.tokens_from is None:
        return second
    return max(second, (key.valid_from or 0) // 1_000, (key.tokens_from or 0) // 1_000)


def opened_at(key: ApiKey, now: int) -> int:
    """When a grant of the key that is opened now was opened: not before the grants of the key are valid again."""
    return now if key.valid_from is None else max(now, key.valid_from)


def may_have_tokens(key: ApiKey, now: int) -> bool:
    """Whether there may be access tokens of the key that were not ended before.

    What is issued in the second of an end is good from the next one on. A disabled key gets no tokens, but the change
    that disables it may be committed late: for a minute, they can be ended again.
    """
    ended = max(key.valid_from or 0, key.tokens_from or 0)
    return ended <= now and (key.disabled_at is None or ended <= key.disabled_at + MINUTE)


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
