"""Files of keys, row by row: every line is a row, a reason or wrong usage, and its number is the editor's."""

import csv
import io
import json

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hourpass.cli.operator.import_file import format_of, rows_of

cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
tables = st.lists(st.tuples(cells, cells), max_size=8)


def lines_of(text: str) -> int:
    """How many lines an editor shows of a text that ends with a line break."""
    return text.count("\n")


@given(tables)
def test_what_a_csv_writer_wrote_is_read_with_the_number_of_each_first_line(table):
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow(["key", "name"])
    expected = []
    for row in table:
        expected.append((lines_of(text.getvalue()) + 1, {"key": row[0], "name": row[1]}))
        writer.writerow(row)

    assert list(rows_of(io.BytesIO(text.getvalue().encode()), "csv")) == expected


@given(st.lists(st.dictionaries(cells, cells | st.integers(-9, 9) | st.none()), max_size=8))
def test_json_lines_are_read_with_their_numbers(rows):
    text = "".join(json.dumps(row) + "\n" for row in rows)

    assert list(rows_of(io.BytesIO(text.encode()), "jsonl")) == list(enumerate(rows, 1))


@given(st.binary(max_size=300), st.sampled_from(["csv", "jsonl"]))
def test_any_bytes_are_rows_or_reasons(data, file_format):
    for line, columns in rows_of(io.BytesIO(b"key,name\n" + data if file_format == "csv" else data), file_format):
        assert line >= 1
        assert isinstance(columns, dict) or columns.startswith(("not ", f"{columns.split()[0]} cell"))


@given(st.binary(max_size=100))
def test_any_header_is_good_or_wrong_usage(data):
    try:
        list(rows_of(io.BytesIO(data), "csv"))
    except click.UsageError as error:
        assert "header" in error.message  # noqa: PT017


@pytest.mark.parametrize(
    ("name", "file_format"),
    [("a.csv", "csv"), ("-", "csv"), ("a", "csv"), ("a.jsonl", "jsonl"), ("A.NDJSON", "jsonl")],
)
def test_the_name_of_a_file_says_its_format(name, file_format):
    assert format_of(name) == file_format
