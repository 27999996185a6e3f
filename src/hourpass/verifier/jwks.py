"""The issuer's JWK Set as a resource server knows it: fresh, stale, or too old to use (RFC 7517 §5).

A state machine without I/O: `upkeep.py` fetches. This module owns when to fetch, which answers are accepted, and what
to do about an unknown key. It verifies no token.
"""

import re
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, Literal

import msgspec

from hourpass.core.policy import DAY, HOUR, MINUTE, SECOND, backoff
from hourpass.jose import Jwk, VerificationKey, decode_segment, unique_members, verification_key
from hourpass.verifier.connection import Answer, Question
from hourpass.verifier.upkeep import QUARTER, while_callers_wait

KeySetState = Literal["empty", "fresh", "stale", "refused"]

MAX_BYTES = 256 * 1024
MAX_KEYS = 64

SHORTEST_AGE, USUAL_AGE, LONGEST_AGE = MINUTE, 5 * MINUTE, HOUR
"""The set's max-age is kept within these, so no header makes us ask all the time, or only once a day."""

REFRESH_AHEAD = 0.8
"""Of the max-age. A set that is fetched before it is needed makes nobody wait."""

MAX_STALE = DAY
"""How long an outage of the issuer may last before valid tokens are refused with a 503."""

FETCH_TIMEOUT = 5 * SECOND
FIRST_BACKOFF, LONGEST_BACKOFF = SECOND, MINUTE

LONGEST_WAIT = 2 * SECOND
"""How long a token with an unknown key waits, from the start of the attempt. A later token waits less."""

COOLDOWN = 30 * SECOND
"""The least time between the starts of two attempts for unknown keys, even if the issuer is slow or down."""

UNKNOWN_REMEMBERED, UNKNOWN_FOR = 256, MINUTE

_KID = r"[A-Za-z0-9._-]{1,64}"
_HEADER = re.compile(rf'{{"typ":"at\+jwt","alg":"(?:ES256|Ed25519|RS256)","kid":"{_KID}"}}'.encode("ascii"))
_MAX_AGE = re.compile(r"(?:^|[\s,])max-age=([0-9]{1,9})(?:$|[\s,])", re.IGNORECASE)

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class JwkSet:
    """The keys by the header segment that each accepts, and their state.

    Instants are the timer's milliseconds. `random` returns numbers from 0 to 1. `keys` is replaced, never changed, and
    any thread may call `ask`.
    """

    def __init__(
        self, url: str, random: Callable[[], float], *, max_stale: int = MAX_STALE, timeout: int = FETCH_TIMEOUT
    ) -> None:
        self._url = url
        self._timeout = timeout
        self._random = random
        self._lock = Lock()
        self._max_stale = max_stale
        self._etag = ""
        self._fetched_at: int | None = None
        self._fresh_until = 0
        self._refresh_at = 0
        self._since: int | None = None
        self._asked_at = -COOLDOWN
        self._unknown: dict[bytes, int] = {}
        self._wanted: set[bytes] = set()
        self.keys: Mapping[bytes, VerificationKey] = {}
        self.due_at = 0
        self.failures = 0
        self.problem = ""

    def state(self, now: int) -> KeySetState:
        """The state at the instant `now`. Exactly at a boundary it is the later one."""
        if self._fetched_at is None:
            return "empty"
        if now < self._fresh_until:
            return "fresh"
        return "stale" if now < self.good_until else "refused"

    @property
    def good_until(self) -> int:
        """The first instant at which the keys are no longer used."""
        return -1 if self._fetched_at is None else self._fetched_at + self._max_stale

    def age(self, now: int) -> int | None:
        """Milliseconds since the set was last known to be current."""
        return None if self._fetched_at is None else now - self._fetched_at

    def ask(self, header: bytes, now: int) -> int:
        """How many milliseconds to wait for the key of an unknown header. 0 if waiting is useless.

        That is so if the header cannot belong to a key of ours, or if a fetch has just not found it. All tokens that
        wait share one attempt.
        """
        if not is_plausible(header):
            return 0
        with self._lock:
            if now < self._unknown.get(header, -UNKNOWN_FOR) + UNKNOWN_FOR:
                return 0
            if self._since is None:
                if now < self._asked_at + COOLDOWN:
                    return 0
                self._asked_at = self._since = self.due_at = now
            if len(self._wanted) < UNKNOWN_REMEMBERED:
                self._wanted.add(header)
            return max(0, self._since + LONGEST_WAIT - now)

    def hurry(self, now: int) -> None:
        """Fetch now, because tokens cannot be judged without the set."""
        if now >= self.good_until:
            self.due_at = min(self.due_at, now)

    def begin(self, now: int) -> Question:
        """Start an attempt: what to ask."""
        if self._since is None:
            self._since = now
        headers = {"accept": "application/json, application/jwk-set+json"}
        if self._etag:
            headers["if-none-match"] = self._etag
        return Question(self._url, headers, self._timeout, MAX_BYTES, again=self._url if now >= self.good_until else "")

    def finish(self, answer: Answer, now: int, wall: int) -> None:
        """End an attempt with its answer. A bad answer never replaces a good set."""
        keys = self.keys
        try:
            if not (answer.status == 304 and self._etag):
                keys = _read(answer, keys)
                etag = answer.headers.get("etag", "")
                # An ETag that cannot be sent back would make every later request fail.
                self._etag = etag if etag.isascii() and etag.isprintable() and len(etag) <= 256 else ""
        except ValueError as error:
            with self._lock:
                self._failed(str(error), now)
        else:
            with self._lock:
                self._renewed(keys, _max_age(answer.headers.get("cache-control", "")), now)

    def _failed(self, problem: str, now: int) -> None:
        self._since = None
        self._wanted.clear()
        self.failures += 1
        self.problem = problem
        if now < self.good_until:
            delay = backoff(
                self.failures - 1,
                1 - self._random(),
                first=FIRST_BACKOFF,
                longest=LONGEST_BACKOFF,
                least=FIRST_BACKOFF,
                share=QUARTER,
            )
        else:
            delay = while_callers_wait(self.failures, self._random)
        self.due_at = max(self._refresh_at, now + delay)

    def _renewed(self, keys: Mapping[bytes, VerificationKey], age: int, now: int) -> None:
        self._since = None
        self.keys = keys
        self.failures, self.problem = 0, ""
        self._fetched_at, self._fresh_until = now, now + age
        self._refresh_at = self.due_at = now + round(age * REFRESH_AHEAD)
        for header in self._wanted - keys.keys():
            self._unknown.pop(header, None)
            self._unknown[header] = now
        self._wanted.clear()
        while len(self._unknown) > UNKNOWN_REMEMBERED:
            del self._unknown[next(iter(self._unknown))]


