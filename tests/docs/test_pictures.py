"""docs/*.svg: pictures that any viewer may show, on light and on dark pages, and that say in words what they show."""

import re
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree as ET

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PICTURES = sorted(path.name for path in DOCS.glob("*.svg"))
SVG = "{http://www.w3.org/2000/svg}"
ALLOWED = {"svg", "title", "desc", "style", "defs", "marker", "rect", "circle", "path", "text", "tspan", "g"}
DECORATION = {"life", "line"}
"""The classes of paths that only guide the eye."""

Colours = dict[str, dict[str, str]]
"""Fill and stroke, by tag or by class with its dot, in the order of the style."""


class Rect(NamedTuple):
    """An area that is painted behind what comes after it."""

    x: float
    y: float
    width: float
    height: float
    colour: str

    def holds(self, x: float, y: float) -> bool:
        return self.x <= x <= self.x + self.width and self.y <= y <= self.y + self.height


@pytest.fixture(scope="module", params=PICTURES)
def picture(request):
    return ET.parse(DOCS / request.param).getroot()


def palettes(picture) -> dict[str, Colours]:
    style = picture.find(f"{SVG}style").text
    [dark] = re.findall(r"@media \(prefers-color-scheme: dark\) \{(.*?\})\s*\}", style, re.DOTALL)
    light = colours(style.partition("@media")[0])
    over = colours(dark)
    return {"light": light, "dark": {name: {**told, **over.get(name, {})} for name, told in light.items()}}


def colours(style: str) -> Colours:
    found: Colours = {}
    for names, told in re.findall(r"([^{}]+)\{([^{}]*)\}", style):
        for name in names.split(","):
            painted = re.findall(r"(?<![\w-])(fill|stroke): ([^;]+);", told)
            found.setdefault(name.strip(), {}).update(painted)
    return found


def of(element, what: str, palette: Colours, inherited: str = "none") -> str:
    """The colour of an element: the last rule of its classes, else of its tag, else its parent's."""
    classes = [f".{name}" for name in element.get("class", "").split()]
    told = [paint[what] for name, paint in palette.items() if name in classes and what in paint]
    return told[-1] if told else palette.get(element.tag.removeprefix(SVG), {}).get(what, inherited)


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def painted(picture, palette: Colours):
    """Each piece of text, with its colour and the colour of what is behind it."""
    behind: list[Rect] = []
    for element in picture.iter():
        if element.tag == f"{SVG}rect" and (fill := of(element, "fill", palette)) != "none":
            behind.append(Rect(*(float(element.get(name, 0)) for name in ("x", "y", "width", "height")), fill))
        if element.tag == f"{SVG}text":
            inward = -3 if "end" in element.get("class", "").split() else 3
            x, y = float(element.get("x")) + inward, float(element.get("y")) - 4
            ground = next(rect.colour for rect in reversed(behind) if rect.holds(x, y))
            fill = of(element, "fill", palette)
            yield "".join(element.itertext()), fill, ground
            for part in element.iter(f"{SVG}tspan"):
                yield "".join(part.itertext()), of(part, "fill", palette, fill), ground


def test_contrast_is_computed_as_wcag_does():
    assert contrast("#000000", "#ffffff") == 21
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_it_is_made_of_shapes_and_text_alone(picture):
    """No script, no image, nothing foreign, nothing that calls elsewhere."""
    assert {element.tag.removeprefix(SVG) for element in picture.iter()} <= ALLOWED
    for element in picture.iter():
        for name, value in element.attrib.items():
            assert not name.lower().startswith("on")
            assert "href" not in name
            assert "url(" not in value.replace("url(#", "")
    style = picture.find(f"{SVG}style").text
    assert "url(" not in style
    assert "@import" not in style


def test_it_is_readable_at_800_pixels_and_has_its_own_ground(picture):
    _, _, width, height = map(float, picture.get("viewBox").split())
    ground = picture.find(f"{SVG}rect")

    assert width == 800
    assert float(ground.get("width")) >= width - 1
    assert float(ground.get("height")) >= height - 1


def test_its_title_and_description_are_what_a_screen_reader_says(picture):
    named = {element.get("id"): element.text for element in picture.iter() if element.get("id")}

    assert picture.get("role") == "img"
    assert len(picture.get("aria-labelledby").split()) == 2
    assert all(len(named[name]) > 40 for name in picture.get("aria-labelledby").split())


def test_it_has_a_palette_for_dark_pages_in_which_every_colour_is_another(picture):
    light, dark = palettes(picture)["light"], palettes(picture)["dark"]
    same = [name for name, told in light.items() if any(dark[name][what] == told[what] != "none" for what in told)]

    assert same == []
    assert luminance(dark[".panel"]["fill"]) < 0.05 < 0.9 < luminance(light[".panel"]["fill"])


@pytest.mark.parametrize("page", ["light", "dark"])
def test_every_word_stands_out_from_what_is_behind_it(page, picture):
    """WCAG 2.2, 1.4.3: a contrast of 4.5."""
    words = list(painted(picture, palettes(picture)[page]))

    assert len(words) > 10
    assert [word for word, colour, ground in words if contrast(colour, ground) < 4.5] == []


@pytest.mark.parametrize("page", ["light", "dark"])
def test_every_line_and_area_that_means_something_stands_out(page, picture):
    """WCAG 2.2, 1.4.11: a contrast of 3."""
    palette = palettes(picture)[page]
    ground = palette[".panel"]["fill"]
    for path in picture.iter(f"{SVG}path"):
        if not DECORATION & set(path.get("class").split()):
            seen = [colour for what in ("fill", "stroke") if (colour := of(path, what, palette)) != "none"]
            assert max(contrast(colour, ground) for colour in seen) >= 3, path.get("class")
