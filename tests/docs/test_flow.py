"""docs/flow.svg: a picture that any viewer may show, and that says in words what it shows."""

from xml.etree import ElementTree as ET

import pytest

SVG = "{http://www.w3.org/2000/svg}"
ALLOWED = {"svg", "title", "desc", "style", "defs", "marker", "rect", "path", "text", "tspan", "g"}


@pytest.fixture(scope="module")
def svg(root):
    return ET.parse(root / "docs" / "flow.svg").getroot()


def test_it_is_made_of_shapes_and_text_alone(svg):
    """No script, no image, nothing foreign, nothing that calls elsewhere."""
    assert {element.tag.removeprefix(SVG) for element in svg.iter()} <= ALLOWED
    for element in svg.iter():
        for name, value in element.attrib.items():
            assert not name.lower().startswith("on")
            assert "href" not in name
            assert "url(" not in value.replace("url(#", "")


def test_its_style_fetches_nothing_and_knows_dark_pages(svg):
    style = svg.find(f"{SVG}style").text

    assert "url(" not in style
    assert "@import" not in style
    assert "prefers-color-scheme: dark" in style


def test_it_is_readable_at_800_pixels_and_has_its_own_ground(svg):
    _, _, width, height = map(float, svg.get("viewBox").split())
    ground = svg.find(f"{SVG}rect")

    assert width == 800
    assert float(ground.get("width")) >= width - 1
    assert float(ground.get("height")) >= height - 1


def test_its_title_and_description_are_what_a_screen_reader_says(svg):
    named = {element.get("id"): element.text for element in svg.iter() if element.get("id")}

    assert svg.get("role") == "img"
    for name in svg.get("aria-labelledby").split():
        assert len(named[name]) > 40


def test_it_tells_the_whole_story(svg):
    told = " ".join(" ".join("".join(text.itertext()).split()) for text in svg.iter(f"{SVG}text"))

    for part in (
        "POST /auth/api-key",
        "/auth/verify",
        "401",
        "POST /auth/refresh",
        "lost",
        "the same token 2",
        "replayed",
    ):
        assert part in told
