"""Any file of rows → its tables: what the bytes are, unpacked where they are packed."""

from __future__ import annotations

import gzip
import io
import re
import stat
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import TYPE_CHECKING, BinaryIO, Final, cast

import msgspec

from stream.files.foreign.layout import LOOKED_AT, Layout
from stream.files.foreign.parquet import parquet_rows
from stream.files.foreign.records import Objects, json_rows, lines_of
from stream.files.foreign.table import LIMITS, ForeignError, ForeignTable
from stream.files.foreign.texts import (
    DELIMITERS,
    HEAD,
    TextRecords,
    decoded_head,
    encoding_of,
    encoding_words,
)
from stream.files.foreign.workbooks import sheets_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from stream.files.foreign.table import Cell, ForeignLimits, ForeignRow, Record

_RATIO_FROM: Final = 4 << 20
_OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_OTHERS: Final = (
    (b"%PDF", "a PDF: ask for the same list as CSV or as a workbook"),
    (b"\x89PNG", "a picture: ask for the list as CSV or as a workbook"),
    (b"\xff\xd8\xff", "a picture: ask for the list as CSV or as a workbook"),
    (b"GIF8", "a picture: ask for the list as CSV or as a workbook"),
    (b"BM", "a picture: ask for the list as CSV or as a workbook"),
    (b"II*\0", "a picture: ask for the list as CSV or as a workbook"),
    (b"7z\xbc\xaf", "a 7z archive: unpack it first"),
    (b"Rar!", "a RAR archive: unpack it first"),
    (b"BZh", "packed with bzip2: unpack it first"),
    (b"\xfd7zXZ", "packed with xz: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "packed with Zstandard: unpack it first"),
    (b"SQLite format 3\0", "a database (SQLite, perhaps a GeoPackage): export the table as CSV"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"{\\rtf", "a text document: ask for the list as CSV or as a workbook"),
)
_WEB_PAGE: Final = re.compile(r"\A\s*<(!doctype\s+html|html|table|head|body|meta|style|div)\b", re.IGNORECASE)
_PACKED: Final = (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile, NotImplementedError)


def tables(
    path: Path,
    *,
    sheet: str | None = None,
    header: int | None = None,
    delimiter: str | None = None,
    sample: int | None = None,
    limits: ForeignLimits = LIMITS,
) -> list[ForeignTable]:
    """Reads every table of a file: one of a text, one for each sheet of a workbook or member of a zip.

    Args:
        path: the file; its name's ending is not trusted, its bytes are.
        sheet: of a workbook, the one to read; None for all.
        header: the row in which the names stand, as :class:`ForeignRow` numbers rows; None to find it.
        delimiter: of a text; None to find it.
        sample: rows of each table at most, from the top; None for all. A long text is then not read to its
            end; a workbook and a JSON array are.
        limits: on sizes.

    Returns:
        The tables, at least one; one may have no rows.

    Raises:
        ForeignError: nothing in it is a table, or it is too large or damaged; says what to do.
        OSError: it cannot be opened.
    """
    require_file(path)
    if not path.stat().st_size:
        raise ForeignError(f"{path.name}: is empty")
    found = _Reading(sheet, header, delimiter, sample, limits).source(
        path.name, lambda: path.open("rb"), path.stat().st_size, ()
    )
    if not found:
        raise ForeignError(f"{path.name}: has no table in it")
    return found


def require_file(path: Path) -> None:
    """Checks that a path is a file, before anything waits for a pipe or reads a device without an end.

    Raises:
        ForeignError: it is a folder, a device or a pipe; says what to do.
        OSError: it is not there.
    """
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise ForeignError(f"{path.name or path}: is a folder; give the files in it")
    if not stat.S_ISREG(mode):
        raise ForeignError(f"{path.name}: is not a file, but a device or a pipe; copy it into a file first")


def _refuse_ratio(name: str, unpacked: int, packed: int, limits: ForeignLimits) -> None:
    if unpacked > _RATIO_FROM and unpacked > max(packed, 1) * limits.ratio:
        raise ForeignError(f"{name}: unpacks to more than {limits.ratio:g} times its size; it is no table")


class _Bounded(io.RawIOBase):
    """Bytes being unpacked, within the limits."""

    def __init__(self, files: Sequence[BinaryIO], packed: int, name: str, limits: ForeignLimits) -> None:
        super().__init__()
        # The first one is read, the others lie below it and are closed with it.
        self._files, self._packed, self._name, self._limits = files, packed, name, limits
        self._read = 0

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        """How much was unpacked, for what is packed in it once more."""
        return self._read

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        data = self._files[0].read(len(view))
        self._read += len(data)
        packed = self._files[1].tell() if len(self._files) > 1 else self._packed
        _refuse_ratio(self._name, self._read, packed, self._limits)
        if self._read > self._limits.unpacked_bytes:
            raise ForeignError(
                f"{self._name}: unpacks to more than {self._limits.unpacked_bytes >> 30} GiB; divide it"
            )
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            for file in self._files:
                file.close()
        super().close()


@dataclass(frozen=True, slots=True)
class _Reading:
    """One call of :func:`tables`, and its arguments."""

    sheet: str | None
    header: int | None
    delimiter: str | None
    sample: int | None
    limits: ForeignLimits

    def source(
        self, name: str, opened: Callable[[], BinaryIO], size: int, packed: tuple[str, ...]
    ) -> list[ForeignTable]:
        """The tables of some bytes, which may be packed.

        Args:
            name: for people.
            opened: opens them at their start; may be called again.
            size: bytes, of what is packed where it is.
            packed: by what they were packed already.
        """
        with _telling_damage(name), opened() as file:
            # What is packed is read further, so that a bomb is met before its rows are taken for some.
            head = _read(file, 2 * _RATIO_FROM if packed else HEAD)[:HEAD]
        for mark, what in _OTHERS:
            # Two letters alone may begin a text as well.
            if head.startswith(mark) and (len(mark) > 3 or b"\0" in head[:512]):
                raise ForeignError(f"{name}: is {what}")
        if head.startswith(b"\x1f\x8b"):
            if len(packed) > 1:
                raise ForeignError(f"{name}: is packed in layers; unpack it first")
            inner = name.removesuffix(".gz")
            bounded = self._unpacking(name, opened, size)
            return self.source(inner, bounded, size, (*packed, "gzip"))
        if head.startswith(b"PK\x03\x04"):
            return self._zip(name, opened, packed)
        if head.startswith(b"PK\x05\x06"):
            raise ForeignError(f"{name}: is an empty archive")
        if head.startswith(_OLE):
            return self._workbook(name, self._whole(name, opened), "Excel workbook (XLS)", packed)
        if head.startswith(b"PAR1"):
            return [self._parquet(name, self._whole(name, opened), packed)]
        return [self._text(name, opened, head, packed)]

    def _unpacking(self, name: str, opened: Callable[[], BinaryIO], size: int) -> Callable[[], BinaryIO]:
        def unpacked() -> BinaryIO:
            below = opened()
            file = cast("BinaryIO", gzip.GzipFile(fileobj=below, mode="rb"))
            return io.BufferedReader(_Bounded((file, below), size, name, self.limits))

        return unpacked

    def _whole(self, name: str, opened: Callable[[], BinaryIO]) -> bytes:
        with _telling_damage(name), opened() as file:
            content = _read(file, self.limits.whole_bytes + 1)
        if len(content) > self.limits.whole_bytes:
            most = self.limits.whole_bytes >> 20
            raise ForeignError(
                f"{name}: is larger than {most} MiB, too large for this form; give CSV or JSON lines"
            )
        return content

    # ── Archives ──────────────────────────────────────────────────────────────────────────────────────────

    def _zip(self, name: str, opened: Callable[[], BinaryIO], packed: tuple[str, ...]) -> list[ForeignTable]:
        content = self._whole(name, opened)
        try:
            archive = zipfile.ZipFile(io.BytesIO(content))
        except _PACKED as failure:
            raise ForeignError(f"{name}: its archive is damaged ({failure}); copy it again") from failure
        names = {item.filename for item in archive.infolist()}
        if any(item.startswith("xl/") for item in names) or "mimetype" in names:
            form = "Excel workbook (XLSX)"
            if "mimetype" in names:
                kind = archive.open("mimetype").read(100)
                if b"opendocument.spreadsheet" not in kind:
                    raise ForeignError(f"{name}: is a document, not a spreadsheet; give a table")
                form = "OpenDocument workbook (ODS)"
            elif "xl/workbook.bin" in names:
                form = "Excel workbook (XLSB)"
            self._refuse_bomb(name, archive, len(content))
            return self._workbook(name, content, form, packed)
        if any(item.startswith(("word/", "ppt/")) for item in names):
            raise ForeignError(f"{name}: is a document, not a spreadsheet; give a table")
        if packed:
            raise ForeignError(f"{name}: is packed in layers; unpack it first")
        members = [
            item
            for item in archive.infolist()
            if not item.is_dir()
            and not item.filename.startswith("__MACOSX/")
            and not item.filename.rpartition("/")[2].startswith(".")
        ]
        if len(members) > self.limits.members:
            raise ForeignError(f"{name}: has {len(members):,} files in it; give a few at a time")
        if all(
            item.filename.lower().endswith((".shp", ".shx", ".dbf", ".prj", ".cpg", ".tab", ".kml"))
            for item in members
        ):
            raise ForeignError(f"{name}: holds boundaries: see 'patrol areas check'")
        return self._members(name, archive, members)

    def _members(
        self, name: str, archive: zipfile.ZipFile, members: list[zipfile.ZipInfo]
    ) -> list[ForeignTable]:
        found: list[ForeignTable] = []
        failures: list[str] = []
        for item in members:
            shown = f"{name}: {item.filename}"
            if item.flag_bits & 1:
                failures.append(f"{shown}: is locked with a password")
                continue
            if not item.file_size:
                failures.append(f"{shown}: is empty")
                continue
            try:
                # What does not say itself that it is a bomb is met while it is unpacked.
                _refuse_ratio(shown, item.file_size, item.compress_size, self.limits)
            except ForeignError as failure:
                failures.append(str(failure))
                continue

            def member(item: zipfile.ZipInfo = item, shown: str = shown) -> BinaryIO:
                file = cast("BinaryIO", archive.open(item))
                raw = _Bounded((file,), item.compress_size, shown, self.limits)
                return io.BufferedReader(raw)

            try:
                found += self.source(shown, member, item.compress_size, ("zip",))
            except (ForeignError, *_PACKED) as failure:
                failures.append(str(failure))
        if not found:
            why = "; ".join(each.removeprefix(f"{name}: ") for each in failures[:3]) or "it is empty"
            raise ForeignError(f"{name}: nothing in the archive is a table: {why}")
        notes = tuple(f"not read: {each.removeprefix(f'{name}: ')}" for each in failures)
        return [replace(each, notes=each.notes + notes) for each in found]

    def _refuse_bomb(self, name: str, archive: zipfile.ZipFile, packed: int) -> None:
        total = sum(item.file_size for item in archive.infolist())
        if total > self.limits.unpacked_bytes // 4 or (
            total > _RATIO_FROM and total > packed * self.limits.ratio
        ):
            raise ForeignError(
                f"{name}: unpacks to {total >> 20:,} MiB, far too large for a table; "
                "copy the table into a new workbook, or save it as CSV"
            )

    # ── Forms ─────────────────────────────────────────────────────────────────────────────────────────────

    def _workbook(self, name: str, content: bytes, form: str, packed: tuple[str, ...]) -> list[ForeignTable]:
        sheets = sheets_of(content, name, self.sheet, self._sample_records(), self.limits)
        made = []
        for sheet in sheets:
            shown = f"{name}: sheet {sheet.name}"
            table = self._laid_out(shown, "workbook", _form(form, packed), sheet.records, None)
            notes = (*table.notes, "the sheet is hidden") if sheet.hidden else table.notes
            made.append(
                replace(
                    table,
                    sheet=sheet.name,
                    hidden=sheet.hidden,
                    notes=notes,
                    complete=table.complete and sheet.complete,
                )
            )
        return made

    def _sample_records(self) -> int | None:
        """Rows to read for a sample: what stands above and between its rows comes on top."""
        return None if self.sample is None else self.sample + LOOKED_AT

    def _parquet(self, name: str, content: bytes, packed: tuple[str, ...]) -> ForeignTable:
        columns, rows, complete = parquet_rows(content, name, self.sample, self.limits)
        return ForeignTable(name, "parquet", _form("Parquet", packed), columns, rows, complete=complete)

    def _text(
        self, name: str, opened: Callable[[], BinaryIO], head: bytes, packed: tuple[str, ...]
    ) -> ForeignTable:
        guess = encoding_of(head, name)
        for encoding in ["utf-8", "cp1252"] if guess == "utf-8" else [guess]:
            try:
                with _telling_damage(name):
                    return self._decoded(name, opened, decoded_head(head, encoding), encoding, packed)
            except UnicodeDecodeError as failure:
                last = failure
        raise ForeignError(
            f"{name}: is text in several encodings ({last.reason} at byte {last.start:,}); save it as UTF-8"
        )

    def _decoded(
        self,
        name: str,
        opened: Callable[[], BinaryIO],
        head: str,
        encoding: str,
        packed: tuple[str, ...],
    ) -> ForeignTable:
        start = head.lstrip()
        words = encoding_words(encoding)
        notes = (
            ("read as Windows-1252, since it is no valid UTF-8: look at letters with accents",)
            if encoding == "cp1252"
            else ()
        )
        if not start.strip("\0\x1a"):
            raise ForeignError(f"{name}: is blank")
        if _WEB_PAGE.search(start[:4096]):
            raise ForeignError(
                f"{name}: is a web page, whatever its name says: open it in Excel and save it as XLSX or CSV"
            )
        if start.startswith("<"):
            raise ForeignError(
                f"{name}: is XML: open it in Excel and save it as XLSX or CSV; "
                "tracks (.gpx) are for --positions, boundaries (.kml, .gml) for 'patrol areas check'"
            )
        if start.startswith("{") or (
            start.startswith("[") and start[1:2] not in {"", "]"} and _is_json(start)
        ):
            table = self._json(name, opened, start, encoding, packed)
        else:
            with opened() as file:
                records = TextRecords(file, encoding, head, name, self.limits, self.delimiter)
                form = f"CSV with {DELIMITERS.get(records.delimiter, repr(records.delimiter))}, {words}"
                table = self._laid_out(name, "text", _form(form, packed), records, "")
                table = replace(table, delimiter=records.delimiter, notes=(*table.notes, *records.notes))
        return replace(table, notes=(*table.notes, *notes))

    def _laid_out(
        self, name: str, kind: str, form: str, records: Iterable[Record], empty: Cell
    ) -> ForeignTable:
        """Records as a table: its header found, its rows told from the rest."""
        left = iter(records)
        looked_at = max(LOOKED_AT, self.header or 0)
        first = list(islice(left, looked_at))
        layout = Layout(first, self.header, empty, name, self.limits)
        rows, complete = self._taken(name, layout.rows(chain(first, left)), len(layout.columns))
        return ForeignTable(
            name,
            kind,
            form,
            layout.columns,
            rows,
            header=layout.header,
            preamble=layout.preamble,
            left_out=tuple(layout.left_out),
            notes=tuple(layout.notes),
            complete=complete,
        )

    def _taken(self, name: str, rows: Iterator[ForeignRow], width: int) -> tuple[list[ForeignRow], bool]:
        """The rows (of the sample), and whether these are all."""
        most = min(self.limits.rows, self.limits.cells // max(width, 1))
        taken = list(islice(rows, most if self.sample is None else min(self.sample, most)))
        more = next(rows, None) is not None
        if more and (self.sample is None or len(taken) < self.sample):
            raise ForeignError(f"{name}: has more than {most:,} rows; divide it, or give Parquet")
        return taken, not more

    def _json(
        self, name: str, opened: Callable[[], BinaryIO], start: str, encoding: str, packed: tuple[str, ...]
    ) -> ForeignTable:
        words = encoding_words(encoding)
        line, more, _ = start.partition("\n")
        if start.startswith("{") and _is_whole(line) and more:
            with opened() as file:
                text = io.TextIOWrapper(file, encoding=encoding, newline="\n")
                values = lines_of(_bounded_lines(text, name, self.limits))
                return self._of_objects(name, "jsonl", _form(f"JSON lines, {words}", packed), values)
        try:
            document = msgspec.json.decode(self._whole(name, opened).decode(encoding).removeprefix("\ufeff"))
        except (msgspec.DecodeError, RecursionError) as failure:
            raise ForeignError(f"{name}: is damaged JSON ({failure}); export it again") from failure
        found = json_rows(document)
        if found is None:
            raise ForeignError(f"{name}: is JSON without a list of rows in it")
        rows, where = found
        form = _form(f"JSON{f', the list in {where!r}' if where else ''}, {words}", packed)
        if rows and all(isinstance(each, list) for each in rows):
            return self._laid_out(name, "json", form, enumerate(rows, 1), None)
        return self._of_objects(name, "json", form, enumerate(rows, 1))

    def _of_objects(
        self, name: str, kind: str, form: str, values: Iterable[tuple[int, object]]
    ) -> ForeignTable:
        objects = Objects(name, self.limits)
        rows, complete = self._taken(
            name, (row for number, value in values if (row := objects.row(number, value)) is not None), 1
        )
        notes = []
        if objects.strange:
            unit = "line" if kind == "jsonl" else "element"
            notes.append(
                f"{len(objects.strange):,} are no JSON objects, the first in {unit} {objects.strange[0]}"
            )
        if not objects.columns:
            raise ForeignError(f"{name}: is JSON without a list of rows in it")
        return ForeignTable(
            name, kind, form, objects.columns, objects.padded(rows), notes=tuple(notes), complete=complete
        )


@contextmanager
def _telling_damage(name: str) -> Iterator[None]:
    try:
        yield
    except _PACKED as failure:
        said = str(failure)[:160]  # a name in the archive may be as long as the archive
        raise ForeignError(f"{name}: its compression is damaged ({said}); copy it again") from failure


def _read(file: BinaryIO, size: int) -> bytes:
    """Up to so many bytes, however little each read gives."""
    parts: list[bytes] = []
    while size > 0 and (part := file.read(min(size, 1 << 20))):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _form(form: str, packed: tuple[str, ...]) -> str:
    return ", ".join((form, *reversed(packed)))


def _is_whole(line: str) -> bool:
    try:
        msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _is_json(start: str) -> bool:
    """Whether a text that begins with a bracket goes on as a JSON array does."""
    inner = start[1:].lstrip()
    return inner[:1] in {"{", "[", '"', "]", ""} or inner[:1].isdigit()


def _bounded_lines(text: io.TextIOWrapper, name: str, limits: ForeignLimits) -> Iterator[str]:
    number = 0
    while line := text.readline(limits.line_chars):
        number += 1
        if len(line) >= limits.line_chars and not line.endswith("\n"):
            raise ForeignError(
                f"{name}: line {number} has more than {limits.line_chars:,} characters; is it JSON lines?"
            )
        yield line
