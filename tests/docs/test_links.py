"""Nothing in the pages points at nothing: links, anchors, make targets."""

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

HTTP = ("https://", "http://")


def without_blocks(text: str) -> str:
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def links(text: str) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", without_blocks(text))


def anchors(text: str) -> set[str]:
    """The anchors that the usual renderers make of headings."""
    headings = re.findall(r"^#+ (.+)$", without_blocks(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def resolved(page: str, target: str) -> str:
    parts: list[str] = []
    for part in (PurePosixPath(page).parent / target).parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def test_every_link_between_pages_resolves(pages, root):
    local = [(page, link) for page, text in pages.items() for link in links(text) if not link.startswith(HTTP)]

    assert len(local) > 40
    for page, link in local:
        target, _, anchor = link.partition("#")
        path = resolved(page, target) if target else page
        assert (root / path).exists(), f"{page} links to {link}"
        if anchor:
            assert anchor in anchors(pages[path]), f"{page} links to {link}"


def test_every_file_to_deploy_with_has_its_row(root):
    """What it is, how it is run or checked, and what was not. A file without a row was forgotten."""
    deploy = root / "deploy"
    linked = {link for link in links((deploy / "README.md").read_text("utf-8")) if not link.startswith(("../", *HTTP))}
    files = {path.relative_to(deploy).as_posix() for path in deploy.rglob("*") if path.is_file()} - {"README.md"}

    assert linked == files


def test_links_to_elsewhere_are_encrypted(pages):
    elsewhere = [link for text in pages.values() for link in links(text) if link.startswith(HTTP)]

    assert elsewhere
    assert all(link.startswith("https://") for link in elsewhere)


def test_every_decision_has_its_four_parts(pages):
    decisions = {page for page in pages if re.fullmatch(r"docs/decisions/\d{4}-.*\.md", page)}

    assert decisions
    for page in decisions:
        for part in ("**Context.**", "**Choice.**", "**Cost.**", "**Look again**"):
            assert part in pages[page], f"{page} lacks {part}"


def test_every_page_of_a_folder_is_in_its_index_once(pages):
    indexes = [page for page in pages if re.fullmatch(r"docs/[\w-]+/index\.md", page)]

    assert len(indexes) >= 5
    for index in indexes:
        folder = index.rpartition("/")[0] + "/"
        listed = sorted(folder + link for link in links(pages[index]) if "/" not in link and not link.startswith("#"))
        assert listed == sorted(page for page in pages if page.startswith(folder) and page != index), index


def test_every_page_is_reached_from_the_readme(pages):
    reached, waiting = set(), ["README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        found = {resolved(page, link.split("#")[0]) for link in links(pages[page]) if not link.startswith((*HTTP, "#"))}
        waiting += sorted((found & pages.keys()) - reached)

    assert reached == set(pages)


def test_every_make_command_in_the_pages_is_a_target(pages, root):
    targets = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {name for text in pages.values() for name in re.findall(r"(?:^|`)make ([a-z-]+)", text, re.MULTILINE)}

    assert {"run", "test", "bench"} <= named
    assert named <= targets


PYTHON = ["src", "tests", "bench", "drill", "tools", "examples"]
"""The folders whose Python files may cite pages."""


def python_files(root: Path) -> Iterator[tuple[str, str]]:
    """Each Python file by its path in the repository, with its text."""
    for folder in PYTHON:
        for path in sorted((root / folder).rglob("*.py")):
            if "node_modules" not in path.parts:
                yield path.relative_to(root).as_posix(), path.read_text("utf-8")


def named_pages(text: str) -> list[str]:
    return re.findall(r"[\w./-]*\w\.md\b", text)


def named_headings(text: str) -> list[tuple[str, str]]:
    """The page and the heading of each citation such as `README.md, "Try it"`."""
    return re.findall(r'([\w./-]*\w\.md), "([^"\n]+)"', text)


def pages_called(name: str, pages: dict[str, str]) -> list[str]:
    """The pages whose path is the name or ends with it: `contract.md` is `docs/reference/contract.md`."""
    return [page for page in pages if f"/{page}".endswith(f"/{name}")]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("# README.md says so", ["README.md"]),
        ('ROOT / "docs" / "scaling.md"', ["scaling.md"]),
        ('"""docs/how-to/verify.md, and operate.md."""', ["docs/how-to/verify.md", "operate.md"]),
        ('"*.md", f"{name}.md", "a.mdx"', []),
    ],
)
def test_a_page_that_a_python_file_names_is_found(text, named):
    assert named_pages(text) == named


def test_every_page_that_a_python_file_names_is_in_the_repository(pages, root):
    beside = [path for folder in PYTHON for path in (root / folder).glob("*.md")]
    known = pages | {path.relative_to(root).as_posix(): "" for path in beside}
    named = [(path, name) for path, text in python_files(root) for name in named_pages(text)]

    assert len(named) > 100
    assert [(path, name) for path, name in named if not pages_called(name, known)] == []


def test_every_heading_that_a_python_file_cites_is_in_its_page(pages, root):
    cited = [(path, *citation) for path, text in python_files(root) for citation in named_headings(text)]
    headings = {page: re.findall(r"^#+ (.+)$", without_blocks(text), re.MULTILINE) for page, text in pages.items()}

    assert len(cited) > 40
    for path, name, heading in cited:
        found = [page for page in pages_called(name, pages) if heading in headings[page]]
        assert found, f'{path} cites {name}, "{heading}"'


ROOMS_BY_COMMAND = {"cli/operator", "cli/client"}
"""Their modules are named after their commands, so the page names only those that are not."""


def test_the_architecture_shows_every_room_and_module(pages, root):
    shown = pages["docs/explanation/architecture.md"].split("```")[1]
    package = root / "src" / "hourpass"
    aliases = {path.name for path in package.rglob("*.py") if "kept for one version" in path.read_text("utf-8")}
    modules = {path for path in package.rglob("*.py") if not path.name.startswith("__") and path.name not in aliases}

    assert len(aliases) == 5
    for room in {path.parent for path in modules} - {package}:
        assert re.search(rf"^ +{re.escape(room.name)}/\s", shown, re.MULTILINE), f"{room.name}/ is not in the tree"
    for path in modules:
        if path.parent.relative_to(package).as_posix() not in ROOMS_BY_COMMAND:
            assert re.search(rf"(?<![\w/]){re.escape(path.name)}\b", shown), (
                f"{path.relative_to(root)} is not in the tree"
            )
