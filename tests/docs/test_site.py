"""The site that `make docs` builds: without a warning, complete, and it loads nothing from another host."""

import fcntl
import inspect
import json
import os
import re
import subprocess
import sys
from html import unescape
from html.parser import HTMLParser
from importlib import import_module

import pytest

from hourpass import client, verifier
from hourpass.admin.member_words import MEMBERS, OF_SHAPE

LOADS = {
    "audio": "src",
    "embed": "src",
    "iframe": "src",
    "img": "src",
    "link": "href",
    "object": "data",
    "script": "src",
    "source": "srcset",
    "video": "src",
}
"""What a browser fetches for a page by itself, by element and attribute."""


class Loaded(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.urls: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        members = dict(attrs)
        if tag in LOADS and members.get(LOADS[tag]):
            self.urls.append(members[LOADS[tag]])


def is_elsewhere(url: str) -> bool:
    return bool(re.match(r"\s*(?:[a-z][a-z0-9+.-]*:)?//", url, re.IGNORECASE))


@pytest.fixture(scope="session")
def site(root, tmp_path_factory):
    """Built by the first process of the tests that needs it. The others wait for it."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "documentation"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "html").exists():
            done = subprocess.run(
                [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", "--conf-dir", "docs",
                 "-d", folder / "doctrees", ".", folder / "html"],
                cwd=root, capture_output=True, text=True, timeout=120, check=False,
            )  # fmt: skip
            assert (done.returncode, done.stderr) == (0, "")
    return folder / "html"


@pytest.mark.parametrize(
    ("url", "elsewhere"),
    [
        ("https://cdn.example/x.js", True),
        ("//cdn.example/x.js", True),
        ("../_static/x.js", False),
        ("data:image/png;base64,", False),
    ],
)
def test_a_url_of_another_host_is_told_from_one_of_the_site(url, elsewhere):
    assert is_elsewhere(url) == elsewhere


def test_every_page_is_in_the_site(site, pages):
    assert [page for page in pages if not (site / page).with_suffix(".html").exists()] == []
    assert "docs/index.html" in (site / "index.html").read_text("utf-8")


def test_a_browser_loads_nothing_from_another_host(site):
    loaded = {path: Loaded(path.read_text("utf-8")).urls for path in site.rglob("*.html")}
    for path in [*site.rglob("*.css"), *site.rglob("*.svg")]:
        loaded[path] = re.findall(r"(?:url\(\s*|@import\s+|href=)[\"']?((?!url)[^\"')\s]+)", path.read_text("utf-8"))
    for path in site.rglob("*.js"):
        loaded[path] = re.findall(r"(?:fetch|import|importScripts)\s*\(\s*[\"'`]([^\"'`]+)", path.read_text("utf-8"))

    assert sum(map(len, loaded.values())) > 100
    assert {str(path): urls for path, urls in loaded.items() if any(map(is_elsewhere, urls))} == {}


def test_the_search_finds_a_word_of_a_page(site):
    text = (site / "searchindex.js").read_text("utf-8")
    index = json.loads(text.removeprefix("Search.setIndex(").removesuffix(")"))

    found = index["terms"]["pepper"]
    names = [index["docnames"][number] for number in ([found] if isinstance(found, int) else found)]
    assert "docs/reference/glossary" in names


def test_every_public_name_is_in_the_python_reference(site, pages):
    """Those of `__all__`, and all that a page imports."""
    page = pages["docs/reference/python.md"]
    explained = {
        (module, name)
        for module, names in re.findall(r"<!-- python ([\w.]+): (.*?) -->", page)
        for name in names.split()
    }
    imported = {
        (module, name)
        for text in pages.values()
        for module, names in re.findall(r"\bfrom (hourpass[\w.]*) import (\w+(?:, \w+)*)", text)
        for name in names.split(", ")
    }
    public = {(module.__name__, name) for module in (client, verifier) for name in module.__all__}

    assert len(imported) > 10
    assert (public | imported) - explained == set()
    reference = (site / "docs/reference/python.html").read_text("utf-8")
    assert [name for name in explained if f'id="{".".join(name)}"' not in reference] == []


def test_what_the_python_reference_says_of_a_name_is_its_docstring(site):
    reference = re.sub(r"<[^>]+>", "", (site / "docs/reference/python.html").read_text("utf-8"))

    for module, name in [("hourpass.client", "TokenSource"), ("hourpass.verifier", "Verifier")]:
        first = inspect.getdoc(getattr(import_module(module), name)).split(".")[0]
        assert first in reference


def test_every_command_has_its_options_in_the_command_reference(site):
    reference = re.sub(r"<[^>]+>", "", (site / "docs/reference/commands.html").read_text("utf-8"))

    assert "Usage: hourpass keys create [OPTIONS]" in reference
    assert "--absolute-lifetime" in reference


def test_every_member_of_the_admin_api_is_explained_in_its_reference(site):
    page = (site / "docs/reference/admin-api.html").read_text("utf-8").replace("’", "'")
    reference = unescape(re.sub(r"<[^>]+>", "", page))
    missing = {words for words in (*MEMBERS.values(), *OF_SHAPE.values()) if words.replace("`", "") not in reference}

    assert missing == set()
