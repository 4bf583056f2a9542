"""Texts that a spreadsheet program would take for a formula, made harmless and back again; our CSV.

Names, ids and reasons come from outside, and a spreadsheet evaluates what begins like a formula, whoever
wrote it (OWASP: CSV injection): it can fetch an address with what stands in other cells, or start a program.
Every CSV file that leaves goes through ``defused``, every one that is read through ``restored``, and ids are
the same afterwards. In a workbook a text is a text, whatever it looks like.
"""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SIGNS: Final = "=+@\uff1d\uff0b\uff20\ufe66\ufe62\ufe6b\uff0d\ufe63\u2212-"
"""What a formula begins with: in full width too, which some programs take for the same; the hyphen last."""
_PASSED_OVER: Final = (
    "\\x00-\\x08\\x0b\\x0c\\x0e-\\x20\\x7f\"'\u0085\u00a0\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u2064"
    "\u3000\ufeff"
)
"""What programs drop before it: blanks of all kinds, marks that are not seen, quotes."""
_ENDS: Final = r";\t\r\n"
"""Where a cell begins too, for a program that separates by semicolons or tabs: where commas are decimal."""
_BEGINNING: Final = rf"[{_PASSED_OVER}]*[\t\r\n{_SIGNS}]"

FORMULA: Final = rf"(?:^|[{_ENDS}]){_BEGINNING}"
"""A text in which a formula could begin, as a regular expression of Python and of Arrow."""
NUMBER: Final = r"^[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"
"""A number, which stays one whatever its sign; likewise."""

_UNMARKED: Final = re.compile(rf"(?:^|(?<=[{_ENDS}]))(?={_BEGINNING})")
_MARKED: Final = re.compile(rf"(?:^|(?<=[{_ENDS}]))'(?={_BEGINNING})")
_NUMBER: Final = re.compile(NUMBER.removesuffix("$"))


def defused(text: str) -> str:
    """A text that no spreadsheet takes for a formula: ``'`` stands before what looks like one.

    Numbers stay as they are, and so does every text in which no formula could begin.
    """
    return text if _NUMBER.fullmatch(text) else _UNMARKED.sub("'", text)


def restored(text: str) -> str:
    """The text that ``defused`` was given; any other is left as it is, unless it is marked in that way."""
    return _MARKED.sub("", text)


def csv_text(header: Sequence[str], rows: Iterable[Sequence[str]], *, end: str = "\n") -> str:
    """A table as CSV (RFC 4180), every cell defused.

    Args:
        header: names of the columns.
        rows: the cells.
        end: of each line.
    """
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator=end)
    writer.writerow(map(defused, header))
    writer.writerows(map(defused, row) for row in rows)
    return buffer.getvalue()
