"""Verifies the audit trail against its chain: reads it from the first row to the last, and says what is wrong where."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

from hourpass.core.audit_chain import NOTHING, Ends, Line, link
from hourpass.core.policy import SECOND
from hourpass.core.secret_ring import SecretRing

LATE = 5 * SECOND
"""A row that is not chained after so many milliseconds is trouble."""

MOST_FINDINGS = 1_000
"""How many findings are kept. A finding may be about many rows."""

TrailFindingKind = Literal["changed", "missing", "last_missing", "inserted", "unchained", "late", "ends"]


class TrailFinding(NamedTuple):
    """Something that is wrong: with the rows from `first` to `last`, or with the `ends` that are kept beside the table.

    Several rows that follow each other and were `changed` may be the same rows in another order.
    """

    kind: TrailFindingKind
    first: int
    last: int
    why: str = ""

    def __str__(self) -> str:
        """In plain English, such as `line 17 was changed`."""
        several = self.last > self.first
        lines = f"lines {self.first} to {self.last}" if several else f"line {self.first}"
        are, were, have = ("are", "were", "have") if several else ("is", "was", "has")
        said = {
            "changed": f"{lines} {were} changed{' or put into another order' * several}",
            "missing": f"{lines} {are} missing",
            "last_missing": f"the last {self.last - self.first + 1} lines are missing: {lines}"
            if several
            else f"the last line is missing: {lines}",
            "inserted": f"{lines} {were} inserted",
            "unchained": f"{lines} {have} not been chained",
            "late": f"{lines} {were} chained late, or {'their instants are' if several else 'its instant is'} wrong",
        }
        separator = " " if self.kind == "unchained" else ": "
        return separator.join(filter(None, (said.get(self.kind), self.why)))


class Verified(NamedTuple):
    """What a verification found in `rows` rows. `first` and `last` are the numbers and instants (epoch milliseconds) of
    the first and the last one, and `unchained` is how many at the end are not chained yet. `ends` are as they were
    found, None if they are missing.

    Nothing is wrong with the rows in `late`. But until they were chained, nobody would have seen a change.
    """

    rows: int
    first: tuple[int, int] | None
    last: tuple[int, int] | None
    unchained: int
    ends: Ends | None
    findings: list[TrailFinding]
    late: list[TrailFinding]


class TrailVerification:
    """Goes through a trail. Give it the rows in the order of their numbers with `take`, and ask it for the `result`.

    `given` are the ends as the database has them. `ring` has all secrets of the chain.
    """

    def __init__(self, given: Ends | None, ring: SecretRing) -> None:
        self._found: list[TrailFinding] = []
        self._late: list[TrailFinding] = []
        self._given, self._ring = given, ring
        self._ends = self._trusted(given, ring)
        self._secrets = ring.secrets[::-1]  # from the oldest on: the chain never goes back to an earlier one
        self._rows = 0
        self._first: tuple[int, int] | None = None
        self._last: tuple[int, int] | None = None
        # The row before: its number, its MAC, and what its MAC should be. Then the last row that was in its place.
        self._n = self._ends.anchor_n if self._ends else None
        self._mac = self._right_mac = self._ends.anchor_mac if self._ends else NOTHING
        self._good_n, self._good_mac = self._n, self._mac
        self._run: _Run | None = None
        self._unchained: list[tuple[int, int]] = []

    def _trusted(self, ends: Ends | None, ring: SecretRing) -> Ends | None:
        if ends is None:
            why = "the record of the chain's ends is missing"
            self._find("ends", why=why if ring.secrets else f"{why}, and so is its secret: the trail is not chained")
        elif ring.of_kid(ends.kid) is None:
            self._find("ends", why="the secret that made the chain is missing")
        elif not ends.is_genuine(ring):
            self._find("ends", why="the record of the chain's ends was changed")
        else:
            return ends
        return None

    def take(self, lines: Iterable[Line]) -> None:
        """Go on with the next rows."""
        ends = self._ends
        for line in lines:
            self._rows += 1
            self._last = (line.n, line.at)
            self._first = self._first or self._last
            if ends and line.n <= ends.anchor_n:
                self._find("inserted", line.n, line.n, f"lines up to {ends.anchor_n} were pruned")
                continue
            if line.mac is None and (ends is None or line.n > ends.head_n):
                self._pass(line.n, self._last)
            else:
                self._judge(line, line.mac or b"")
            self._n = line.n

    def _pass(self, n: int, number_and_instant: tuple[int, int]) -> None:
        self._end_run()
        self._gap(n)
        self._unchained = [*self._unchained[:1], number_and_instant]

    def _judge(self, line: Line, mac: bytes) -> None:
        right = self._right(line)
        if self._n is None or mac == right or self._follows(line, mac, self._right_mac):
            # If it follows what the MAC before it should be, then only that MAC was changed.
            self._end_run()
            self._gap(line.n)
            self._good_n, self._good_mac = line.n, mac
            self._note_late(line)
        elif self._good_n is not None and self._follows(_renumbered(line, self._good_n + 1), mac, self._good_mac):
            self._run = (self._run or _Run(line.n)).with_one(line.n, moved=True)
            self._good_n, self._good_mac = self._good_n + 1, mac
        elif line.n > self._n + 1:
            self._end_run()
            self._find("missing", self._n + 1, line.n - 1)
            self._good_n, self._good_mac = line.n, mac  # it may have been changed, too: that cannot be known
        else:
            self._run = (self._run or _Run(line.n)).with_one(line.n, moved=False)
        self._mac, self._right_mac = mac, right

    def _right(self, line: Line) -> bytes:
        """What a row's MAC should be after the one before it. Goes over to a later secret if the row is under that."""
        for position, secret in enumerate(self._secrets):
            mac = link(secret, self._mac, line.values)
            if mac == line.mac:
                self._secrets = self._secrets[position:]
                return mac
        return link(self._secrets[0], self._mac, line.values) if self._secrets else b""

    def _follows(self, line: Line, mac: bytes, before: bytes) -> bool:
        return any(link(secret, before, line.values) == mac for secret in self._secrets)

    def _gap(self, n: int) -> None:
        """Look whether numbers are missing before a row that is in order."""
        if self._n is not None and n > self._n + 1 and (self._ends is None or n - 1 > self._ends.began_n):
            self._find("missing", self._n + 1, n - 1, "removed before it was chained")

    def _note_late(self, line: Line) -> None:
        if abs(line.late) <= LATE or (self._ends and line.n <= self._ends.began_n):
            return
        if self._late and self._late[-1].last == line.n - 1:
            self._late[-1] = self._late[-1]._replace(last=line.n)
        else:
            self._find("late", line.n, line.n, f"by {abs(line.late) // SECOND} s")

    def _end_run(self, *, at_the_end: bool = False) -> None:
        run, self._run = self._run, None
        if run is None:
            return
        if self._ends and run.first > self._ends.head_n:
            self._find("inserted", run.first, run.last, f"the chain ends at line {self._ends.head_n}")
        elif at_the_end and run.strange and run.moved and run.in_order:
            self._find(
                "inserted", run.first, run.first + run.strange - 1, "the lines after that have other numbers now"
            )
        else:
            self._find("changed", run.first, run.last)

    def result(self, last_number: int, now: int) -> Verified:
        """What was found, at the end of the table. `last_number` is the newest one that the database gave to a row."""
        self._end_run(at_the_end=True)
        ends, last = self._ends, self._n
        if ends:
            last_number = max(last_number, ends.head_n)
        if last is not None and last < last_number:
            self._find("last_missing", last + 1, last_number)
        if ends and self._good_n is not None:
            if self._good_n > ends.head_n:
                self._find("ends", why=f"the record of the chain's ends is an older one: it ends at line {ends.head_n}")
            elif self._good_n == ends.head_n and self._good_mac != ends.head_mac:
                self._find("changed", ends.head_n, ends.head_n)
        self._judge_late(now)
        unchained = self._unchained[-1][0] - self._unchained[0][0] + 1 if self._unchained else 0
        return Verified(self._rows, self._first, self._last, unchained, self._given, self._found, self._late)

    def _judge_late(self, now: int) -> None:
        ends = self._ends
        if self._unchained:
            (first, at), (last, _) = self._unchained[0], self._unchained[-1]
            if now - at > LATE and (ends is None or first > ends.began_n):
                self._find("unchained", first, last, f"for {(now - at) // SECOND} s")
        if ends is None:
            return
        in_use, its_own = self._ring.used_at(now), self._ring.of_kid(ends.kid)
        if its_own in self._ring.earlier_than(in_use) and now - self._ring.used_from(in_use) > LATE:
            self._find("ends", why=f"the chain still ends under the secret {ends.kid}: {in_use.kid} is in use")

    def _find(self, kind: TrailFindingKind, first: int = 0, last: int = 0, why: str = "") -> None:
        found = self._late if kind == "late" else self._found
        if len(found) < MOST_FINDINGS:
            found.append(TrailFinding(kind, first, last, why))


class _Run(NamedTuple):
    """Rows that follow each other and are not what was written there.

    `strange` ones fit nowhere, and `moved` ones had another number. `in_order` says that the moved ones come last.
    """

    first: int
    last: int = 0
    strange: int = 0
    moved: int = 0
    in_order: bool = True

    def with_one(self, n: int, *, moved: bool) -> "_Run":
        in_order = self.in_order and (moved or not self.moved)
        return _Run(self.first, n, self.strange + (not moved), self.moved + moved, in_order)


def _renumbered(line: Line, n: int) -> Line:
    return Line({**line.values, "n": n}, line.mac)
