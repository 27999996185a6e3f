"""Spans for a program that uses OpenTelemetry. It never loads OpenTelemetry: a program that uses it has loaded it.

A span holds names, numbers and fixed words. It never holds a credential, a subject, a client's address or the text of
an error, because a text may hold anything.
"""

import sys
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import urlsplit

from hourpass.core.errors import InvalidToken, LoginRequired, Refused

if TYPE_CHECKING:
    import asyncio

    from opentelemetry.trace import Span, Tracer

Answered = Callable[[int], None]
"""Takes the status of an answer."""
Work = TypeVar("Work", bound=Callable[..., Any])

_API = "opentelemetry.trace"


def is_used() -> bool:
    """Whether this program has loaded OpenTelemetry. If not, nothing here does anything."""
    return _API in sys.modules


@contextmanager
def around(
    name: str,
    kind: Literal["INTERNAL", "CLIENT"] = "INTERNAL",
    *,
    within: Any = None,
    facts: dict[str, str] | None = None,
) -> "Iterator[Span | None]":
    """A span around some work. It is inside the current span, or in the OpenTelemetry context `within`.

    None if this program does not use OpenTelemetry.
    """
    if not is_used():
        yield None
        return
    from opentelemetry.trace import SpanKind

    begun = tracer().start_as_current_span(
        name,
        context=within,
        kind=SpanKind[kind],
        attributes=facts,
        record_exception=False,
        set_status_on_exception=False,
    )
    with begun as one:
        try:
            yield one
        except Exception as error:
            note(one, error)
            raise


@contextmanager
def request(method: str, url: str, headers: MutableMapping[str, str], *, root: bool = False) -> "Iterator[Answered]":
    """A span around an HTTP request that we send. Its headers get `traceparent` and `tracestate` (W3C Trace Context).

    A background thread's request is a `root`: it belongs to no request of the program.
    """
    if not is_used():
        yield lambda status: None
        return
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    url = url.partition("?")[0]
    facts = {"http.request.method": method, "url.full": url}
    with around(f"{method} {urlsplit(url).path}", "CLIENT", within=Context() if root else None, facts=facts) as one:
        TraceContextTextMapPropagator().inject(headers)
        yield lambda status: note_status(one, status, 400) if one else None


def traced(name: str) -> Callable[[Work], Work]:
    """Puts a span around each call of a function, sync or async, that is called with positional arguments alone."""

    def decorate(work: Work) -> Work:
        async def wait(*given: Any) -> Any:
            with around(name):
                return await work(*given)

        @wraps(work)
        def call(*given: Any) -> Any:
            if _API not in sys.modules:  # not through `is_used`: each verification pays for the call
                return work(*given)
            from inspect import iscoroutinefunction  # late, because it takes 3 ms

            if iscoroutinefunction(work):
                return wait(*given)
            with around(name):
                return work(*given)

        return call  # type: ignore[return-value]

    return decorate


def lasting(name: str, future: "asyncio.Future[Any]") -> "Span | None":
    """A span that lasts until a future is done. None unless the current span is recorded."""
    if _API not in sys.modules:  # not through `is_used`: each exchange and refresh pays for the call
        return None
    from opentelemetry.trace import get_current_span

    if not get_current_span().is_recording():
        return None
    one = tracer().start_span(name)
    future.add_done_callback(lambda done: one.end())
    return one


def event(name: str) -> None:
    """Note on the current span that something has happened."""
    if is_used():
        from opentelemetry.trace import get_current_span

        get_current_span().add_event(f"hourpass.{name}")


def carried(work: Work) -> Work:
    """The same function, for another thread: it continues the caller's span there."""
    return partial(copy_context().run, work) if is_used() else work  # type: ignore[return-value]


def note(one: "Span", error: Exception) -> None:
    """Note how the work ended. A caller who is refused does not make the span an error."""
    word = error.problem if isinstance(error, InvalidToken) else getattr(error, "code", type(error).__name__)
    if isinstance(error, Refused) and not isinstance(error, LoginRequired):
        one.set_attribute("error.type", word)
    else:
        fail(one, word)


def note_status(one: "Span", status: int, least: int) -> None:
    """Note the status of an answer. From `least` on it is an error."""
    one.set_attribute("http.response.status_code", status)
    if status >= least:
        fail(one, str(status))


def tracer() -> "Tracer":
    """The program's tracer for us. If another thread is loading OpenTelemetry just now, this waits for it."""
    from opentelemetry import trace

    return trace.get_tracer("hourpass")


def fail(one: "Span", word: str) -> None:
    """Make a span an error."""
    from opentelemetry.trace import StatusCode

    one.set_attribute("error.type", word)
    one.set_status(StatusCode.ERROR)
