"""The verdict of the failover drill. The rest of it is a run against a real cluster: `make drill`."""

import pytest
from drill.verdict import Record, lineage_faults, longest_gap

SAME = [(8, "next"), (8, "next")]


@pytest.mark.parametrize(
    ("instants", "gap"),
    [
        pytest.param([], 10, id="nothing at all"),
        pytest.param([2, 3, 9], 6, id="between two"),
        pytest.param([6, 8], 6, id="before the first"),
        pytest.param([1, 2], 8, id="after the last"),
        pytest.param([-5, 1, 5, 9, 40], 4, id="what lies outside is left out"),
    ],
)
def test_a_gap_is_the_longest_time_in_which_nothing_happened(instants, gap):
    assert longest_gap(instants, 0, 10) == gap


@pytest.mark.parametrize("stored", [7, 8], ids=["as acknowledged", "one whose answer was lost"])
def test_the_acknowledged_generation_or_its_successor_is_right(stored):
    assert lineage_faults(7, stored, SAME) == []


@pytest.mark.parametrize("answer", [7, 8])
def test_a_retry_and_a_burst_are_right_if_all_nodes_agree(answer):
    assert lineage_faults(7, 7, [(answer, "same"), (answer, "same")]) == []


@pytest.mark.parametrize(
    ("stored", "answers", "fault"),
    [
        pytest.param(None, SAME, "falsely lost", id="no live grant"),
        pytest.param(6, SAME, "an acknowledged refresh is lost", id="the database is behind"),
        pytest.param(9, SAME, "somebody else rotates it", id="the database is too far"),
        pytest.param(7, [(8, "one"), (8, "other")], "a second lineage", id="two tokens of one generation"),
        pytest.param(7, [(8, "next"), (9, "after")], "a second lineage", id="two generations"),
        pytest.param(7, [(6, "old"), (6, "old")], "not the successor", id="back to an older token"),
    ],
)
def test_anything_else_is_a_fault(stored, answers, fault):
    assert fault in lineage_faults(7, stored, answers)


@pytest.mark.parametrize("kind", ["503", "connection refused", "connection lost", "timed out", "exit 1"])
def test_a_client_that_is_told_to_come_back_has_met_no_violation(kind):
    record = Record()

    record.trouble(1, "refresh", kind)

    assert record.violations == []


@pytest.mark.parametrize("kind", ["400 replayed", "401", "500", "crashed"])
def test_a_client_that_is_sent_away_has_met_a_violation(kind):
    record = Record()

    record.trouble(1, "refresh", kind)

    assert record.violations == [f"refresh: {kind}"]


def test_a_part_begins_a_second_before_its_fault_and_ends_before_the_next_one():
    record = Record(refreshed=[1.0, 9.5, 9.9, 24.9, 25.5, 31.0], verified=[9.9, 20.0, 29.0])
    record.waits += [(24.9, 15.0), (31.0, 60.0)]
    for at, kind in [(8.0, "503"), (11.0, "503"), (12.0, "503"), (13.0, "timed out"), (30.0, "503")]:
        record.trouble(at, "refresh", kind)

    part = record.part(10.0, 30.0)

    assert part == {
        "gap_s": 15.0,
        "verify_gap_s": 10.1,
        "longest_wait_s": 15.0,
        "refreshes": 4,
        "refreshes_in_the_last_second": 2,
        "errors": {"refresh: 503": 2, "refresh: timed out": 1},
    }
