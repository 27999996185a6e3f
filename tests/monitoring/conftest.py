"""For the tests of deploy/monitoring: the run's Prometheus."""

import pytest
from tests.monitoring.prometheus import Prometheus, prometheus_of


@pytest.fixture
def prometheus(request) -> Prometheus:
    """The Prometheus that the tests of this process share. Each of their nodes has an address of its own."""
    return prometheus_of(request.config)
