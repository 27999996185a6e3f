"""The second fence: every text that looks like a key or a token is struck out of every line of every logger."""

import io
import json
import logging

import pytest
from tests.server.conftest import nobodys_key

from hourpass.core.api_key import new_api_key
from hourpass.server.telemetry.telemetry import configure_logging

KEY = nobodys_key()
SANDBOX_KEY = KEY.replace("production", "sandbox")
TOKEN = "eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJodHRwOi8veCJ9.c2lnbmF0dXJl-_A"
SECRETS = {"key": KEY, "sandbox key": SANDBOX_KEY, "token": TOKEN, "its first part": TOKEN.split(".", maxsplit=1)[0]}
SECRETS["key of another prefix"] = new_api_key("production", bytes(range(32)), "acme9")[1]


@pytest.fixture
def configured():
    """`configure_logging`, whose traces in the test's process are removed afterwards."""
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield configure_logging
    root.handlers[:], root.level = before


@pytest.fixture(params=["json", "console"])
def log(request, configured):
    """All that the process logs, as text."""
    buffer = io.StringIO()
    configured(request.param, buffer)
    return buffer


LOGGER = logging.getLogger("test")

WAYS = {
    "in the event": lambda secret: LOGGER.info(secret),
    "as an argument": lambda secret: LOGGER.info("got %s and %r", secret, {"k": secret}),
    "as a value": lambda secret: LOGGER.info("got", extra={"value": secret}),
    "as bytes": lambda secret: LOGGER.info("got", extra={"value": secret.encode()}),
    "in a dictionary": lambda secret: LOGGER.info("got", extra={"value": {"deep": [secret]}}),
    "in an object": lambda secret: LOGGER.info("got", extra={"value": ValueError(secret)}),
    "twice": lambda secret: LOGGER.info("%s %s", secret, secret, extra={"value": secret}),
    "in JSON": lambda secret: LOGGER.info("got", extra={"value": json.dumps({"apiKey": secret})}),
}


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS.keys())
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_a_secret_never_reaches_a_line(log, way, secret):
    way(secret)

    assert secret not in log.getvalue()
    assert "[redacted]" in log.getvalue()


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS.keys())
def test_a_secret_in_a_traceback_never_reaches_a_line(log, secret):
    try:
        raise ValueError(f"bad: {secret}") from KeyError(secret)
    except ValueError:
        LOGGER.exception("failed")

    assert "Traceback" in log.getvalue()
    assert secret not in log.getvalue()


def test_a_text_that_is_not_a_secret_stays(log):
    LOGGER.info("listening", extra={"port": 3600, "key_id": "3fK9mZ8qLx2P", "url": "http://x.test"})

    for word in ("listening", "3600", "3fK9mZ8qLx2P", "http://x.test"):
        assert word in log.getvalue()


def test_a_json_line_is_one_object_with_time_and_level(configured):
    configured("json", buffer := io.StringIO())

    LOGGER.warning("two\nlines", extra={"n": 1})

    (line,) = buffer.getvalue().splitlines()
    assert json.loads(line).keys() == {"event", "n", "level", "timestamp"}
    assert json.loads(line)["n"] == 1
