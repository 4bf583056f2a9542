"""Text files: which encoding, which delimiter, and the records; quoted cells may hold line feeds."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from typing import TYPE_CHECKING, BinaryIO, Final

from stream.core.spreadsheets import restored
from stream.files.foreign.table import ForeignError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stream.files.foreign.table import ForeignLimits, Record

DELIMITERS: Final = {"\t": "tabs", ";": "semicolons", "|": "pipes", ",": "commas"}
"""In the order in which they are preferred where the rows do not tell: a comma stands in many texts."""
HEAD: Final = 256 << 10
"""Bytes from the top that tell encoding and delimiter."""
_ENCODING_WORDS: Final = {
    "utf-8": "UTF-8",
    "utf-8-sig": "UTF-8 with a byte order mark",
    "utf-16-le": "UTF-16 LE",
    "utf-16-be": "UTF-16 BE",
    "utf-32-le": "UTF-32 LE",
    "utf-32-be": "UTF-32 BE",
    "cp1252": "Windows-1252",
}
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins as UTF-16's does
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0e-\x19\x1b-\x1f\x7f]")
_SEP: Final = re.compile(r"\s*\"?sep=(.)\"?[,;\t ]*\r?\n?", re.IGNORECASE)
_QUOTED_LINES: Final = 200


def encoding_words(encoding: str) -> str:
    """An encoding for people."""
    return _ENCODING_WORDS.get(encoding, encoding)


def encoding_of(head: bytes, name: str) -> str:
    """The encoding of a text, told by its first bytes; Windows-1252 where they are not UTF-8 or UTF-16.

    Raises:
        ForeignError: it is no text.
    """
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if even + odd:
        half = max(1, len(head) // 2)
        if odd > 0.3 * half and even < 0.02 * half:
            return "utf-16-le"
        if even > 0.3 * half and odd < 0.02 * half:
            return "utf-16-be"
    for encoding in ("utf-8", "cp1252"):
        try:
            text = codecs.getincrementaldecoder(encoding)().decode(head)
        except UnicodeDecodeError:
            continue
        if len(_CONTROL.findall(text)) * 50 <= len(text):
            return encoding
        break
    raise ForeignError(f"{name}: is binary, not a table: give CSV, a workbook, JSON or Parquet")


def decoded_head(head: bytes, encoding: str) -> str:
    """The first characters of a text, without a byte order mark."""
    return codecs.getincrementaldecoder(encoding)("replace").decode(head).removeprefix("\ufeff")


class TextRecords:
    """The records of a text file, once through.

    Args:
        file: the bytes, from the start.
        encoding: as :func:`encoding_of` tells.
        head: the first characters, for the delimiter.
        name: of the file, for errors.
        limits: on the length of lines.
        delimiter: None to find it.
    """

    def __init__(
        self,
        file: BinaryIO,
        encoding: str,
        head: str,
        name: str,
        limits: ForeignLimits,
        delimiter: str | None = None,
    ) -> None:
        self._lines = io.TextIOWrapper(file, encoding=encoding, newline="")
        self._name = name
        self._limits = limits
        told = _SEP.fullmatch(head.split("\n", 1)[0])
        self.said = told is not None
        self.delimiter = delimiter or (told[1] if told else delimiter_of(head))
        # "a", "b" with blanks before the quotes, as people write it.
        self._blanks = bool(re.search(re.escape(self.delimiter) + ' +"', head))
        self._number = 0
        self._open: list[str] = []
        self.notes: list[str] = []

    def __iter__(self) -> Iterator[Record]:
        """The records with the line in which each begins.

        Raises:
            ForeignError: a line or a cell is too long, or a quote is never closed.
            UnicodeDecodeError: the text is in another encoding further down.
        """
        reader = csv.reader(self._text(), delimiter=self.delimiter, skipinitialspace=self._blanks)
        try:
            for cells in reader:
                number = self._number - len(self._open) + 1
                if len(cells) > self._limits.columns:
                    raise ForeignError(
                        f"{self._name}: line {number} has {len(cells):,} columns, at most "
                        f"{self._limits.columns:,} are taken; is it a table at all?"
                    )
                if not (self.said and number == 1):
                    yield number, [restored(cell) if "'" in cell else cell for cell in cells]
                last = "".join(self._open)
                self._open.clear()
            # The csv module takes a quote that is never closed for a cell up to the end of the file.
            if self._number and last.count("\n") and last.count('"') % 2:
                raise ForeignError(
                    f"{self._name}: line {number}: a quote is opened and never closed; export it again"
                )
        except csv.Error as failure:
            line = self._number - len(self._open) + 1
            raise ForeignError(
                f"{self._name}: line {line}: {failure}; a quote may be open: export it again"
            ) from failure

    def _text(self) -> Iterator[str]:
        most = self._limits.line_chars
        while line := self._lines.readline(most):
            if len(line) >= most and not line.endswith(("\n", "\r")):
                raise ForeignError(
                    f"{self._name}: line {self._number + 1} has more than {most:,} characters; "
                    "is it a table at all?"
                )
            self._number += 1
            if self._number == 1:
                line = line.removeprefix("\ufeff")
            if "\0" in line and not self.notes:
                self.notes.append(f"line {self._number} has NUL bytes: the file may be damaged from there on")
            self._open.append(line)
            if len(self._open) > _QUOTED_LINES:
                raise ForeignError(
                    f"{self._name}: line {self._number - _QUOTED_LINES}: a quote is opened and not closed "
                    f"within {_QUOTED_LINES} lines; export it again"
                )
            yield "\n" if line == "\x1a" else line  # how DOS ended a text


def delimiter_of(head: str) -> str:
    """The delimiter: the one by which most records have one width, the header's among them."""
    scores: list[tuple[int, int, int, str]] = []
    lines = head.splitlines(keepends=True)
    if len(lines) > 1 and len(head) >= HEAD // 4:
        lines = lines[:-1]  # the last one may be cut off
    for rank, delimiter in enumerate(DELIMITERS):
        widths: Counter[int] = Counter()
        try:
            for cells in csv.reader(lines[:200], delimiter=delimiter):
                widths[len(cells)] += 1
        except csv.Error:
            continue
        width, count = max(
            ((each, times) for each, times in widths.items() if each > 1),
            key=lambda item: (item[1], item[0]),
            default=(0, 0),
        )
        scores.append((count, width, -rank, delimiter))
    best = max(scores, default=(0, 0, 0, ","))
    return best[3] if best[0] else ","
