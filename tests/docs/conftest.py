"""The documentation as the tests read it: pages by their path in the repository, and the tables in them."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def pages() -> dict[str, str]:
    """Every Markdown page of the repository's top and of docs/."""
    paths = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in sorted(paths)}


@pytest.fixture(scope="session")
def table(pages):
    """The rows of a table, found by the title of its first column: `table("docs/reference/contract.md", "Route")`."""

    def read(page: str, title: str) -> list[list[str]]:
        found: list[list[str]] = []
        for block in re.findall(r"(?:^\|.*\n)+", pages[page] + "\n", re.MULTILINE):
            rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()]
            if rows[0][0] == title:
                found += rows[2:]
        assert found, f"{page} has no table whose first column is {title}"
        return found

    return read


@pytest.fixture(scope="session")
def code():
    """The texts in backquotes, outside of blocks."""
    return lambda text: re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
