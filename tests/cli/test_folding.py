"""Folding: text that fits stays on its line, the rest goes on below, and nothing is lost or cut without need."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hourpass.cli import folding
from hourpass.cli.folding import columns_of

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z", "M"]), max_size=60)


def test_a_table_that_fits_is_not_folded():
    assert folding.table([["a", "bb"], ["ccc", "d"]], 7) == [["a    bb"], ["ccc  d"]]


def test_a_column_too_many_goes_on_below_indented():
    rows = [["id", "name", "state"], ["0123456789", "x", "live"]]

    assert folding.table(rows, 18) == [["id         name", "    state"], ["012345678  x", "9", "    live"]]


def test_an_id_of_half_the_width_is_not_cut():
    rows = [["id", "name", "state"], ["0123456789", "x", "live"]]

    assert folding.table(rows, 20) == [["id          name", "    state"], ["0123456789  x", "    live"]]


def test_without_a_width_nothing_is_folded():
    assert folding.table([["a" * 500, "b"]], None) == [["a" * 500 + "  b"]]


@given(st.lists(st.lists(WORDS, min_size=3, max_size=3), min_size=1, max_size=5), st.integers(20, 120))
def test_no_line_of_a_table_is_wider_and_no_letter_is_lost(rows, width):
    for row, lines in zip(rows, folding.table(rows, width), strict=True):
        assert all(columns_of(line) <= width for line in lines)
        assert sorted("".join(lines).replace(" ", "")) == sorted("".join(row))


@given(st.lists(WORDS, min_size=1, max_size=20), st.integers(2, 50))
def test_wrapping_keeps_every_word_and_the_width(words, width):
    text = " ".join(words)

    lines = folding.wrapped(text, width)

    assert all(columns_of(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_wide_letters_take_two_columns_and_combining_ones_none():
    assert columns_of("日本") == 4
    assert columns_of("e\u0301") == 1
    assert folding.wrapped("日本語", 4) == ["日本", "語"]


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        ("short", ["short"]),
        ("one two three", ["one two", "      three"]),
        ("hp_production_x", ["", "hp_production_x"]),
        ("hp_production_is_wider_than_all", ["", "hp_production_is_wider_than_all"]),
    ],
)
def test_a_fact_is_wrapped_beside_its_label_or_stands_below_in_one_piece(value, lines):
    assert folding.fact(value, 4, 15) == lines


def test_a_line_goes_on_below_its_head():
    assert folding.line("bad   disk", "is full", 30) == ["bad   disk  is full"]
    assert folding.line("bad   disk  ", "is full and nobody looks", 20) == [
        "bad   disk",
        "    is full and",
        "    nobody looks",
    ]
