"""The server's own traces: a span for each request, sent to an OTLP collector in the background.

The SDK reads the standard OTEL_* variables: where the collector is, which traces to keep, how many spans may wait. A
collector that is away costs spans, and never a request.
"""

import threading
import types
from collections.abc import Callable, Coroutine, Generator, Mapping
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, TypeVar

from hourpass import __version__
from hourpass.core.errors import ConfigurationError, ExtraMissing
from hourpass.server.transport.request import Application, Reply, Request
from hourpass.tracing import note_status, tracer

if TYPE_CHECKING:
    from opentelemetry.trace import Span

FLUSH = 2.0
"""Seconds at the end for the spans that wait. After that they are lost."""

PROTOCOL = "http/protobuf"

FAILURE = 500
"""The least status that makes the span of a request an error. A refusal is the caller's fault."""

LONGEST = {b"traceparent": 64, b"tracestate": 512}
"""The most bytes of each header that we read. A longer one is ignored, so a stranger's text costs nothing.

A traceparent of today has 55. W3C Trace Context §3.3.1.5 asks for 512 bytes of tracestate.
"""

METHODS = frozenset(("GET", "HEAD", "POST", "OPTIONS"))
"""The methods of our routes. All others are one, because a client can make them up."""

T = TypeVar("T")


def start_tracing(environ: Mapping[str, str]) -> Callable[[], None]:
    """Send the spans of this process to a collector, until the function that this returns is called.

    It starts a thread, so call it after the fork.

    Raises:
        ConfigurationError: if the packages are missing, or the environment names a protocol that they do not have.
    """
    try:
        from opentelemetry import trace  # an extra
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ExtraMissing.of("otel", "tracing: OpenTelemetry needs an extra") from error
    for name in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        if environ.get(name, PROTOCOL) != PROTOCOL:
            raise ConfigurationError(f"{name}: only {PROTOCOL} is supported")
    own = {"service.name": "hourpass", "service.version": __version__}
    provider = TracerProvider(
        # The environment's names go before ours.
        resource=Resource.create().merge(Resource(own)).merge(OTELResourceDetector().detect()),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)

    def stop() -> None:
        # The SDK would wait for half a minute.
        ending = threading.Thread(target=provider.shutdown, name="hourpass-tracing", daemon=True)
        ending.start()
        ending.join(FLUSH)

    return stop


class Traced:
    """An application with a span around each request that is worth one. `route` names a path's route, if it has one."""

    def __init__(self, app: Application, route: Callable[[str], str | None]) -> None:
        from opentelemetry.context import attach  # an extra
        from opentelemetry.trace import SpanKind, set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._app = app
        self.streams = app.streams
        self._route = route
        self._tracer = tracer()
        self._kind = SpanKind.SERVER
        self._make_current = lambda span: attach(set_span_in_context(span))
        self._extract = TraceContextTextMapPropagator().extract

    def body_limit(self, path: str) -> int:
        """The largest body for a path, in bytes."""
        return self._app.body_limit(path)

    def answer_at_once(self, request: Request) -> Reply | None:
        """The answer to a GET if it needs no waiting, else None."""
        if _is_noise(request):
            return None
        span = self._begin(request)
        reply = self._app.answer_at_once(request)
        if reply is not None:  # else this span is dropped, and `answer` begins another one
            note_status(span, reply.status, FAILURE)
            span.end()
        return reply

    async def answer(self, request: Request) -> Reply:
        """The answer. Failures become answers, too."""
        if _is_noise(request):
            return await self._app.answer(request)
        span = self._begin(request)
        if not span.is_recording():
            return await self._app.answer(request)
        variables = copy_context()
        variables.run(self._make_current, span)
        try:
            reply = await _within(variables, self._app.answer(request))
            note_status(span, reply.status, FAILURE)
        finally:
            span.end()
        return reply

    def _begin(self, request: Request) -> "Span":
        """A span for a request. It continues the caller's trace, but not if the caller names two (W3C §3.2)."""
        sent: dict[bytes, list[str]] = {header: [] for header in LONGEST}
        for header, value in request.headers:
            if header in LONGEST:
                sent[header].append(value.decode("latin-1"))
        short = {header.decode(): values for header, values in sent.items() if sum(map(len, values)) <= LONGEST[header]}
        parent = self._extract(short) if len(short.get("traceparent", ())) == 1 else None
        method = request.method if request.method in METHODS else "_OTHER"
        facts = {"http.request.method": method, "url.scheme": "http"}
        name = "HTTP" if method == "_OTHER" else method
        # A path without a route may hold anything.
        if (route := self._route(request.path)) is not None:
            name = f"{name} {route}"
            facts |= {"http.route": route, "url.path": request.path}
        return self._tracer.start_span(name, parent, self._kind, facts)


def _is_noise(request: Request) -> bool:
    """Whether a request is a probe, or a verifier's wait for news of revocations."""
    path = request.path
    return path.startswith("/health/") or (
        path.endswith("/auth/revocations") and request.header(b"traceparent") is None
    )


@types.coroutine
def _within(variables: Context, work: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
    """Run a coroutine with its own context variables. Our front has no task for each request that would keep them."""
    step: Callable[[Any], Any] = work.send
    value: Any = None
    while True:
        try:
            awaited = variables.run(step, value)
        except StopIteration as done:
            result: T = done.value
            return result
        try:
            step, value = work.send, (yield awaited)
        except BaseException as error:  # noqa: BLE001 - the coroutine decides
            step, value = work.throw, error
