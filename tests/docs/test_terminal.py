"""docs/terminal.svg: what a terminal shows if the README is followed."""

import re
import shutil
from pathlib import Path

import pytest
from tests.conftest import LOOKS_SECRET
from tools.terminal import draw, session

PICTURE = (Path(__file__).parents[2] / "docs" / "terminal.svg").read_text("utf-8")


def numbered(picture: str) -> str:
    """The picture with a number for each key and token, which are others in each run."""
    seen: dict[str, str] = {}
    return re.sub(r"…[\w-]{4}(?=\W)", lambda found: seen.setdefault(found[0], f"#{len(seen)}"), picture)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_it_shows_what_the_readmes_requests_answer(pages):
    """If it fails: `.venv/bin/python tools/terminal.py`."""
    assert numbered(draw(session(pages["README.md"]))) == numbered(PICTURE)


def test_the_retry_shows_the_same_refresh_token_and_another_access_token():
    access = re.findall(r'access_token":"<tspan class="access">([^<]+)<', PICTURE)
    refresh = re.findall(r'"refresh_token":"<tspan class="refresh">([^<]+)<', PICTURE)

    assert len(set(access)) == len(access) == 3
    assert refresh[0] != refresh[1] == refresh[2]


def test_it_shows_no_whole_key_or_token():
    assert not LOOKS_SECRET.search(PICTURE.encode())
    assert "…" in PICTURE