def _read(answer: Answer, known: Mapping[bytes, VerificationKey]) -> dict[bytes, VerificationKey]:
    """The usable keys of a set.

    Keys of kinds that we do not use are skipped (RFC 7517 §5). A key that has not changed stays the same object, so a
    token that was verified with it stays verified.

    Raises:
        ValueError: the answer is not a JWK Set, or has no usable key.
    """
    if answer.status != 200:
        raise ValueError(answer.detail or f"status {answer.status}")
    try:
        unique_members(answer.body)
        members = _decode(answer.body).get("keys")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError("not a JSON object") from error
    if not isinstance(members, list) or len(members) > MAX_KEYS:
        raise ValueError("not a JWK Set, or too long")
    keys: dict[bytes, VerificationKey] = {}
    for member in members:
        jwk = _public(member)
        if jwk is None:
            continue
        try:
            key = verification_key(jwk)
        except (ValueError, TypeError):
            continue
        if any(key.kid == other.kid for other in keys.values()):
            raise ValueError("a key id is repeated")
        old = known.get(key.header)
        keys[key.header] = old if old is not None and old.jwk == jwk else key
    if not keys:
        raise ValueError("no key of a kind that we use")
    return keys


def _public(member: object) -> Jwk | None:
    """The text members of a signing key. None if the key is for something else, or has a private member."""
    if not isinstance(member, dict) or member.get("use", "sig") != "sig" or not {"d", "k"}.isdisjoint(member):
        return None
    jwk = {name: value for name, value in member.items() if isinstance(value, str)}
    if not re.fullmatch(_KID, jwk.get("kid", ""), re.ASCII):
        return None
    # RFC 7518 §3.3: at least 2048 bits. Not so long that one token costs seconds.
    if jwk.get("kty") == "RSA" and not 342 <= len(jwk.get("n", "")) <= 1366:
        return None
    return jwk


def _max_age(cache_control: str) -> int:
    words = {word.strip().lower() for word in cache_control.split(",")}
    match = _MAX_AGE.search(cache_control)
    age = int(match[1]) * SECOND if match else USUAL_AGE
    if words & {"no-cache", "no-store"}:
        age = 0
    return min(max(age, SHORTEST_AGE), LONGEST_AGE)


def is_plausible(header: bytes) -> bool:
    """Whether a header segment could belong to a key of the issuer that we do not know yet."""
    try:
        return len(header) <= 256 and _HEADER.fullmatch(decode_segment(header)) is not None
    except ValueError:
        return False
