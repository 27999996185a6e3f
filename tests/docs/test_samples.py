"""No page shows Python that nobody has run."""

import re

RUN_BY = {
    "README.md": "tests/client/adapters/test_samples.py",
    "docs/how-to/call-from-python.md": "tests/client/adapters/test_samples.py",
    "docs/how-to/stay-authenticated.md": "tests/client/adapters/test_samples.py",
    "docs/how-to/trace.md": "tests/tracing/test_how_to.py",
    "docs/how-to/verify.md": "tests/verifier/test_how_to.py",
    "docs/how-to/webhooks.md": "tests/webhooks/test_how_to.py",
}
"""The pages with Python in them, and the tests that run all of it."""

NOT_RUN = "# Not run by the tests: "
"""How a block begins that a page shows all the same."""


def test_every_page_with_python_is_run_or_says_that_it_is_not(pages):
    shown = {
        page: re.findall(r"^ *```python\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL) for page, text in pages.items()
    }
    to_run = {page for page, blocks in shown.items() if any(not block.startswith(NOT_RUN) for block in blocks)}

    assert to_run == set(RUN_BY)


def test_the_tests_that_run_a_page_read_it(root):
    for page, test in RUN_BY.items():
        assert f'"{page.rpartition("/")[2]}"' in (root / test).read_text("utf-8"), page
