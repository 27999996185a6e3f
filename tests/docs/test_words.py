"""One word for each thing: no name that we define contains a word that the glossary forbids."""

import ast
import re

import pytest

GLOSSARY = "docs/reference/glossary.md"

DICTATED = {"address_family", "allow_reuse_address", "has_permission"}
"""Names that a framework or the standard library calls us by."""

ROUNDABOUT = {
    "whoever, whatever": r"\bwh(?:o|om|at)ever\b",
    "anew": r"\banew\b",
    "has to": r"\bha(?:s|ve) to\b",
    "counts as": r"\bcounts? as\b(?! `)|\bdo(?:es)? not count\b",
    "is no X": r"(?<![tT]here )\b(?:is|are) no (?!longer\b|more\b|\w+er than\b)[a-z]",
}
"""Phrases for which there are plainer ones: name the thing, or say again, must, is accepted, is not an X."""

PROSE = (".py", ".md", ".html", ".sql", ".svg", ".toml", ".yml", ".conf")
"""Endings of the files in which people read words of ours."""


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


def test_every_block_of_code_has_a_language(pages):
    """Tests run or read the blocks of a language. One without would be read by no test."""
    for page, text in pages.items():
        fences = re.findall(r"^ *```(.*)$", text, re.MULTILINE)
        assert all(fences[::2]), page
        assert not any(fences[1::2]), page


def test_prose_has_one_sentence_on_a_line(pages):
    for page, text in pages.items():
        for line in re.sub(r"```.*?```", "", text, flags=re.DOTALL).splitlines():
            if not line.startswith(("|", "#", "<")):
                prose = re.sub(r"^\s*(?:[-*]|\d+\.)\s+|`[^`]*`|\*\*.*?\*\*", "", line)
                assert not re.search(r"[a-z)]\. (?=[A-Z])", prose), f"{page}: {line}"


@pytest.fixture(scope="module")
def texts(root) -> dict[str, str]:
    """Every text of ours, with the words of names apart. Migrations never change after their release."""
    folders = ("src", "docs", "examples", "bench", "tests", "tools")
    paths = [path for folder in folders for path in (root / folder).rglob("*") if path.suffix in PROSE]
    ours = [
        path for path in (*paths, *root.glob("*.md")) if "migrations" not in path.parts and path.name != "test_words.py"
    ]
    return {str(path.relative_to(root)): path.read_text("utf-8").replace("_", " ") for path in ours}


@pytest.mark.parametrize("phrase", ROUNDABOUT.values(), ids=ROUNDABOUT)
def test_no_sentence_and_no_name_has_a_roundabout_phrase(texts, phrase):
    found = [
        f"{path}: {text[at.start() - 30 : at.end() + 30]}"
        for path, text in texts.items()
        for at in re.finditer(phrase, text)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("text", "finds"),
    [
        ("a key that is no text", True),
        ("there is no text", False),
        ("it is no longer accepted", False),
        ("a file is no larger than a page", False),
    ],
)
def test_the_phrase_for_what_something_is_not_spares_plain_sentences(text, finds):
    assert bool(re.search(ROUNDABOUT["is no X"], text)) is finds
