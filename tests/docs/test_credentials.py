"""No page shows a key or a token as an argument of a program, or a file with one that others may read."""

import re

import pytest

OF_THE_DEMO = "README.md"
"""Its three requests are those of `make run`, whose key ends with the demo."""

ELSEWHERE = ("bench", "deploy", "examples")
"""Folders with a README.md of their own."""

BUILT_IN = re.compile(r"""\b(?:printf|echo) ('[^']*'|"[^"]*"|%s)(?: "[^"|]*")*""")
"""Commands of the shell itself: their arguments are in no list of processes."""

AS_ARGUMENT = re.compile(
    r"Bearer (?=[$e…])|\bhp_[a-z]+_|\"(?:apiKey|refreshToken)\"|\$\{?(?:HOURPASS_)?(?:API_KEY|TOKEN)\b|"
    r"\$\((?:hourpass (?:token|auth-header)|cat [^)]*(?:key|token|header))",
)
KEPT = re.compile(
    r"(?:\bhourpass (?:token|auth-header)|\bhourpass keys (?:create|rotate)|access_token).*(?<!2)> ?[\w\"$]"
    r"|(?<!2)> ?[\w./~\"$-]*(?:key|keys|token|secret|header|password|url|dump)(?:\.(?:txt|jsonl|key))?\"?(?:[\s)]|$)"
)
"""A redirection of what holds a key or a token, or into a file that is called so."""


def commands(page: str) -> list[str]:
    """The commands of a page's shell blocks and of the scripts in its YAML, each on one line."""
    blocks = re.findall(r"^ *```(?:sh|yaml)\n(.*?)^ *```$", page, re.MULTILINE | re.DOTALL)
    return [line.strip() for block in blocks for line in re.sub(r"(\||\\)\n\s*", r"\1 ", block).splitlines()]


def argument(line: str) -> str | None:
    """The credential that a line hands to a program. An assignment of the shell's is not an argument."""
    found = AS_ARGUMENT.search(re.sub(r"^\s*\w+=.*", "", BUILT_IN.sub("", line)))
    return found and found[0]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('curl -H "$(hourpass auth-header)" URL', "$(hourpass auth-header"),
        ('curl --header "Authorization: Bearer $(cat token.txt)" URL', "Bearer "),
        ('curl -d "$(cat key.txt)" URL', "$(cat key"),
        ('curl -u "$KEY_ID:$API_KEY" URL', "$API_KEY"),
        ('curl -d \'{"apiKey":"…"}\' URL', '"apiKey"'),
        ("hourpass auth-header | curl --header @- URL", None),
        ('printf \'{"apiKey":"%s"}\' "$(cat key.txt)" | curl -d @- URL', None),
        ("token=$(hourpass token) || exit", None),
    ],
)
def test_a_credential_in_an_argument_is_found(line, found):
    assert argument(line) == found


@pytest.mark.parametrize(
    "line",
    [
        "head -c 32 /dev/urandom | base64 > master-key",
        "cat > key.txt        # paste the key",
        "pg_dump hourpass > hourpass.dump",
        "cat > database-url",
        "(true; cat > /etc/hourpass/master.key)",
    ],
)
def test_a_file_that_is_called_like_a_secret_is_found(line):
    assert KEPT.search(line)
    assert not KEPT.search(line.replace(">", "2>"))


@pytest.fixture(scope="module")
def shown(pages, root) -> dict[str, list[str]]:
    texts = pages | {folder: (root / folder / "README.md").read_text("utf-8") for folder in ELSEWHERE}
    return {page: commands(text) for page, text in texts.items()}


def test_no_page_shows_a_key_or_a_token_as_an_argument(shown):
    found = {(page, line) for page, lines in shown.items() for line in lines if argument(line)}

    assert {line.split()[0] for page, line in found if page == OF_THE_DEMO} == {"curl"}
    assert sorted(line for page, line in found if page != OF_THE_DEMO) == []


def test_a_file_that_gets_a_key_or_a_token_is_made_for_its_user_alone(shown):
    keeping = [(page, lines, line) for page, lines in shown.items() for line in lines if KEPT.search(line)]

    assert len(keeping) >= 5
    for page, lines, line in keeping:
        before = "\n".join([*lines[: lines.index(line)], line.partition(">")[0]])
        name = line.rpartition("> ")[2].split()[0]
        assert "umask 077" in before or f"install -m 600 /dev/null {name}" in before, f"{page}: {line}"


def test_no_sentence_shows_one_either(pages):
    told = [
        (page, code) for page, text in pages.items() for code in re.findall(r"`((?:curl|http|wget) [^`\n]+)`", text)
    ]

    assert [(page, code) for page, code in told if argument(code)] == []
