"""For the tests of deploy/monitoring: the run's Prometheus."""

from collections.abc import Iterator

import pytest
from tests.monitoring.prometheus import Prometheus, prometheus_of


@pytest.fixture
def prometheus(request) -> Iterator[Prometheus]:
    """The Prometheus that the tests of this process share. Each of their nodes has an address of its own."""
    with prometheus_of(request.config) as prometheus:
        yield prometheus
