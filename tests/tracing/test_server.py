"""The server's traces, as a real collector receives them."""

import base64
import signal
import time

import httpx2
import pytest
from tests.conftest import LOOKS_SECRET, free_port

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CONTINUED = {"traceparent": f"00-{TRACE}-{CALLER}-01", "tracestate": "vendor=opaque"}
SERVER = 2
"""The kind of a server's span in OTLP."""


def requests(span) -> bool:
    return span.kind == SERVER


def test_each_request_is_a_span_that_continues_the_callers_trace(server, collector):
    """W3C Trace Context §2; OpenTelemetry's semantic conventions for HTTP."""
    key = server.create_key()["api_key"]

    assert httpx2.post(f"{server.url}/auth/api-key", json={"apiKey": key}, headers=CONTINUED).status_code == 200

    [span] = collector.wait(requests)
    assert span.name == "POST /auth/api-key"
    assert (span.trace, span.parent, span.state) == (TRACE, CALLER, "vendor=opaque")
    assert span.facts == {
        "http.request.method": "POST",
        "http.route": "/auth/api-key",
        "url.path": "/auth/api-key",
        "url.scheme": "http",
        "http.response.status_code": 200,
    }
    assert not span.is_error
    assert span.service["service.name"] == "hourpass"


def test_inside_it_is_the_time_in_the_ledger(server, collector):
    key = server.create_key()["api_key"]
    httpx2.post(f"{server.url}/auth/api-key", json={"apiKey": key}, headers=CONTINUED)

    [request] = collector.wait(requests)
    ledger = collector.wait(lambda span: span.name == "hourpass.ledger")

    assert [(span.trace, span.parent, span.events) for span in ledger] == [(TRACE, request.id, ["transaction"])]
    assert request.start <= ledger[0].start < ledger[0].end <= request.end
    assert {span.trace for span in collector.spans} == {TRACE}, "the server's own work is not traced"


def test_two_requests_on_one_connection_are_not_mixed_up(server, collector):
    key = server.create_key()["api_key"]
    with httpx2.Client() as client:
        for trace in ("1" * 32, "2" * 32):
            client.post(
                f"{server.url}/auth/api-key", json={"apiKey": key}, headers={"traceparent": f"00-{trace}-{CALLER}-01"}
            )
        client.post(f"{server.url}/auth/api-key", json={"apiKey": key})

    one, two, three = collector.wait(requests, 3)
    ledger = collector.wait(lambda span: span.name == "hourpass.ledger", 3)

    assert [one.trace, two.trace] == ["1" * 32, "2" * 32]
    assert three.parent == "", "a request without a caller begins a trace"
    assert three.trace not in (one.trace, two.trace)
    assert [(span.trace, span.parent) for span in ledger] == [(span.trace, span.id) for span in (one, two, three)]


def test_forward_auth_continues_the_trace_of_the_request_that_a_proxy_asks_about(server, collector):
    key = server.create_key()["api_key"]
    token = httpx2.post(f"{server.url}/auth/api-key", json={"apiKey": key}).json()["access_token"]
    basic = base64.b64encode(f"{key}:".encode()).decode()

    statuses = [
        httpx2.get(f"{server.url}/auth/verify", headers={"Authorization": credential, **CONTINUED}).status_code
        for credential in (f"Bearer {token}", f"Bearer {token}x", f"Basic {basic}")
    ]

    spans = collector.wait(lambda span: span.name == "GET /auth/verify", 3)
    assert statuses == [span.facts["http.response.status_code"] for span in spans] == [204, 401, 204]
    assert {(span.trace, span.parent) for span in spans} == {(TRACE, CALLER)}
    assert not any(span.is_error for span in spans), "a refusal is not an error of the server"


def test_a_name_never_holds_what_a_client_made_up(server, collector):
    key = server.create_key()["api_key"]
    httpx2.get(f"{server.url}/{key}")
    httpx2.request("BREW", f"{server.url}/auth/api-key")

    unknown, odd = collector.wait(requests, 2)

    assert (unknown.name, unknown.facts["http.response.status_code"]) == ("GET", 404)
    assert not {"http.route", "url.path"} & unknown.facts.keys()
    assert (odd.name, odd.facts["http.request.method"]) == ("HTTP /auth/api-key", "_OTHER")


@pytest.mark.parametrize(
    "sent",
    [
        [("traceparent", "00-0-0-01")],
        [("traceparent", "ff-" + CONTINUED["traceparent"][3:])],
        [("traceparent", CONTINUED["traceparent"]), ("traceparent", CONTINUED["traceparent"])],
        [("traceparent", "00-" + "0" * 32 + f"-{CALLER}-01")],
        [("traceparent", "x" * 8_000)],
        [("traceparent", "01" + CONTINUED["traceparent"][2:] + "-0123456789")],
        [("tracestate", "vendor=opaque")],
    ],
    ids=["malformed", "no version", "twice", "nothing", "long", "longer than 64 bytes", "state alone"],
)
def test_a_broken_trace_context_begins_a_new_trace(sent, server, collector):
    """W3C Trace Context §3.2.2."""
    assert httpx2.get(f"{server.url}/openapi.json", headers=sent).status_code == 200

    [span] = collector.wait(requests)
    assert span.parent == ""
    assert span.trace != TRACE
    assert span.state == ""


