"""RELEASING.md and what the pages say about installing: hourpass is on no index yet."""

import re
import tomllib

import pytest

from hourpass import __version__

PAGE = "RELEASING.md"

INSTALL_FROM_AN_INDEX = r"pip install (?:-\S+ )*['\"]?hourpass(?!\[[a-z,]+\] @ git\+)"


def project(root) -> dict:
    return tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]


def test_the_table_of_what_was_run_has_every_extra(table, root):
    extras = {row[0].strip("`") for row in table(PAGE, "Extra")}

    assert extras == {"none", *project(root)["optional-dependencies"]}


def test_the_version_is_the_same_wherever_it_is_written(root):
    assert project(root)["version"] == __version__


def test_pages_install_from_the_repository_as_long_as_no_index_has_hourpass(pages):
    """What a command says is another matter: it is installed, and pip takes an extra from there."""
    assert "A release on a package index" in pages["README.md"], "now the pages may say pip install hourpass"
    for name in pages.keys() - {PAGE, "CHANGELOG.md"}:
        assert not re.search(INSTALL_FROM_AN_INDEX, pages[name]), name


@pytest.mark.parametrize(
    ("line", "index"),
    [
        ("pip install hourpass", True),
        ("pip install 'hourpass[client]'", True),
        ('pip install --quiet "hourpass[client]"', True),
        ("pip install 'hourpass[client] @ git+https://git.example.com/hourpass.git'", False),
        ("pip install '.[server]'", False),
    ],
)
def test_an_installation_from_an_index_is_told_from_one_of_the_repository(line, index):
    assert bool(re.search(INSTALL_FROM_AN_INDEX, line)) == index


@pytest.mark.parametrize(
    ("page", "extra"),
    [("stay-authenticated", "client"), ("call-from-python", "client"), ("agent", "client"), ("verify", "verifier")],
)
def test_a_page_for_those_without_a_checkout_says_how_to_install_what_it_needs(page, extra, pages):
    assert f"pip install 'hourpass[{extra}] @ git+<" in pages[f"docs/how-to/{page}.md"]


def test_every_extra_that_a_page_names_is_declared(pages, root):
    declared = set(project(root)["optional-dependencies"])
    for name, text in pages.items():
        for extras in re.findall(r"(?:hourpass|\.)\[([a-z0-9,]+)\]", text):
            assert set(extras.split(",")) <= declared, name
