"""docs/runbooks/clock-wrong.md, on a node whose machine has another time than the database's."""

from tests.postgres.test_skew import by_libfaketime


def test_a_wrong_clock_raises_the_alarm_and_a_right_one_is_all_that_it_takes(
    nodes, tmp_path, prometheus, open_runbook, await_symptom
):
    offset = tmp_path / "offset"
    offset.write_text("-30")
    way = by_libfaketime(0)
    moved = {"FAKETIME_TIMESTAMP_FILE": str(offset), "FAKETIME_NO_CACHE": "1"}
    del way["environment"]["FAKETIME"]
    way["environment"] |= moved
    node = nodes.start(**way, admin_listen=prometheus.target())
    prometheus.await_scraped(node.admin)
    book = open_runbook("clock-wrong", node, hands={"systemctl restart chrony": lambda: offset.write_text("+0")})
    prometheus.wait(lambda: "HourpassClockWrong" in prometheus.firing(node.admin), "the alert does not fire", 20)
    await_symptom(book, node)

    book.run()
    book.await_over()
    assert "HourpassClockWrong" not in prometheus.firing(node.admin)
