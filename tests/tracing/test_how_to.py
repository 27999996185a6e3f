"""docs/how-to/trace.md: its program runs as it stands there, and makes the trace that is drawn there."""

import re
import subprocess
import sys
from pathlib import Path

from tests.conftest import clean_environment
from tests.tracing.collector import of

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "trace.md").read_text("utf-8")
BLOCKS = dict(reversed(re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)))
"""The first block of each language."""


def drawn(spans, parent: str = "", depth: int = 0):
    for span in sorted((span for span in spans if span.parent == parent), key=lambda span: span.start):
        yield f"{'  ' * depth}{span.name}", span.service["service.name"]
        yield from drawn(spans, span.id, depth + 1)


def test_the_program_and_the_server_make_the_trace_that_is_drawn(server, collector):
    assert "hourpass serve --tracing otlp" in BLOCKS["sh"]
    key = server.create_key()["api_key"]
    program = f"api_key = {key!r}\n" + BLOCKS["python"].replace("https://auth.example.com", server.url)
    subprocess.run([sys.executable, "-c", program], env=clean_environment(**collector.environment), check=True)

    collector.wait(lambda span: span.name == "POST /auth/api-key", 2)
    found = list(drawn(of(collector, "nightly report")))
    assert found == [tuple(re.split(r"(?<=\S)  +", line)) for line in BLOCKS["text"].splitlines()]


def test_every_span_that_it_names_exists(server):
    """The table is read against the code: the names of spans are literals there."""
    source = "".join(file.read_text() for file in (Path(__file__).parents[2] / "src").rglob("*.py"))
    named = set(re.findall(r"`(hourpass\.[a-z]+)`", PAGE)) - {"hourpass.posting"}
    assert named == set(re.findall(r"[\"'](hourpass\.(?:ledger|refresh|verify))[\"']", source))
