"""docs/flow.svg tells the whole story. `test_pictures.py` has what holds for every picture."""

from xml.etree import ElementTree as ET

import pytest

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def svg(root):
    return ET.parse(root / "docs" / "flow.svg").getroot()


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
