"""docs/reference/standards.md: the tests that it names are there, and no test of a standard is left out."""

PAGE = "docs/reference/standards.md"


def test_every_test_that_the_table_names_is_there(table, code, root):
    named = {path for row in table(PAGE, "Standard") for path in code(row[3])}

    assert [path for path in named if not (root / path).is_file()] == []
    assert {path.relative_to(root).as_posix() for path in (root / "tests/spec").glob("test_*.py")} <= named


def test_no_standard_is_both_followed_and_not_there(table, pages):
    missing = pages[PAGE].rpartition("Not there:")[2]

    for row in table(PAGE, "Standard"):
        assert row[0].split(",")[0] not in missing
