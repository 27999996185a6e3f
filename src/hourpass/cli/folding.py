"""Folds tables, facts and lines that are wider than the terminal. Pure. Widths are in columns.

An id is not cut if the terminal is wide enough for it, so a person can copy it in one piece.
"""

import unicodedata
from collections.abc import Sequence

GAP = "  "
INDENT = "    "
"""In front of a text that goes on below."""


def columns_of(text: str) -> int:
    """How many columns a text takes: East Asian wide characters take two, combining ones none."""
    return sum(_columns_of_letter(letter) for letter in text)


def wrapped(text: str, width: int, *, cut: bool = True) -> list[str]:
    """Lines of at most `width`, broken at spaces. A longer word is cut, or without `cut` gets a line of its own."""
    lines: list[str] = []
    line: str | None = None
    for word in text.split(" "):
        longer = word if line is None else f"{line} {word}"
        if columns_of(longer) <= width:
            line = longer
            continue
        if line is not None:
            lines.append(line)
        while cut and columns_of(word) > width:
            fitting = _fitting(word, width)
            lines.append(word[:fitting])
            word = word[fitting:]  # noqa: PLW2901
        line = word
    return [*lines, line or ""]


def table(rows: Sequence[Sequence[str]], width: int | None) -> list[list[str]]:
    """The lines of each row, aligned. Columns that do not fit on the first line go on the next one, indented.

    Without a width nothing is folded.
    """
    widths = [max(columns_of(row[i]) for row in rows) for i in range(len(rows[0]))]
    if width is None or sum(widths) + len(GAP) * (len(widths) - 1) <= width:
        return [[_joined(row, widths)] for row in rows]
    groups = _groups([min(each, width // 2) for each in widths], width)
    return [_folded(row, groups) for row in rows]


def line(head: str, text: str, width: int | None) -> list[str]:
    """A head and a text after it. If they are too wide for one line, the text goes on below, indented."""
    if width is None or columns_of(head) + len(GAP) + columns_of(text) <= width:
        return [f"{head}{GAP}{text}".rstrip()]
    return [head.rstrip(), *(INDENT + part for part in wrapped(text, width - len(INDENT)))]


def fact(value: str, label: int, width: int | None) -> list[str]:
    """The lines of a value that is printed after a label of `label` columns.

    The first line goes beside the label. It is empty if a word, such as an API key, is too wide to stand there: the
    word then goes below, and is not cut even if the terminal is narrower, because a person copies it as a whole.
    """
    room = None if width is None else width - label - len(GAP)
    if width is None or room is None or columns_of(value) <= room:
        return [value]
    if max(map(columns_of, value.split(" "))) > room:
        return ["", *wrapped(value, width, cut=False)]
    first, *more = wrapped(value, room)
    return [first, *(" " * (label + len(GAP)) + text for text in more)]


Group = list[tuple[int, int]]
"""The columns of a table that share a line: the number of each, and its width."""


def _groups(widths: Sequence[int], width: int) -> list[Group]:
    groups: list[Group] = [[]]
    used = 0
    for number, each in enumerate(widths):
        if groups[-1] and used + len(GAP) + each > width:
            groups.append([])
        used = used + len(GAP) + each if groups[-1] else each + (len(INDENT) if number else 0)
        groups[-1].append((number, each))
    for i, group in enumerate(groups):
        # The last column on a line gets the rest of the line.
        *before, (number, _) = group
        taken = sum(each + len(GAP) for _, each in before) + (len(INDENT) if i else 0)
        group[-1] = (number, width - taken)
    return groups


def _folded(row: Sequence[str], groups: Sequence[Group]) -> list[str]:
    lines: list[str] = []
    for group in groups:
        cells = [wrapped(row[number], each) for number, each in group]
        for i in range(max(map(len, cells))):
            parts = [cell[i] if i < len(cell) else "" for cell in cells]
            text = (INDENT if lines and group is not groups[0] else "") + _joined(parts, [each for _, each in group])
            lines += [text] if text.strip() else []
    return lines


def _joined(cells: Sequence[str], widths: Sequence[int]) -> str:
    return GAP.join(_padded(cell, width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _padded(text: str, width: int) -> str:
    return text + " " * (width - columns_of(text))


def _fitting(word: str, width: int) -> int:
    """How many of a word's letters fit, at least one."""
    used = 0
    for number, letter in enumerate(word):
        used += _columns_of_letter(letter)
        if used > width:
            return max(number, 1)
    return len(word)


def _columns_of_letter(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1
