"""Pictures: they show what they are given, say it in words, and hold no style and no script."""

import re
from xml.etree import ElementTree as ET

import pytest

from hourpass.server.console.pictures import bars, curve, lifeline, phases
from hourpass.server.console.pictures.lifeline import Moment
from hourpass.server.console.pictures.phases import Life

HOSTILE = '"><script>alert(1)</script>'


def drawn(picture: str) -> ET.Element:
    return ET.fromstring(picture)


def words(picture: str) -> str:
    return drawn(picture).findtext("desc")


ALL = {
    "bars": lambda title: bars(title, [0, 3, 12]),
    "curve": lambda title: curve(title, [5, 3, 0]),
    "no bars": lambda title: bars(title, []),
    "no curve": lambda title: curve(title, []),
    "phases": lambda title: phases(title, Life(0, 10, 50, 80), 0, 100, 20),
    "lifeline": lambda title: lifeline(title, [Moment(5), Moment(9, "bad")], opened_at=0, ends_at=20, now=10),
}


@pytest.mark.parametrize("name", ALL)
def test_a_picture_is_an_image_with_a_title_and_a_description(name):
    svg = drawn(ALL[name]("What it shows"))

    ids = {each.get("id"): each.tag for each in svg}
    assert svg.get("role") == "img"
    assert [ids[name] for name in svg.get("aria-labelledby").split()] == ["title", "desc"]
    assert svg.findtext("title") == "What it shows"
    assert svg.findtext("desc")


@pytest.mark.parametrize("name", ALL)
def test_a_title_cannot_become_markup(name):
    picture = ALL[name](HOSTILE)

    assert drawn(picture).findtext("title") == HOSTILE
    assert "<script" not in picture


@pytest.mark.parametrize("name", ALL)
def test_a_picture_has_no_inline_style_and_no_colour_of_its_own(name):
    """The content security policy refuses the first, and the second would suit one theme only."""
    assert not re.search(r"style=|<style|fill=|stroke=|on\w+=", ALL[name]("Title"))


def test_two_pictures_of_a_page_do_not_share_their_ids():
    first, second = bars("Refreshes", [1, 2]), bars("Retries", [1, 2])

    assert not set(re.findall(r' id="(\w+)"', first)) & set(re.findall(r' id="(\w+)"', second))


def test_the_highest_bar_is_as_high_as_the_picture_and_the_others_in_proportion():
    [path] = [each for each in drawn(bars("Title", [0, 50, 100])) if each.get("class") == "bars accent"]

    heights = [float(found) for found in re.findall(r"v-([\d.]+)h", path.get("d"))]
    assert heights == [50, 100]


def test_one_among_thousands_is_still_seen():
    [path] = [each for each in drawn(bars("Title", [1, 100_000])) if each.get("class") == "bars accent"]

    assert "v-2h" in path.get("d")


def test_a_chart_says_its_sum_its_peak_and_its_end():
    assert words(bars("Title", [1_000, 5_000, 2], unit="in an hour")) == (
        "6,002 in all, at most 5,000 in an hour, 2 at the end."
    )
    assert words(bars("Title", [0, 0])) == "None in this time."


def test_forty_eight_bars_of_seven_charts_fit_into_eleven_kilobytes():
    assert 7 * len(bars("Title", [12_345] * 48)) < 11_000


@pytest.mark.parametrize(
    ("now", "says"),
    [
        (9, "It is published and does not sign yet."),
        (10, "It signs now."),
        (50, "It signs no more. The tokens that it signed are still verified."),
        (80, "It is gone."),
    ],
)
def test_a_signing_keys_strip_says_its_phase(now, says):
    assert words(phases("Title", Life(0, 10, 50, 80), 0, 100, now)) == says


def test_the_phases_of_a_signing_key_follow_each_other_in_proportion():
    rects = [each for each in drawn(phases("Title", Life(0, 10, 50, 80), 0, 100, 20)) if each.tag == "rect"]

    assert [(each.get("class"), each.get("x"), each.get("width")) for each in rects] == [
        ("phase published", "0", "100"),
        ("phase signing", "100", "400"),
        ("phase verify", "500", "300"),
    ]


def test_a_signing_key_without_a_successor_signs_until_now_and_then_it_is_open():
    rects = [each for each in drawn(phases("Title", Life(0, 10, None, None), 0, 100, 20)) if each.tag == "rect"]

    assert [(each.get("class"), each.get("width")) for each in rects] == [
        ("phase published", "100"),
        ("phase signing", "100"),
        ("phase signing open", "800"),
    ]


def test_a_replay_reaches_further_than_a_rotation():
    picture = lifeline("Title", [Moment(0), Moment(50, "bad")], opened_at=0, ends_at=100, now=60)
    ticks = {each.get("class"): each.get("d") for each in drawn(picture) if "tick" in each.get("class", "")}

    assert ticks == {"tick plain": "M0 16V32", "tick bad": "M500 0V48"}
    assert words(picture) == "2 moments, 1 of them grave."


def test_the_part_of_a_life_that_is_over_is_solid():
    lines = [
        (each.get("class"), each.get("d"))
        for each in drawn(lifeline("Title", [], opened_at=0, ends_at=100, now=25))
        if each.get("class") in {"lived", "ahead"}
    ]

    assert lines == [("lived", "M0 24H250"), ("ahead", "M250 24H1000")]


@pytest.mark.parametrize("draw", [bars, curve])
def test_without_any_event_only_the_base_is_drawn(draw):
    assert [each.get("class") for each in drawn(draw("Title", [0, 0, 0])) if each.get("class")] == ["base"]
