"""Templates: everything is escaped, a missing value is an error, and instants read the same everywhere."""

import re
from importlib import resources

import jinja2
import pytest
from markupsafe import Markup

from hourpass.server.console.rendering import as_instant, render_page, show_ago, show_count, show_moment, show_span

TEMPLATES = resources.files("hourpass.server.console").joinpath("templates")
SOURCES = {file.name: file.read_text("utf-8") for file in TEMPLATES.iterdir()}
NOON = 1_796_040_000_000


@pytest.mark.parametrize("name", SOURCES)
def test_no_template_switches_escaping_off_or_has_inline_script_or_style(name):
    source = SOURCES[name]

    assert not re.search(r"\|\s*safe\b|autoescape|Markup", source)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|hx-on", source)
    assert not re.search(r"<script(?![^>]* src=)", source)


def test_a_page_that_lacks_a_value_is_an_error():
    with pytest.raises(jinja2.UndefinedError):
        render_page("refused.html", {"status": 404, "title": "No such page"})


def test_a_value_cannot_become_markup():
    page = render_page(
        "refused.html",
        {"status": 404, "title": "<b>bold</b>", "words": "&", "again": "", "request_id": '"', "form_token": ""},
    ).decode()

    assert "&lt;b&gt;bold&lt;/b&gt;" in page
    assert "<b>" not in page


@pytest.mark.parametrize(
    "at", [NOON, "2026-11-30T12:00:00Z", "2026-11-30T13:00:00+01:00"], ids=["milliseconds", "utc", "elsewhere"]
)
def test_an_instant_is_shown_in_utc(at):
    assert as_instant(at).timestamp() * 1000 == NOON
    assert show_moment(at) == Markup(
        '<time class="nowrap" datetime="2026-11-30T12:00:00Z">30 Nov 2026, 12:00:00 UTC</time>'
    )


def test_an_instant_that_never_was_has_a_word():
    assert show_moment(None, "never") == "never"
    assert show_ago(None, NOON) == "never"


@pytest.mark.parametrize(
    ("distance", "words"),
    [
        (0, "just now"),
        (999, "just now"),
        (59_999, "59 s ago"),
        (60_000, "1 min ago"),
        (90_000, "1 min 30 s ago"),
        (26 * 3_600_000, "1 d 2 h ago"),
        (40 * 86_400_000, "40 d ago"),
        (-1, "now"),
        (-999, "now"),
        (-1_000, "in 1 s"),
        (-3_600_000, "in 1 h"),
    ],
)
def test_a_distance_is_in_units_that_matter(distance, words):
    assert re.sub("<[^>]+>", "", show_ago(NOON - distance, NOON)) == words


def test_a_number_agrees_with_its_noun():
    assert show_count(1, "grant") == "1 grant"
    assert show_count(12_400, "grant") == "12,400 grants"
    assert show_count(2, "entry", "entries") == "2 entries"
    assert show_count(12_400) == "12,400"
    assert show_span(0) == "0 s"
