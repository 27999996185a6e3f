"""Programs that use OpenTelemetry as their authors would, and print what came of it: `program.py WHAT URL KEY …`."""

import asyncio
import json
import sys
import time
from base64 import b64encode

import httpx2
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from hourpass.client import TokenSource
from hourpass.core.errors import HourpassError
from hourpass.testing import InMemoryServer
from hourpass.verifier import Verifier, asgi, fail_closed, wsgi

what, url, key, *kinds = [*sys.argv[1:], "", ""][: max(3, len(sys.argv) - 1)]
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("program")


def exchange() -> str:
    with tracer.start_as_current_span("job"):
        try:
            TokenSource(url, key, timeout=0.5).token()
        except HourpassError as error:
            return type(error).__name__
    return "token"


def headers(kind: str) -> list[tuple[str, str]]:
    match kind:
        case "good":
            return [("Authorization", f"Bearer {TokenSource(url, key).token()}")]
        case "bad":
            return [("Authorization", f"Bearer {TokenSource(url, key).token()[:-4]}AAAA")]
        case "key":
            return [("Authorization", "Basic " + b64encode(f"{key}:".encode()).decode())]
        case _:
            return []


def through_wsgi(verifier: Verifier, kind: str, sent: list[tuple[str, str]]) -> int:
    def api(environ, start_response):
        start_response("200 OK", [])
        return [b""]

    statuses = []
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/videos", "SCRIPT_NAME": "", "REMOTE_ADDR": "127.0.0.1"}
    environ |= {f"HTTP_{name.upper()}": value for name, value in sent}
    with tracer.start_as_current_span(f"request {kind}"):
        app = wsgi.HourpassMiddleware(api, verifier=verifier, api_key_sources=["basic"])
        list(app(environ, lambda status, _: statuses.append(int(status.split()[0]))))
    return statuses[0]


async def through_asgi(verifier: Verifier, kind: str, sent: list[tuple[str, str]]) -> int:
    async def api(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    statuses = []

    async def send(message):
        statuses.extend([message["status"]] if "status" in message else [])

    scope = {"type": "http", "method": "GET", "path": "/videos", "root_path": "", "client": ("127.0.0.1", 1)}
    scope["headers"] = [(name.lower().encode(), value.encode()) for name, value in sent]
    with tracer.start_as_current_span(f"request {kind}"):
        app = asgi.HourpassMiddleware(api, verifier=verifier, api_key_sources=["basic"])
        await app(scope, None, send)
    return statuses[0]


async def mount() -> int:
    async with InMemoryServer() as server, httpx2.AsyncClient(transport=httpx2.ASGITransport(server.app)) as client:
        body = {"apiKey": await server.create_key()}
        with tracer.start_as_current_span("of a framework"):
            answer = await client.post("http://hourpass.test/auth/api-key", json=body)
        return answer.status_code


def poll() -> bool:
    """Wait until the feed was heard a second time: news were awaited, and none came."""
    token, ages = TokenSource(url, key).token(), [0]
    with Verifier(issuer=url, audience=url, staleness=fail_closed(budget=2)) as verifier:
        verifier.verify(token)
        deadline = time.monotonic() + 10
        while ages[-1] >= ages[-2:][0] and time.monotonic() < deadline:
            ages.append(verifier.status().revocations_age)
            time.sleep(0.02)
    return ages[-1] < max(ages)


if what == "exchange":
    result: object = exchange()
elif what == "poll":
    result = poll()
elif what == "mount":
    result = asyncio.run(mount())
else:
    sent = {kind: headers(kind) for kind in kinds}
    with Verifier(issuer=url, audience=url) as verifier:
        result = [
            through_wsgi(verifier, kind, sent[kind])
            if what == "wsgi"
            else asyncio.run(through_asgi(verifier, kind, sent[kind]))
            for kind in kinds
        ]
provider.shutdown()
print(json.dumps(result))
