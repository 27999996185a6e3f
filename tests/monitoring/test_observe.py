"""docs/how-to/observe.md: its commands run, and its table has every alert."""

import re
import socket
from pathlib import Path

import pytest
import yaml
from tests.monitoring.prometheus import SHIPPED
from tests.runbooks.runbook import ADMIN, LOG, PROMETHEUS, Runbook

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "observe.md"


@pytest.fixture
def server(serve, prometheus):
    """A server that somebody sent something to that is not HTTP."""
    server = serve(admin_listen=prometheus.target())
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as stranger:
        stranger.sendall(b"not HTTP\r\n\r\n")
        stranger.recv(1_000)
    prometheus.await_scraped(server.admin)
    return server


@pytest.fixture
def page(server, prometheus, tmp_path):
    etc = tmp_path / "prometheus"
    etc.mkdir()
    real = {
        PROMETHEUS: prometheus.url,
        ADMIN: f"http://{server.admin}",
        LOG: f"cat {server.log}",
        "deploy/monitoring/": f"{SHIPPED}/",
        "/etc/prometheus": str(etc),
    }
    page = Runbook(PAGE, tmp_path, real)
    page.environment["HOURPASS_DATA"] = str(server.data)
    return page


def test_the_pages_commands_set_prometheus_up_and_show_what_it_sees(page, server, tmp_path):
    said = page.run("Scrape the nodes") | page.run("Logs")

    alerts = (tmp_path / "prometheus" / "alerts.yml").read_text()
    assert "runbook_url: https://wiki.example.com/hourpass/docs/runbooks/" in alerts
    assert 'hourpass_check_ok{check="database"} 1' in "".join(said.values())
    assert f'up{{instance="{server.admin}", job="hourpass"}} => 1' in "".join(said.values())
    assert "connection refused" in "".join(said.values())


def test_every_alert_is_in_the_table_with_its_severity_and_its_page():
    documented = {
        (row[1], row[2], row[3])
        for row in re.finditer(
            r"^\| `(Hourpass\w+)` \| (\w+) \|.*\]\(\.\./runbooks/([\w-]+\.md)\) \|$", PAGE.read_text(), re.MULTILINE
        )
    }
    groups = yaml.safe_load((SHIPPED / "alerts.yml").read_text("utf-8"))["groups"]

    assert documented == {
        (rule["alert"], rule["labels"]["severity"], rule["annotations"]["runbook_url"].rpartition("/")[2])
        for group in groups
        for rule in group["rules"]
    }
