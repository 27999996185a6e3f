"""The chain over the audit trail finds every way of tampering, and says which row it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hourpass.core.audit_chain import (
    ChainBroken,
    Line,
    begun,
    canonical,
    extend,
    prunable,
    pruned,
    secret_for,
)
from hourpass.core.audit_verification import LATE, MOST_FINDINGS, TrailVerification
from hourpass.core.policy import MINUTE
from hourpass.core.secret_ring import ServerSecret, ring_of

NOW = 1_800_000_000_000
FIRST, SECOND_ = ServerSecret("a", b"a" * 32, NOW), ServerSecret("b", b"b" * 32, NOW + 50)
RING = ring_of([FIRST])
BOTH = ring_of([FIRST, SECOND_])


def row(n: int, **more) -> dict:
    return {"n": n, "at": NOW + n, "event": "key_created", "key_id": None, "detail": f'{{"name":"k{n}"}}', **more}


class Trail:
    """A trail as a database holds it: the rows, the ends, and the last number that was given."""

    def __init__(self, count: int, secret: ServerSecret = FIRST) -> None:
        self.lines: list[Line] = []
        self.ends = begun(0, 1, NOW, secret)
        self.last = 0
        self.ring = RING
        self.write(count)
        self.chain(secret)

    def write(self, count: int = 1, **more) -> None:
        for _ in range(count):
            self.last += 1
            self.lines.append(Line(row(self.last, **more), None))

    def chain(self, secret: ServerSecret = FIRST, now: int = NOW) -> None:
        todo = [line for line in self.lines if line.n > self.ends.head_n]
        self.ends, macs = extend(self.ends, todo, now, secret)
        known = dict(macs)
        self.lines = [
            Line({**line.values, "chained_at": now}, known[line.n]) if line.n in known else line for line in self.lines
        ]

    def prune(self, count: int) -> None:
        gone = prunable(self.ends, self.lines[:count], NOW + 10**9, self.ring)
        assert len(gone) == count
        if not gone:
            return
        self.ends = pruned(self.ends, gone[-1], FIRST)
        self.lines = self.lines[count:]

    def at(self, n: int) -> int:
        return next(place for place, line in enumerate(self.lines) if line.n == n)

    def change(self, n: int, /, **values) -> None:
        line = self.lines[self.at(n)]
        self.lines[self.at(n)] = Line({**line.values, **values}, line.mac)

    def remove(self, first: int, last: int) -> None:
        self.lines = [line for line in self.lines if not first <= line.n <= last]

    def verified(self, now: int = NOW, page: int = 3):
        verification = TrailVerification(self.ends, self.ring)
        lines = sorted(self.lines, key=lambda line: line.n)
        for start in range(0, len(lines), page):
            verification.take(lines[start : start + page])
        return verification.result(self.last, now)

    def says(self, now: int = NOW) -> list[str]:
        return [str(finding) for finding in self.verified(now).findings]


@pytest.fixture
def trail() -> Trail:
    return Trail(10)


def test_a_trail_that_nobody_touched_is_whole(trail):
    verified = trail.verified()

    assert verified.findings == []
    assert (verified.rows, verified.first, verified.last) == (10, (1, NOW + 1), (10, NOW + 10))
    assert verified.unchained == 0


def test_a_trail_without_rows_is_whole():
    assert Trail(0).verified().findings == []


@pytest.mark.parametrize("n", [1, 5, 10])
@pytest.mark.parametrize(
    "change",
    [{"at": NOW}, {"event": "key_revoked"}, {"key_id": "k"}, {"key_id": ""}, {"detail": None}, {"new_column": 1}],
)
def test_a_changed_row_is_named(trail, n, change):
    trail.change(n, **change)

    assert trail.says() == [f"line {n} was changed"]


def test_a_changed_mac_is_its_rows(trail):
    trail.lines[4] = trail.lines[4]._replace(mac=b"x" * 32)

    assert trail.says() == ["line 5 was changed"]


def test_a_mac_that_was_taken_away_is_its_rows(trail):
    trail.lines[4] = trail.lines[4]._replace(mac=None)

    assert trail.says() == ["line 5 was changed"]


def test_several_changed_rows_are_named_each(trail):
    for n in (3, 7):
        trail.change(n, event="x")

    assert trail.says() == ["line 3 was changed", "line 7 was changed"]


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        (1, 1, "line 1 is missing"),
        (1, 3, "lines 1 to 3 are missing"),
        (4, 4, "line 4 is missing"),
        (4, 6, "lines 4 to 6 are missing"),
        (10, 10, "the last line is missing: line 10"),
        (8, 10, "the last 3 lines are missing: lines 8 to 10"),
        (1, 10, "the last 10 lines are missing: lines 1 to 10"),
    ],
)
def test_removed_rows_are_named(trail, first, last, said):
    trail.remove(first, last)

    assert trail.says() == [said]


def test_the_last_rows_are_missing_even_if_the_last_number_was_set_back(trail):
    trail.remove(9, 10)
    trail.last = 8

    assert trail.says() == ["the last 2 lines are missing: lines 9 to 10"]


@pytest.mark.parametrize(("n", "after"), [(1, 0), (5, 4), (10, 9)])
def test_a_row_put_in_between_is_named(trail, n, after):
    lines = [line if line.n < n else Line({**line.values, "n": line.n + 1}, line.mac) for line in trail.lines]
    trail.lines = [*lines, Line(row(n, event="forged"), b"x" * 32)]

    assert trail.says() == [f"line {n} was inserted: the lines after that have other numbers now"]


def test_a_row_that_is_put_after_the_end_with_a_mac_is_named(trail):
    trail.lines.append(Line(row(11), b"x" * 32))

    assert trail.says() == ["line 11 was inserted: the chain ends at line 10"]


def test_rows_before_the_first_one_are_named(trail):
    trail.prune(2)
    trail.lines += [Line(row(-5), None), Line(row(2), b"x" * 32)]

    assert trail.says() == [
        "line -5 was inserted: lines up to 2 were pruned",
        "line 2 was inserted: lines up to 2 were pruned",
    ]


def test_rows_that_changed_places_are_named(trail):
    four, five = trail.lines[3], trail.lines[4]
    trail.lines[3:5] = [Line({**five.values, "n": 4}, five.mac), Line({**four.values, "n": 5}, four.mac)]

    (said,) = trail.says()
    assert said.startswith("lines 4 to ")
    assert said.endswith(" were changed or put into another order")


def test_other_numbers_are_named(trail):
    trail.lines = [line if line.n < 6 else Line({**line.values, "n": line.n + 3}, line.mac) for line in trail.lines]

    assert trail.says() == ["lines 9 to 13 were changed or put into another order"]


@pytest.mark.parametrize(
    "member", ["began_at", "began_n", "anchor_n", "anchor_mac", "head_n", "head_mac", "kid", "mac"]
)
def test_changed_ends_are_named(trail, member):
    value = getattr(trail.ends, member)
    other = value + 1 if isinstance(value, int) else "zz" if isinstance(value, str) else b"x" * 32
    trail.ends = trail.ends._replace(**{member: other})

    expected = (
        "the secret that made the chain is missing" if member == "kid" else "the record of the chain's ends was changed"
    )
    assert trail.says() == [expected]


def test_missing_ends_are_named_and_the_rows_are_verified_all_the_same(trail):
    trail.ends = None
    trail.change(5, event="x")

    assert trail.says() == ["the record of the chain's ends is missing", "line 5 was changed"]


def test_the_ends_of_an_earlier_moment_are_named(trail):
    earlier = trail.ends
    trail.write(2)
    trail.chain()
    trail.ends = earlier

    assert trail.says() == ["the record of the chain's ends is an older one: it ends at line 10"]


def test_the_ends_from_before_a_pruning_leave_rows_missing(trail):
    earlier = trail.ends
    trail.prune(3)
    trail.ends = earlier

    assert trail.says() == ["lines 1 to 3 are missing"]


def test_a_row_of_another_copy_of_the_same_installation_is_named(trail):
    other = Trail(9)
    other.write(event="elsewhere")
    other.chain()
    trail.lines = other.lines

    assert trail.says() == ["line 10 was changed"]


def test_a_pruned_trail_is_whole_and_tampering_shows_as_before(trail):
    trail.prune(4)

    assert trail.says() == []
    trail.remove(5, 6)
    trail.change(9, event="x")
    assert trail.says() == ["lines 5 to 6 are missing", "line 9 was changed"]


def test_a_trail_that_is_pruned_to_its_last_row_is_whole(trail):
    trail.prune(10)

    assert trail.says() == []
    trail.write()
    trail.chain()
    assert trail.says() == []


def test_only_rows_that_are_chained_and_old_enough_are_prunable(trail):
    trail.write()

    assert [line.n for line in prunable(trail.ends, trail.lines, NOW + 4, RING)] == [1, 2, 3]
    assert [line.n for line in prunable(trail.ends, trail.lines, NOW + 99, RING)] == list(range(1, 11))


@pytest.mark.parametrize("n", [1, 4])
@pytest.mark.parametrize("change", [{"at": 0}, {"chained_at": 0}, {"event": "x"}, {"new_column": 1}])
def test_no_row_is_prunable_if_one_of_them_was_changed(trail, n, change):
    """Not even the rows before it: the anchor goes on only if all is well. Row 4 is the first that would stay."""
    trail.change(n, **change)

    with pytest.raises(ChainBroken, match=f"line {n} was changed"):
        prunable(trail.ends, trail.lines, NOW + 4, RING)


def test_rows_are_prunable_over_a_change_of_secrets_but_not_back(trail):
    trail.ring = BOTH
    trail.write(2)
    trail.chain(SECOND_)
    assert len(prunable(trail.ends, trail.lines, NOW + 99, BOTH)) == 12

    trail.write()
    trail.chain(FIRST)
    with pytest.raises(ChainBroken, match="line 13"):
        prunable(trail.ends, trail.lines, NOW + 99, BOTH)


def test_a_row_that_was_dated_back_before_it_was_chained_is_as_young_as_its_mac(trail):
    trail.prune(10)
    trail.write(at=1_000)
    trail.chain(now=NOW + 50)

    assert prunable(trail.ends, trail.lines, NOW + 50, RING) == []
    assert [line.n for line in prunable(trail.ends, trail.lines, NOW + 51, RING)] == [11]


def test_rows_from_before_the_chain_are_prunable_at_the_instant_that_they_tell():
    trail = Trail(0)
    trail.write(2)
    trail.ends = begun(2, 1, NOW, FIRST)
    trail.chain(now=NOW + MINUTE)

    assert [line.n for line in prunable(trail.ends, trail.lines, NOW + 2, RING)] == [1]


def test_a_row_is_late_after_five_seconds_and_not_before(trail):
    trail.write(2)

    assert trail.says(NOW + 11 + LATE) == []
    assert trail.says(NOW + 11 + LATE + 1) == ["lines 11 to 12 have not been chained for 5 s"]
    assert trail.verified().unchained == 2


def test_a_row_that_was_removed_before_it_was_chained_is_named(trail):
    trail.write(3)
    trail.remove(12, 12)

    assert trail.says() == ["line 12 is missing: removed before it was chained"]
    trail.chain()
    assert trail.says() == ["line 12 is missing: removed before it was chained"]


def test_rows_from_before_the_chain_are_chained_as_they_are_and_are_never_late():
    trail = Trail(0)
    trail.write(4)
    trail.remove(2, 2)
    trail.ends = begun(4, 1, NOW, FIRST)

    assert trail.says(NOW + MINUTE) == []
    trail.chain()
    assert trail.says(NOW + MINUTE) == []
    trail.change(4, event="x")
    assert trail.says() == ["line 4 was changed"]


def test_a_new_secret_goes_on_with_the_chain_and_an_earlier_one_never_after_it(trail):
    trail.ring = BOTH
    trail.write(3)
    trail.chain(SECOND_)

    assert trail.says() == []
    trail.write()
    trail.chain(FIRST)
    assert trail.says() == ["line 14 was changed"]


def test_a_thief_of_an_earlier_secret_cannot_rewrite_what_a_later_one_covers(trail):
    trail.ring = BOTH
    trail.write(2)
    trail.chain(SECOND_)
    forged = Trail(4)
    forged.write(1, event="forged")
    forged.write(5)
    forged.chain()
    trail.lines[:10] = forged.lines

    assert trail.says() == ["line 11 was changed"]


def test_ends_under_an_earlier_secret_are_named_once_the_later_one_is_in_use(trail):
    trail.ring = BOTH
    from_then_on = SECOND_.created_at + MINUTE + LATE

    assert trail.says(from_then_on) == []
    assert trail.says(from_then_on + 1) == ["the chain still ends under the secret a: b is in use"]


def test_the_secret_in_use_chains_and_never_one_from_before_that_of_the_ends(trail):
    late = NOW + 2 * MINUTE

    assert secret_for(trail.ends, BOTH, late) is SECOND_
    assert secret_for(trail.ends, BOTH, NOW) is FIRST
    assert secret_for(trail.ends.sealed(SECOND_), BOTH, NOW) is SECOND_
    with pytest.raises(ChainBroken):
        secret_for(trail.ends._replace(head_n=9), BOTH, late)


def test_a_row_with_a_mac_after_the_end_is_not_chained(trail):
    with pytest.raises(ChainBroken, match="line 11 has a MAC"):
        extend(trail.ends, [Line(row(11), b"x" * 32)], NOW, FIRST)


def test_chaining_again_from_earlier_ends_gives_the_same(trail):
    start = begun(0, 1, NOW, FIRST)

    assert extend(start, trail.lines, NOW + 99, FIRST) == (trail.ends, [])


def test_findings_are_bounded():
    trail = Trail(2 * MOST_FINDINGS + 50)
    for n in range(1, trail.last, 2):
        trail.change(n, event="x")

    assert len(trail.verified(page=500).findings) == MOST_FINDINGS


def test_rows_that_were_chained_long_after_they_were_written_are_noted(trail):
    """Until then somebody could have changed them: after a crash, or with the ends of an earlier moment."""
    trail.write(2)
    trail.chain(now=NOW + 12 + LATE + 1)
    trail.write(at=NOW + LATE + 1)
    trail.chain()
    trail.write(at=NOW + LATE)
    trail.chain()

    verified = trail.verified()
    assert verified.findings == []
    assert [str(finding) for finding in verified.late] == [
        "lines 11 to 13 were chained late, or their instants are wrong: by 5 s"
    ]


def test_rows_that_were_put_back_to_before_the_chain_with_earlier_ends_are_noted(trail):
    earlier = trail.ends
    trail.write(3)
    trail.chain()
    trail.ends = earlier
    trail.lines[11] = Line(row(12, event="forged"), None)
    for place in (10, 12):
        trail.lines[place] = trail.lines[place]._replace(mac=None)
    trail.chain(now=NOW + MINUTE)

    assert [(finding.first, finding.last) for finding in trail.verified().late] == [(11, 13)]


NAMES = st.text(st.characters(codec="ascii", categories=["Ll"]), min_size=1, max_size=3)
VALUES = st.none() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=6) | st.binary(max_size=6)
ROWS = st.dictionaries(NAMES, VALUES, max_size=4)


@given(ROWS, ROWS)
def test_two_rows_have_the_same_bytes_only_if_their_values_are_the_same(one, other):
    def known(values):
        return {name: (type(value), value) for name, value in values.items() if value is not None}

    assert (canonical(one) == canonical(other)) == (known(one) == known(other))


def test_bytes_do_not_run_into_each_other():
    assert canonical({"a": "1", "b": "2"}) != canonical({"a": "1b1:2"})
    assert canonical({"a": 1}) != canonical({"a": "1"}) != canonical({"a": b"1"})
    assert canonical({"b": 1, "a": "x", "c": None}) == canonical({"a": "x", "b": 1})


@given(data=st.data())
def test_no_tampering_of_any_kind_goes_unseen(data):
    trail = Trail(data.draw(st.integers(1, 12), "rows"))
    trail.prune(data.draw(st.integers(0, trail.last - 1), "pruned"))
    before = (list(trail.lines), trail.ends)
    numbers = st.sampled_from([line.n for line in trail.lines])
    earlier = Trail(trail.last - 1).ends
    for _ in range(data.draw(st.integers(1, 3), "times")):
        n = data.draw(numbers, "row")
        if all(line.n != n for line in trail.lines):
            continue
        place = trail.at(n)
        match data.draw(st.sampled_from(["change", "remove", "swap", "renumber", "insert", "mac", "ends"])):
            case "change":
                column = data.draw(st.sampled_from(sorted(trail.lines[place].values)))
                if column != "n":
                    trail.change(n, **{column: data.draw(st.integers() if column == "at" else VALUES)})
            case "remove":
                trail.remove(n, n + data.draw(st.integers(0, 3)))
            case "swap":
                other = trail.at(data.draw(st.sampled_from([line.n for line in trail.lines])))
                one, two = trail.lines[place], trail.lines[other]
                trail.lines[place] = Line({**two.values, "n": one.n}, two.mac)
                trail.lines[other] = Line({**one.values, "n": two.n}, one.mac)
            case "renumber":
                free = data.draw(st.integers(-3, 20).filter(lambda m: all(line.n != m for line in trail.lines)))
                trail.change(n, n=free)
            case "insert":
                free = data.draw(st.integers(-3, 20).filter(lambda m: all(line.n != m for line in trail.lines)))
                if free <= trail.last:
                    trail.lines.append(Line(row(free), data.draw(st.none() | st.just(trail.lines[place].mac))))
            case "mac":
                trail.lines[place] = trail.lines[place]._replace(mac=data.draw(st.none() | st.binary(min_size=32)))
            case "ends":
                trail.ends = data.draw(st.sampled_from([earlier, before[1]._replace(anchor_mac=b"x" * 32), None]))
        if not trail.lines:
            break
    touched = (sorted(trail.lines, key=lambda line: line.n), trail.ends) != before

    verified = trail.verified()
    assert bool(verified.findings or verified.unchained) == touched


def test_a_line_from_before_the_anchor_stops_the_pruning(trail):
    """It was pruned, so somebody put it back."""
    lines = list(trail.lines)
    trail.prune(3)

    with pytest.raises(ChainBroken, match="line 1 was inserted"):
        prunable(trail.ends, lines, NOW + 99, RING)
