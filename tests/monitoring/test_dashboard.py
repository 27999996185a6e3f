"""deploy/monitoring/dashboard.json: each of its queries finds something in a Prometheus that scrapes a real server."""

import json
from collections.abc import Iterator

import pytest
from tests.e2e.conftest import exchange, refresh, verify
from tests.monitoring.prometheus import SHIPPED, faster_expression

DASHBOARD = json.loads((SHIPPED / "dashboard.json").read_text("utf-8"))


def queries() -> Iterator[tuple[str, str]]:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            yield f"{panel['title']} {target['refId']}", target["expr"]


def filled(expression: str, target: str) -> str:
    """The query as Grafana sends it for one node."""
    return faster_expression(expression.replace("$__rate_interval", "1m").replace("$instance", target))


@pytest.fixture
def server(serve, prometheus):
    server = serve(admin_listen=prometheus.target())
    prometheus.await_scraped(server.admin)
    return server


def test_every_query_finds_a_value(prometheus, server):
    asked = dict(queries())
    assert len(asked) > 40
    pair = exchange(server, server.create_key()["api_key"]).json()
    silent: set[str] = set()

    def all_answer() -> bool:
        verify(server, pair["access_token"])
        pair.update(refresh(server, pair["refresh_token"]).json())
        silent.clear()
        silent.update(name for name, query in asked.items() if not _values(prometheus, filled(query, server.admin)))
        return not silent

    prometheus.wait(all_answer, silent, 20)


def _values(prometheus, query: str) -> list[str]:
    return [each["value"][1] for each in prometheus.query(query) if each["value"][1] != "NaN"]


def test_a_query_for_something_that_is_not_measured_finds_nothing(prometheus, server):
    """The test above can fail."""
    query = filled('rate(hourpass_made_up_total{instance="$instance"}[$__rate_interval])', server.admin)

    assert _values(prometheus, query) == []


def test_every_panel_has_a_title_a_unit_and_a_place_of_its_own():
    panels = DASHBOARD["panels"]
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]

    assert len({panel["id"] for panel in panels}) == len(set(places)) == len(panels)
    for panel in panels:
        assert panel["title"]
        assert panel["type"] == "row" or panel["fieldConfig"]["defaults"]["unit"]
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24


def colour(panel: dict, query: str, value: float) -> str:
    """The colour in which a panel shows a value of one of its queries."""
    config = panel["fieldConfig"]
    thresholds = config["defaults"]["thresholds"]
    for override in config["overrides"]:
        if override["matcher"] == {"id": "byFrameRefID", "options": query}:
            [thresholds] = [each["value"] for each in override["properties"] if each["id"] == "thresholds"]
    return [step["color"] for step in thresholds["steps"] if step["value"] is None or value >= step["value"]][-1]


GREEN_AND_RED = {
    ("Nodes that answer", "A"): (2, 0),
    ("Nodes that answer", "B"): (0, 1),
    ("Checks of readiness", "A"): (1, 0),
    ("Requests that failed", "A"): (0.0099, 0.01),
    ("Slowest answer of a hundred", "A"): (0.2, 0.25),
    ("Alerts that fire", "A"): (0, 1),
}


def test_what_is_not_well_is_red():
    stats = {panel["title"]: panel for panel in DASHBOARD["panels"] if panel["type"] == "stat"}

    assert {(title, target["refId"]) for title in stats for target in stats[title]["targets"]} == GREEN_AND_RED.keys()
    shown = {
        where: tuple(colour(stats[where[0]], where[1], value) for value in values)
        for where, values in GREEN_AND_RED.items()
    }
    assert shown == dict.fromkeys(GREEN_AND_RED, ("green", "red"))


def test_the_nodes_that_answer_are_so_many_of_all(prometheus, server):
    [panel] = [panel for panel in DASHBOARD["panels"] if panel["title"] == "Nodes that answer"]
    of_all, missing = (target["expr"].replace("$instance", server.admin) for target in panel["targets"])

    [answer] = prometheus.query(of_all)
    assert (answer["metric"], answer["value"][1]) == ({"all": "1"}, "1")
    assert _values(prometheus, missing) == ["0"]

    server.kill()

    prometheus.wait(lambda: _values(prometheus, missing) == ["1"], "the node is not missing", 20)
    [answer] = prometheus.query(of_all)
    assert (answer["metric"], answer["value"][1]) == ({"all": "1"}, "0")
