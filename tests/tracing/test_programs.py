"""The spans of client and verifier in programs that use OpenTelemetry, each in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import LOOKS_SECRET, clean_environment, free_port
from tests.tracing.collector import of, tree

INTERNAL, SERVER, CLIENT = 1, 2, 3
PROGRAM = Path(__file__).with_name("program.py")


@pytest.fixture
def run(collector):
    """Runs a program to its end. All its spans have then been sent."""

    def run(what: str, *arguments: str) -> list:
        done = subprocess.run(
            [sys.executable, "-W", "error", PROGRAM, what, *arguments],
            env=clean_environment(**collector.environment),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture
def key(server):
    return server.create_key("--subject", "somebody")["api_key"]


def test_a_job_an_exchange_and_the_server_are_one_trace(run, server, key, collector):
    assert run("exchange", server.url, key) == "token"

    collector.wait(lambda span: span.kind == SERVER)
    assert tree(of(collector, "job")) == {
        "job": {
            "hourpass.refresh": {
                "POST /auth/api-key": {"POST /auth/api-key": {"hourpass.ledger.reads": {}, "hourpass.ledger": {}}}
            }
        }
    }
    [post] = collector.wait(lambda span: span.kind == CLIENT)
    assert post.facts == {
        "http.request.method": "POST",
        "url.full": f"{server.url}/auth/api-key",
        "http.response.status_code": 200,
    }
    [refresh] = collector.wait(lambda span: span.name == "hourpass.refresh")
    names = ["locked", "posting", "answered", "exchanged", "written", "published"]
    assert refresh.events == [f"hourpass.{name}" for name in names]
    assert not LOOKS_SECRET.search(collector.raw)
    assert b"somebody" not in collector.raw


def test_a_refused_key_makes_both_spans_an_error_without_its_words(run, server, collector):
    wrong = "hp_production_" + "0" * 12 + "_" + "A" * 43
    assert run("exchange", server.url, wrong) == "LoginRequired"

    [post] = collector.wait(lambda span: span.kind == CLIENT)
    [refresh] = collector.wait(lambda span: span.name == "hourpass.refresh")
    assert (post.is_error, post.facts["error.type"]) == (True, "400")
    assert (refresh.is_error, refresh.facts["error.type"]) == (True, "invalid_grant")
    assert wrong.encode() not in collector.raw


def test_a_server_that_is_away_makes_both_spans_an_error(run, collector):
    away = f"http://127.0.0.1:{free_port()}"
    assert run("exchange", away, "x" * 40) == "Unavailable"

    [post, *_] = collector.wait(lambda span: span.kind == CLIENT)
    [refresh, *_] = collector.wait(lambda span: span.name == "hourpass.refresh")
    assert (post.is_error, post.facts["error.type"]) == (True, "ConnectError")
    assert (refresh.is_error, refresh.facts["error.type"]) == (True, "temporarily_unavailable")


@pytest.mark.parametrize("surface", ["asgi", "wsgi"])
def test_a_verification_is_a_span_inside_the_request(surface, run, server, key, collector):
    statuses = run(surface, server.url, key, "good", "bad", "none")
    assert statuses == [200, 401, 401]

    spans = collector.wait(lambda span: span.name == "hourpass.verify", 3)
    inside = [tree(of(collector, f"request {kind}")) for kind in ("good", "bad", "none")]
    assert inside == [{f"request {kind}": {"hourpass.verify": {}}} for kind in ("good", "bad", "none")]
    assert [span.facts.get("error.type") for span in spans] == [None, "signature", None]
    assert not any(span.is_error for span in spans)
    assert b"somebody" not in collector.raw
    assert not LOOKS_SECRET.search(collector.raw)


def test_a_wait_for_news_of_revocations_is_not_traced(run, server, key, collector):
    """A verifier asks for a snapshot, and then waits for what comes after it."""
    assert run("poll", server.url, key)

    polls = [span for span in collector.spans if span.name == "GET /auth/revocations"]
    assert [span.kind for span in polls if span.kind == CLIENT] == [CLIENT], "the snapshot alone"
    assert all(span.parent for span in polls if span.kind == SERVER)


def test_what_a_verifier_fetches_is_a_trace_of_its_own_that_the_server_continues(run, server, key, collector):
    run("asgi", server.url, key, "good")

    for path in ("/.well-known/jwks.json", "/auth/revocations"):
        [begun, *_] = collector.wait(lambda span, path=path: span.kind == CLIENT and span.name == f"GET {path}")
        [continued] = collector.wait(lambda span, begun=begun: span.parent == begun.id)
        assert (begun.parent, begun.facts["url.full"]) == ("", server.url + path)
        assert (continued.kind, continued.facts["http.route"]) == (SERVER, path)


@pytest.mark.parametrize("surface", ["asgi", "wsgi"])
def test_a_raw_key_takes_the_trace_to_the_server(surface, run, server, key, collector):
    assert run(surface, server.url, key, "key") == [200]

    collector.wait(lambda span: span.kind == SERVER and span.name == "GET /auth/verify")
    inside = tree(of(collector, "request key"))["request key"]
    assert inside["hourpass.verify"].keys() == {"GET /auth/verify"}
    assert inside["hourpass.verify"]["GET /auth/verify"].keys() == {"GET /auth/verify"}
    assert not LOOKS_SECRET.search(collector.raw)


def test_a_mounted_server_adds_the_ledger_to_the_frameworks_span(run, collector):
    assert run("mount") == 200

    collector.wait(lambda span: span.name == "hourpass.ledger")
    assert tree(of(collector, "of a framework")) == {
        "of a framework": {"hourpass.ledger.reads": {}, "hourpass.ledger": {}}
    }


def test_a_program_without_opentelemetry_does_not_load_it(server, key):
    program = (
        "import sys\n"
        "from hourpass.client import TokenSource\n"
        "from hourpass.verifier import Verifier\n"
        "import hourpass.verifier.asgi, hourpass.verifier.wsgi\n"
        "url, key = sys.argv[1:]\n"
        "with TokenSource(url, key) as source, Verifier(issuer=url, audience=url) as verifier:\n"
        "    verifier.verify(source.token())\n"
        "assert not [name for name in sys.modules if 'opentelemetry' in name]\n"
    )
    done = subprocess.run([sys.executable, "-c", program, server.url, key], env=clean_environment(), check=False)
    assert done.returncode == 0
