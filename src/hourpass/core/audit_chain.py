"""The chain of MACs over the audit trail: what a MAC covers, and how the chain goes on.

Each row's MAC covers the row and the MAC of the row before it. The `Ends` of the chain are kept beside the table, under
a MAC of their own, and show if rows are missing at the start or at the end. `audit_verification` verifies the chain.
"""

import hmac
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from hourpass.core.errors import HourpassError
from hourpass.core.secret_ring import SecretRing, ServerSecret

NOTHING = bytes(32)
"""What stands in the place of the MAC before the first row."""

ColumnValue = str | int | bytes | None

_TAGS = {str: b"s", int: b"i", bytes: b"b"}


class Line(NamedTuple):
    """A row as the database has it: all of its columns but `mac`, by their names, and its MAC if it is chained.

    The column `chained_at` says when that was, in epoch milliseconds.
    """

    values: Mapping[str, ColumnValue]
    mac: bytes | None

    @property
    def n(self) -> int:
        """The row's number."""
        return self._integer("n")

    @property
    def at(self) -> int:
        """The instant that the row tells, in epoch milliseconds."""
        return self._integer("at")

    @property
    def late(self) -> int:
        """How many milliseconds after its instant it was chained. Negative if that instant was still to come."""
        return self._integer("chained_at") - self.at

    def _integer(self, name: str) -> int:
        value = self.values.get(name)
        return value if isinstance(value, int) else 0


class Ends(NamedTuple):
    """Where the chain begins and ends, kept outside of the table. `mac` covers the rest, under the secret of `kid`.

    `began_n` was the newest row when chaining began, at `began_at` (epoch milliseconds). The anchor is the last row
    that was pruned, or the number before the first row. The head is the last row that is chained.
    """

    began_at: int
    began_n: int
    anchor_n: int
    anchor_mac: bytes
    head_n: int
    head_mac: bytes
    kid: str
    mac: bytes

    def sealed(self, secret: ServerSecret) -> "Ends":
        """The same ends, under a secret."""
        named = self._replace(kid=secret.kid)
        return named._replace(mac=_mac_of_ends(secret, named))

    def is_genuine(self, ring: SecretRing) -> bool:
        """Whether they were written with one of our secrets."""
        secret = ring.of_kid(self.kid)
        return secret is not None and hmac.compare_digest(self.mac, _mac_of_ends(secret, self))


class ChainBroken(HourpassError):
    """The chain cannot go on: its ends or its newest rows are not what this program, or another node, wrote."""


def begun(last: int, first: int, now: int, secret: ServerSecret) -> Ends:
    """The ends of a new chain over a table that has the rows from `first` to `last`. None of them is chained yet."""
    return Ends(now, last, first - 1, NOTHING, first - 1, NOTHING, "", b"").sealed(secret)


def secret_for(ends: Ends, ring: SecretRing, now: int) -> ServerSecret:
    """The secret that chains now: the one in use, but never one from before that of the ends.

    Raises:
        ChainBroken: if the ends are not genuine.
    """
    if not ends.is_genuine(ring):
        raise ChainBroken("the record of the chain's ends was changed, or its secret is missing")
    in_use = ring.used_at(now)
    return next(secret for secret in ring.secrets if secret is in_use or secret.kid == ends.kid)


def extend(ends: Ends, lines: Sequence[Line], now: int, secret: ServerSecret) -> tuple[Ends, list[tuple[int, bytes]]]:
    """The ends after the next rows, and the MACs of those that had none, by their numbers. They are chained `now`.

    Raises:
        ChainBroken: if one of the rows has another MAC already: the ends are older than it, or it is forged.
    """
    macs: list[tuple[int, bytes]] = []
    before = ends.head_mac
    for line in lines:
        values = line.values if line.mac else {**line.values, "chained_at": now}
        before = link(secret, before, values)
        if line.mac is None:
            macs.append((line.n, before))
        elif line.mac != before:
            raise ChainBroken(f"line {line.n} has a MAC, but the chain ends at line {ends.head_n}")
    head_n = lines[-1].n if lines else ends.head_n
    return ends._replace(head_n=head_n, head_mac=before).sealed(secret), macs


def prunable(ends: Ends, lines: Iterable[Line], before: int, ring: SecretRing) -> list[Line]:
    """Those of the oldest rows that may be deleted: chained, in order, and each made before `before` (epoch ms).

    `lines` are the first rows of the table. Each is verified before it goes, because the evidence of a change goes with
    it. A row that was chained later than its instant says is as young as its MAC, because until then anybody could have
    given it an earlier instant. Only rows from before the chain are as old as they say.

    Raises:
        ChainBroken: if a row is not what was written there.
    """
    gone: list[Line] = []
    mac = ends.anchor_mac
    secrets = ring.secrets[::-1]  # from the oldest on: the chain never goes back to an earlier one
    for line in lines:
        if line.n <= ends.anchor_n:
            raise ChainBroken(f"line {line.n} was inserted: lines up to {ends.anchor_n} were pruned")
        if line.n > ends.head_n:
            break
        made = next(
            (position for position, each in enumerate(secrets) if link(each, mac, line.values) == line.mac), None
        )
        if line.mac is None or made is None:
            raise ChainBroken(f"line {line.n} was changed, or lines before it are missing")
        secrets, mac = secrets[made:], line.mac
        if (line.at if line.n <= ends.began_n else max(line.at, line.at + line.late)) >= before:
            break
        gone.append(line)
    return gone


def pruned(ends: Ends, last: Line, secret: ServerSecret) -> Ends:
    """The ends after all rows up to this one were deleted."""
    return ends._replace(anchor_n=last.n, anchor_mac=last.mac or NOTHING).sealed(secret)


def link(secret: ServerSecret, before: bytes, values: Mapping[str, ColumnValue]) -> bytes:
    """The MAC of a row after another one's MAC."""
    return hmac.digest(secret.secret, b"row" + before + canonical(values), "sha256")


def canonical(values: Mapping[str, ColumnValue]) -> bytes:
    """The bytes of a row. No two rows have the same ones.

    A column without a value is left out. So a column that a later version adds changes no MAC of the rows before it.
    """
    parts: list[bytes] = []
    for name in sorted(values):
        value = values[name]
        if value is None:
            continue
        data = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
        named = name.encode()
        parts += (b"%d:" % len(named), named, _TAGS.get(type(value), b"?"), b"%d:" % len(data), data)
    return b"".join(parts)


def _mac_of_ends(secret: ServerSecret, ends: Ends) -> bytes:
    return hmac.digest(secret.secret, b"ends" + canonical(ends._replace(mac=b"")._asdict()), "sha256")
