"""The bench of lists asks for every page and list of a small installation, and says which cost too much."""

from bench.lists import EVERY, measure, show

from hourpass.server.console.pages import SECTIONS


def test_every_page_and_list_is_measured_and_costs_little_among_few(tmp_path):
    size = {"keys": 300, "grants": 300, "audit": 1_000, "nodes": 1}

    costs = measure(f"sqlite:{tmp_path}/hourpass.db", tmp_path, size=size)

    assert {section.name.lower() for section in SECTIONS} <= {name.partition(",")[0] for name in costs}
    assert len(costs) > 90


def test_the_table_marks_what_costs_too_much():
    table = show(
        {
            "SQLite": {EVERY: (900, 900), "slow": (99, 900), "quick": (1, 1)},
            "PostgreSQL": {EVERY: (900, 900), "slow": (100.1, 900), "quick": (1, 1)},
        }
    ).splitlines()

    assert [line.partition(" ")[0] for line in table if line.endswith("over 100")] == ["slow"]
    assert table[-1] == "1 of 2 pages and lists cost more than 100 ms"
