"""Slow and salted hashes that come with an import: which are known, what they may cost, and whether a text matches one.

The libraries are an extra (`hourpass[import]`). Checking one takes a tenth of a second or more of a core, and none of
the interpreter's lock. The caller bounds how many are checked at once.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from typing import Literal

from hourpass.core.errors import ExtraMissing
from hourpass.core.key_hash import KeyHash

SlowAlgorithm = Literal["bcrypt", "argon2", "django"]

BCRYPT_BYTES = 72
"""bcrypt reads no more of a text than this."""

MOST_ROUNDS = 15
MOST_ITERATIONS = 10_000_000
MOST_MEMORY = 1 << 28
MOST_WRITTEN = 1 << 30
"""What a check may cost at most: rounds of bcrypt, iterations of PBKDF2, and for Argon2 and scrypt the bytes that they
have at once and that they write in all. Each of them is some five seconds of a core."""

LANE = 1 << 24
"""Bytes that a lane of Argon2 writes in each pass at least, as far as these bounds go: a lane is a thread."""

LONGEST_HASH = 512
"""Characters of a hash, with its parameters and its salt."""

_NEEDS_EXTRA = "bcrypt and Argon2 need an extra"

_BCRYPT = re.compile(r"\$2[abxy]\$(\d\d)\$[./A-Za-z0-9]{53}", re.ASCII)
_ARGON2 = re.compile(
    r"\$argon2(?:id|i|d)\$v=\d+\$m=(\d{1,9}),t=(\d{1,6}),p=(\d{1,3})\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+", re.ASCII
)
_PBKDF2 = re.compile(r"pbkdf2_(sha1|sha256)\$(\d{1,9})\$([^$]*)\$([A-Za-z0-9+/]+={0,2})", re.ASCII)
_SCRYPT = re.compile(r"scrypt\$([^$]*)\$(\d{1,7})\$(\d{1,3})\$(\d{1,3})\$([A-Za-z0-9+/]+={0,2})", re.ASCII)
_UNSALTED = re.compile(r"(sha256|sha512)\$\$([0-9a-f]+)", re.ASCII)


def refusal_of(algorithm: SlowAlgorithm, hashed: str) -> str | None:
    """Why a hash cannot be imported; None if it can."""
    scheme, _, costs_too_much = _read(algorithm, hashed)
    if scheme is None:
        return f"not a hash of {algorithm} that is known here"
    if costs_too_much:
        return "checking this hash would cost too much"
    return None


def fast_hash_of(algorithm: SlowAlgorithm, hashed: str) -> tuple[KeyHash, bytes] | None:
    """The hash that a salted one without a salt is: Django's API-key packages write SHA-512 as `sha512$$…`."""
    match = _UNSALTED.fullmatch(hashed) if algorithm == "django" else None
    if match is None or len(match[2]) != (64 if match[1] == "sha256" else 128):
        return None
    return KeyHash("sha256" if match[1] == "sha256" else "sha512"), bytes.fromhex(match[2])


def matches(algorithm: SlowAlgorithm, hashed: str, text: str) -> bool:
    """Whether a text has this hash. It takes long.

    Raises:
        ExtraMissing: if the library for it is not installed.
    """
    scheme, plain, _ = _read(algorithm, hashed)
    check = _CHECKS.get(scheme or "")
    return check is not None and check(plain, text.encode("ascii"))


def require_libraries() -> None:
    """Raises ExtraMissing if bcrypt or Argon2 is not installed."""
    try:
        import argon2  # noqa: F401, PLC0415 - an extra
        import bcrypt  # noqa: F401, PLC0415 - an extra
    except ImportError:
        raise ExtraMissing.of("import", _NEEDS_EXTRA) from None


def _read(algorithm: SlowAlgorithm, hashed: str) -> tuple[str | None, str, bool]:
    """The scheme, the hash in the words of its library, and whether a check costs too much."""
    if len(hashed) > LONGEST_HASH:
        return None, "", False
    if algorithm == "django":
        name, _, rest = hashed.partition("$")
        if name == "argon2" and rest.startswith("argon2"):
            return _read("argon2", f"${rest}")
        if name in {"bcrypt", "bcrypt_sha256"}:
            _, plain, costs_too_much = _read("bcrypt", rest)
            return (name if plain else None), plain, costs_too_much
        if match := _PBKDF2.fullmatch(hashed):
            return "pbkdf2", hashed, int(match[2]) > MOST_ITERATIONS
        if match := _SCRYPT.fullmatch(hashed):
            n, r, p = (int(match[i]) for i in (2, 3, 4))
            return "scrypt", hashed, _fills_too_much(128 * n * r, 128 * n * r * p)
    elif algorithm == "bcrypt":
        if match := _BCRYPT.fullmatch(hashed):
            return "bcrypt", hashed, int(match[1]) > MOST_ROUNDS
    elif match := _ARGON2.fullmatch(hashed):
        memory, passes, lanes = int(match[1]) * 1024, int(match[2]), int(match[3])
        return "argon2", hashed, _fills_too_much(memory, passes * max(memory, lanes * LANE))
    return None, "", False


def _fills_too_much(memory: int, written: int) -> bool:
    return memory > MOST_MEMORY or written > MOST_WRITTEN


def _bcrypt(plain: str, raw: bytes) -> bool:
    try:
        import bcrypt  # noqa: PLC0415 - an extra
    except ImportError:
        raise ExtraMissing.of("import", _NEEDS_EXTRA) from None
    try:
        return bcrypt.checkpw(raw[:BCRYPT_BYTES], plain.replace("$2x$", "$2a$", 1).encode())
    except ValueError:
        return False


def _bcrypt_sha256(plain: str, raw: bytes) -> bool:
    return _bcrypt(plain, hashlib.sha256(raw).hexdigest().encode())


def _argon2(plain: str, raw: bytes) -> bool:
    try:
        import argon2  # noqa: PLC0415 - an extra
    except ImportError:
        raise ExtraMissing.of("import", _NEEDS_EXTRA) from None
    try:
        return argon2.PasswordHasher().verify(plain, raw)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False


def _pbkdf2(plain: str, raw: bytes) -> bool:
    name, iterations, added, encoded = plain.split("$")
    made = hashlib.pbkdf2_hmac(name.removeprefix("pbkdf2_"), raw, added.encode(), int(iterations))
    return _same(made, encoded)


def _scrypt(plain: str, raw: bytes) -> bool:
    _, added, n, r, p, encoded = plain.split("$")
    try:
        made = hashlib.scrypt(raw, salt=added.encode(), n=int(n), r=int(r), p=int(p), maxmem=2 * MOST_MEMORY, dklen=64)
    except ValueError:
        return False
    return _same(made, encoded)


def _same(made: bytes, encoded: str) -> bool:
    return hmac.compare_digest(base64.b64encode(made), encoded.encode())


_CHECKS: dict[str, Callable[[str, bytes], bool]] = {
    "bcrypt": _bcrypt,
    "bcrypt_sha256": _bcrypt_sha256,
    "argon2": _argon2,
    "pbkdf2": _pbkdf2,
    "scrypt": _scrypt,
}


def first_match(hashes: Sequence[tuple[SlowAlgorithm, str]], text: str) -> int | None:
    """Which of a few hashes the text has. It takes as long as all of them."""
    return next((at for at, (algorithm, hashed) in enumerate(hashes) if matches(algorithm, hashed, text)), None)
