import os
import socket

import httpx2
import pytest
from tests.conftest import ServerProcess
from tests.tracing.collector import Collector


@pytest.fixture(scope="module")
def collector_and_server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("traced")
    collector = Collector()
    server = ServerProcess(folder / "data", folder / "log", {"tracing": "otlp"}, collector.environment).start()
    yield collector, server
    assert server.stop() == 0
    collector.close()


@pytest.fixture
def server(collector_and_server):
    """A server that sends its spans to `collector`, which has forgotten those of other tests."""
    collector, server = collector_and_server
    trace = os.urandom(16).hex()
    httpx2.get(f"{server.url}/openapi.json", headers={"traceparent": f"00-{trace}-{'1' * 16}-01"})
    collector.wait(lambda span: span.trace == trace)  # spans come in the order in which they ended
    collector.spans.clear()
    collector.raw = b""
    return server


@pytest.fixture
def collector(request):
    """A collector: the one of `server`, or else one for this test alone."""
    if "server" in request.fixturenames:
        yield request.getfixturevalue("collector_and_server")[0]
        return
    collector = Collector()
    yield collector
    collector.close()


@pytest.fixture
def silent_port():
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]
