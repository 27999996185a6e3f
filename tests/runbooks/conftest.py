"""For the runbooks: a server that Prometheus watches, and the page that is run on it."""

from collections.abc import Callable, Iterator, Mapping

import pytest
from tests.conftest import ServerProcess
from tests.monitoring.prometheus import Prometheus, prometheus_of
from tests.postgres.conftest import clusters, nodes, own_database
from tests.runbooks.runbook import ADMIN, DATA, FOLDER, LOG, PROMETHEUS, SERVER, Runbook
from tests.webhooks.receivers import wait_until

__all__ = ["clusters", "nodes", "own_database"]


@pytest.fixture
def prometheus(request) -> Iterator[Prometheus]:
    """The Prometheus that the tests of this process share. Each of their nodes has an address of its own."""
    with prometheus_of(request.config) as prometheus:
        yield prometheus


@pytest.fixture
def open_runbook(prometheus, tmp_path):
    """A factory: the page of a name, on the machine of a server."""

    def open_page(
        name: str,
        server: ServerProcess,
        real: Mapping[str, str] | None = None,
        hands: Mapping[str, Callable[[], object]] | None = None,
    ) -> Runbook:
        places = {
            PROMETHEUS: prometheus.url,
            ADMIN: f"http://{server.admin}",
            SERVER: server.url,
            DATA: str(server.data),
            LOG: f"cat {server.log}",
            "alertstate=": f'instance="{server.admin}", alertstate=',
        }
        book = Runbook(FOLDER / f"{name}.md", tmp_path, {**places, **(real or {})}, hands)
        book.environment["HOURPASS_DATA"] = str(server.data)
        return book

    return open_page


@pytest.fixture
def await_symptom(prometheus):
    """Waits for what the page says that leads to it: its alerts fire, its lines are in the log and the trail."""

    def wait(book: Runbook, server: ServerProcess) -> None:
        prometheus.await_fired(server.admin, *book.page.alerts)
        # An alert may fire a moment before the line that says the same.
        for said in book.page.symptom("Log line"):
            wait_until(lambda said=said: said in server.log.read_text())
        for event in book.page.symptom("Audit trail"):
            assert server.command("audit", "--event", event, "--json").stdout.strip() not in ("", "[]")
        assert book.is_over() != "", "the page's last commands say that it is over, but it has just begun"

    return wait
