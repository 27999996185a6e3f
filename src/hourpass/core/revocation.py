"""Revocations: what refuses a token that is otherwise good, on four levels.

An entry lives no longer than the longest access token, so the whole list is bounded by one lifetime of revocations. The
levels are combined by maximum: a token is revoked if any level says so, and a later entry never weakens an earlier one.
"""

from collections.abc import Iterable
from typing import Literal, NamedTuple, TypeVar, assert_never

from hourpass.core.claims import Claims, UnverifiedClaims
from hourpass.core.policy import SECOND

Kind = Literal["grant", "key", "token", "issued_before"]

_Value = TypeVar("_Value", str, int)


class Revocation(NamedTuple):
    """One numbered entry.

    `value` is a grant id, a key id, a `jti`, or an epoch second; `until` is epoch milliseconds.
    """

    n: int
    kind: Kind
    value: str
    until: int


class Revocations:
    """The entries in force, for one look-up per level and token."""

    def __init__(self, entries: Iterable[Revocation] = ()) -> None:
        self._grants: dict[str, int] = {}
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
                _raise_to(self._keys, entry.value, entry.until)
            case "token":
                _raise_to(self._tokens, entry.value, entry.until)
            case "issued_before":
                _raise_to(self._issued_before, int(entry.value), entry.until)
                self._cutoff = max(self._issued_before)
            case _:  # pragma: no cover - the type checker proves it unreachable
                assert_never(entry.kind)

    def refuses(self, claims: Claims | UnverifiedClaims) -> bool:
        """Whether any level revokes the token that makes these claims."""
        return (
            claims.sid in self._grants
            or claims.client_id in self._keys
            or claims.jti in self._tokens
            or claims.iat < self._cutoff
        )

    def prune(self, now: int) -> None:
        """Forget what can refuse nothing any more: every token it was about has expired."""
        for level in (self._grants, self._keys, self._tokens):
            for value in [value for value, until in level.items() if until <= now]:
                del level[value]
        for second in [second for second, until in self._issued_before.items() if until <= now]:
            del self._issued_before[second]
        self._cutoff = max(self._issued_before, default=0)

    def __len__(self) -> int:
        """How many entries are in force."""
        return len(self._grants) + len(self._keys) + len(self._tokens) + len(self._issued_before)


def token_until(exp: int, leeway: int) -> int:
    """Until when the revocation of a single token matters; `exp` is epoch seconds, the rest milliseconds."""
    return exp * SECOND + leeway


def _raise_to(level: dict[_Value, int], value: _Value, until: int) -> None:
    level[value] = max(level.get(value, 0), until)
