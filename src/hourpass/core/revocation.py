"""Revocations: entries that refuse a token which is otherwise good, on four levels.

An entry lives no longer than the longest access token, so the list never holds more than one lifetime of revocations. A
token is revoked if any level says so, and a later entry never weakens an earlier one.
"""

from collections.abc import Iterable
from typing import Literal, NamedTuple, TypeVar, assert_never

from hourpass.core.claims import UnverifiedClaims
from hourpass.core.policy import SECOND

Kind = Literal["grant", "key", "token", "issued_before"]

TOKENS_PER_GRANT = 16
"""How many access tokens of one grant may be revoked one by one. For one more, the whole grant is revoked instead.

Each entry is sent to every verifier. A client that revokes so many of its tokens within their lifetime needs none.
"""

_Value = TypeVar("_Value", str, int, tuple[str, int])


class Revocation(NamedTuple):
    """One entry of the list, with its number `n`.

    `value` is a grant id, a key id, a `jti`, or an epoch second, by `kind`. `until` is epoch milliseconds. An entry of
    a key with `issued_before`, in epoch seconds, refuses only the key's tokens from before that second.
    """

    n: int
    kind: Kind
    value: str
    until: int
    issued_before: int | None = None


ALL = 2**62
"""The epoch second before which every token was issued: an entry of a key that refuses all of them."""


class Revocations:
    """The entries in force. Judging a token takes one look-up on each level."""

    def __init__(self, entries: Iterable[Revocation] = ()) -> None:
        self._grants: dict[str, int] = {}
        self._of_keys: dict[tuple[str, int], int] = {}
        self._keys: dict[str, int] = {}
        self._tokens: dict[str, int] = {}
        self._issued_before: dict[int, int] = {}
        self._cutoff = 0
        for entry in entries:
            self.add(entry)

    def add(self, entry: Revocation) -> None:
        """Take in an entry. Adding one twice, or out of order, changes nothing."""
        match entry.kind:
            case "grant":
                _raise_to(self._grants, entry.value, entry.until)
            case "key":
                before = ALL if entry.issued_before is None else entry.issued_before
                _raise_to(self._of_keys, (entry.value, before), entry.until)
                self._keys[entry.value] = max(before, self._keys.get(entry.value, 0))
            case "token":
                _raise_to(self._tokens, entry.value, entry.until)
            case "issued_before":
                _raise_to(self._issued_before, int(entry.value), entry.until)
                self._cutoff = max(self._issued_before)
            case _:  # pragma: no cover - the type checker proves it unreachable
                assert_never(entry.kind)

    def refuses(self, claims: UnverifiedClaims) -> bool:
        """Whether any level revokes the token with these claims."""
        return (
            claims.sid in self._grants
            or claims.iat < self._keys.get(claims.client_id, 0)
            or claims.jti in self._tokens
            or claims.iat < self._cutoff
        )

    def prune(self, now: int) -> None:
        """Forget the entries whose tokens have all expired. `now` is epoch milliseconds."""
        for level in (self._grants, self._tokens):
            _drop_until(level, now)
        for entry in [entry for entry, until in self._of_keys.items() if until <= now]:
            del self._of_keys[entry]
        keys: dict[str, int] = {}
        for key_id, before in self._of_keys:
            keys[key_id] = max(before, keys.get(key_id, 0))
        self._keys = keys  # at once: another thread may judge a token meanwhile
        for second in [second for second, until in self._issued_before.items() if until <= now]:
            del self._issued_before[second]
        self._cutoff = max(self._issued_before, default=0)

    def __len__(self) -> int:
        """How many entries are in force."""
        return len(self._grants) + len(self._of_keys) + len(self._tokens) + len(self._issued_before)


class RevokedTokens:
    """Which single tokens of each grant were revoked and have not expired yet."""

    def __init__(self) -> None:
        self._grants: dict[str, dict[str, int]] = {}

    def may_end_alone(self, grant_id: str, jti: str, until: int, now: int) -> bool:
        """Note that a token of a grant is revoked by itself. False if the grant has too many of them and must end.

        Asking again for the same token changes nothing.
        """
        tokens = self._grants.setdefault(grant_id, {})
        if jti not in tokens and len(tokens) >= TOKENS_PER_GRANT:
            _drop_until(tokens, now)
        if jti not in tokens and len(tokens) >= TOKENS_PER_GRANT:
            return False
        tokens[jti] = until
        return True

    def prune(self, now: int) -> None:
        """Forget tokens that have expired."""
        for tokens in self._grants.values():
            _drop_until(tokens, now)
        self._grants = {grant_id: tokens for grant_id, tokens in self._grants.items() if tokens}


def token_until(exp: int, leeway: int) -> int:
    """The instant at which a revocation of a token may be forgotten. `exp` is epoch seconds, the rest milliseconds."""
    return exp * SECOND + leeway


def _drop_until(level: dict[str, int], now: int) -> None:
    for value in [value for value, until in level.items() if until <= now]:
        del level[value]


def _raise_to(level: dict[_Value, int], value: _Value, until: int) -> None:
    level[value] = max(level.get(value, 0), until)
