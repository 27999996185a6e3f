"""One word for each thing: no name that we define contains a word that the glossary forbids."""

import ast
import re

GLOSSARY = "docs/reference/glossary.md"

DICTATED = {"address_family", "allow_reuse_address", "has_permission"}
"""Names that a framework or the standard library calls us by."""


def defined_names(tree: ast.AST) -> set[str]:
    """Names that a module gives to something. Those that it only uses are others' business."""
    names = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                names.add(name)
    return names


def words_of(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def forbidden(table) -> set[str]:
    return {word for row in table(GLOSSARY, "Word") for word in row[3].split(", ") if word}


def test_a_name_is_split_into_its_words():
    assert words_of("_GrantFamily_of_HTTPSession2") == {"grant", "family", "of", "http", "session"}


def test_forbidden_words_are_in_no_name(table, root):
    banned = forbidden(table)
    assert {"session", "family", "grace"} <= banned
    for path in sorted((root / "src").rglob("*.py")):
        names = defined_names(ast.parse(path.read_text("utf-8"))) - DICTATED
        used = {name for name in names if words_of(name) & banned}
        assert not used, f"{path.relative_to(root)} defines {used}"


def test_no_word_is_both_used_and_forbidden(table):
    rows = table(GLOSSARY, "Word")
    words = [row[0] for row in rows]

    assert len(words) == len(set(words))
    assert not set(words) & forbidden(table)
    assert all(len(row) == 4 and row[1].endswith(".") for row in rows)


def test_code_of_the_first_pages_is_as_wide_as_the_site(pages):
    """88 characters are what a window of 1280 pixels shows without scrolling."""
    for page in (page for page in pages if page.startswith("docs/start/")):
        blocks = re.findall(r"```.*?```", pages[page], re.DOTALL)
        assert [line for block in blocks for line in block.splitlines() if len(line) > 88] == []


def test_prose_has_one_sentence_on_a_line(pages):
    for page, text in pages.items():
        for line in re.sub(r"```.*?```", "", text, flags=re.DOTALL).splitlines():
            if not line.startswith(("|", "#", "<")):
                prose = re.sub(r"^\s*(?:[-*]|\d+\.)\s+|`[^`]*`|\*\*.*?\*\*", "", line)
                assert not re.search(r"[a-z)]\. (?=[A-Z])", prose), f"{page}: {line}"
