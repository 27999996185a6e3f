"""A collector of traces: it takes OTLP over HTTP on loopback, as a real one does."""

import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Received(NamedTuple):
    """A span as it came, with the attributes of its service."""

    name: str
    kind: int
    trace: str
    id: str
    parent: str
    state: str
    facts: dict[str, Any]
    events: list[str]
    is_error: bool
    start: int
    end: int
    service: dict[str, Any]


class Collector:
    """Remembers all spans that were sent to it. `raw` is every byte of every body, `tokens` the credentials shown."""

    def __init__(self) -> None:
        self.spans: list[Received] = []
        self.raw = b""
        self.tokens: list[str | None] = []
        self._came = threading.Condition()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                assert self.path == "/v1/traces"
                assert self.headers["content-type"] == "application/x-protobuf"
                collector._take(body, self.headers["authorization"])
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs in its environment to send its spans here, and soon."""
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": self.url, "OTEL_BSP_SCHEDULE_DELAY": "50"}

    def _take(self, body: bytes, token: str | None) -> None:
        with self._came:
            self.raw += body
            self.tokens.append(token)
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                service = _facts(resource.resource.attributes)
                self.spans += [_received(span, service) for scope in resource.scope_spans for span in scope.spans]
            self._came.notify_all()

    def wait(self, wanted: Callable[[Received], bool], count: int = 1) -> list[Received]:
        """The spans that are wanted, once there are so many. They come within 10 s, or the test has failed."""
        deadline = time.monotonic() + 10
        with self._came:
            while len(found := [span for span in self.spans if wanted(span)]) < count:
                left = deadline - time.monotonic()
                assert left > 0, f"only {len(found)} of {count}; there are {[span.name for span in self.spans]}"
                self._came.wait(left)
            return found

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)


def tree(spans: list[Received], parent: str = "") -> dict[str, Any]:
    """Names inside names."""
    inside = sorted((span for span in spans if span.parent == parent), key=lambda span: span.start)
    return {span.name: tree(spans, span.id) for span in inside}


def of(collector: Collector, name: str) -> list[Received]:
    """All spans of the trace that begins with this name."""
    [root] = collector.wait(lambda span: span.name == name)
    return [span for span in collector.spans if span.trace == root.trace]


def _facts(attributes: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


def _received(span: Any, service: dict[str, Any]) -> Received:
    return Received(
        name=span.name,
        kind=span.kind,
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        state=span.trace_state,
        facts=_facts(span.attributes),
        events=[event.name for event in span.events],
        is_error=span.status.code == 2,
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        service=service,
    )
