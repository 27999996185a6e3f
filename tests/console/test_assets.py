"""The console's files: what others wrote is as they published it, and all of them are small."""

import gzip
import re
import tomllib
from hashlib import sha256
from importlib import resources

import pytest

from hourpass.server.console.assets import assets, assets_by_path

FOLDER = resources.files("hourpass.server.console").joinpath("assets")
VENDORED = tomllib.loads(FOLDER.joinpath("vendored.toml").read_text("utf-8"))
OWN = {"console.css", "console.js", "icon.svg"}


@pytest.mark.parametrize("name", VENDORED)
def test_a_vendored_file_is_the_published_one_and_comes_with_its_licence(name):
    told = VENDORED[name]

    assert sha256(FOLDER.joinpath(told["file"]).read_bytes()).hexdigest() == told["sha256"]
    assert "WARRANTIES" in FOLDER.joinpath(told["licence_file"]).read_text("utf-8")


def test_every_served_file_is_ours_or_is_listed_as_vendored():
    assert assets().keys() == OWN | {told["file"] for told in VENDORED.values()}


def test_the_name_of_a_file_holds_its_digest():
    for path, asset in assets_by_path().items():
        assert sha256(asset.body).hexdigest().startswith(path.split(".")[-2])


def test_the_compressed_file_is_the_same_file():
    for asset in assets().values():
        assert gzip.decompress(asset.compressed) == asset.body


def test_all_files_together_leave_room_for_a_page_of_sixty_kilobytes():
    assert sum(len(asset.compressed) for asset in assets().values()) < 40_000


def test_nothing_of_ours_names_another_host():
    for name in OWN:
        found = re.findall(rb"(?:https?:)?//[a-z][\w.-]+", assets()[name].body)
        assert set(found) <= {b"http://www.w3.org"}, name


def test_the_stylesheet_has_a_colour_for_each_name_in_both_themes():
    css = assets()["console.css"].body.decode()
    light, dark = (set(re.findall(r"^\s+(--[\w-]+): #", part, re.MULTILINE)) for part in css.split("@media", 2)[:2])

    assert light == dark
    assert set(re.findall(r"var\((--[\w-]+)\)", css)) <= set(re.findall(r"^\s+(--[\w-]+):", css, re.MULTILINE))
    assert not re.search(r"#[0-9a-f]{3,8}\b", css.split("*,")[1]), "a colour has a name"