@pytest.mark.parametrize(
    ("states", "kept"),
    [
        (["a=" + "x" * 254 + ",b=" + "y" * 253], True),
        (["a=" + "x" * 254 + ",b=" + "y" * 254], False),
        (["a=" + "x" * 255, "b=" + "y" * 255], False),
    ],
    ids=["512 bytes", "one more", "in two headers"],
)
def test_a_state_that_is_too_long_to_read_is_dropped_and_the_trace_goes_on(states, kept, server, collector):
    """W3C Trace Context §3.3.1.5. A library split 15 KB of spaces for a tenth of a second."""
    sent = [("traceparent", CONTINUED["traceparent"]), *(("tracestate", state) for state in states)]

    assert httpx2.get(f"{server.url}/openapi.json", headers=sent).status_code == 200

    [span] = collector.wait(requests)
    assert (span.trace, span.parent) == (TRACE, CALLER)
    assert span.state == (",".join(states) if kept else "")


def test_a_request_whose_caller_keeps_no_trace_is_not_traced(server, collector):
    """The default sampler, parentbased_always_on: the flag `sampled` is 0."""
    httpx2.get(f"{server.url}/openapi.json", headers={"traceparent": f"00-{TRACE}-{CALLER}-00"})
    httpx2.get(f"{server.url}/openapi.json")

    [span] = collector.wait(requests)
    assert span.trace != TRACE


def test_the_standard_variables_name_the_service_and_keep_a_share(serve, collector):
    environment = collector.environment | {
        "OTEL_SERVICE_NAME": "login",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
        "OTEL_TRACES_SAMPLER": "traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.5",
    }
    server = serve(environment=environment, tracing="otlp")
    for trace in ("0" * 31 + "1", "f" * 32):  # the lower half is kept
        httpx2.get(f"{server.url}/openapi.json", headers={"traceparent": f"00-{trace}-{CALLER}-01"})
    assert server.stop() == 0

    [span] = collector.spans
    assert span.trace == "0" * 31 + "1"
    assert (span.service["service.name"], span.service["deployment.environment.name"]) == ("login", "test")


def test_the_spans_that_wait_are_sent_when_the_server_ends_and_none_is_of_a_probe(serve, collector):
    server = serve(environment=collector.environment | {"OTEL_BSP_SCHEDULE_DELAY": "60000"}, tracing="otlp")
    for path in ("/health/live", "/openapi.json", "/health/ready"):
        assert httpx2.get(server.url + path).status_code == 200
    assert collector.spans == []

    assert server.stop() == 0
    assert [span.name for span in collector.spans] == ["GET /openapi.json"]


def test_no_secret_is_in_a_trace_nor_in_the_log(serve, collector):
    environment = collector.environment | {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20for-the-collector"}
    server = serve(environment=environment, tracing="otlp")
    key = server.create_key("--name", "customer", "--subject", "somebody")
    pair = httpx2.post(f"{server.url}/auth/api-key", json={"apiKey": key["api_key"]}).json()
    httpx2.post(f"{server.url}/auth/refresh", json={"refreshToken": pair["refresh_token"]})
    httpx2.post(f"{server.url}/auth/refresh", json={"refreshToken": pair["refresh_token"] + "x"})
    httpx2.get(
        f"{server.url}/auth/verify?token={key['api_key']}", headers={"Authorization": f"Bearer {key['api_key']}"}
    )
    httpx2.get(f"{server.url}/{pair['access_token']}", headers={"User-Agent": key["api_key"]})
    assert server.stop() == 0

    assert len([span for span in collector.spans if requests(span)]) == 5
    assert not LOOKS_SECRET.search(collector.raw)
    for told in ("somebody", key["key_id"], "127.0.0.1", "customer"):
        assert told.encode() not in collector.raw, told
    assert set(collector.tokens) == {"Bearer for-the-collector"}
    assert "for-the-collector" not in server.log.read_text()


def test_a_collector_that_is_away_costs_spans_and_no_request(serve, collector):
    away = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}", "OTEL_BSP_MAX_QUEUE_SIZE": "64"}
    server = serve(environment=collector.environment | away | {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "64"}, tracing="otlp")
    with httpx2.Client() as client:
        took = []
        for _ in range(300):
            began = time.monotonic()
            assert client.get(f"{server.url}/openapi.json").status_code == 200
            took.append(time.monotonic() - began)

    assert sorted(took)[290] < 0.2
    server.process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    assert server.process.wait(30) == 0
    assert time.monotonic() - began < 5, "the end does not wait for a collector"
    trouble = [line for line in server.log.read_text().splitlines() if '"level": "warning"' in line or "error" in line]
    assert 1 <= len(trouble) <= 6, trouble


def test_a_collector_that_never_answers_does_not_hold_up_the_end(serve, collector, silent_port):
    away = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{silent_port}"}
    server = serve(environment=collector.environment | away, tracing="otlp")
    httpx2.get(f"{server.url}/openapi.json")
    server.process.send_signal(signal.SIGTERM)
    began = time.monotonic()

    assert server.process.wait(30) == 0
    assert time.monotonic() - began < 5
