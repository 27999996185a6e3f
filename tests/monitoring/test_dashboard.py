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
