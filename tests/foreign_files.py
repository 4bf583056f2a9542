"""Foreign files of rows, written as other systems write them: any encoding, delimiter, form and packing."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import xlsxwriter  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def csv_bytes(
    rows: Sequence[Sequence[Any]],
    *,
    delimiter: str = ",",
    encoding: str = "utf-8",
    sep_line: bool = False,
    end: str = "\r\n",
    quoting: int = csv.QUOTE_MINIMAL,
) -> bytes:
    """A CSV file; encodings with a byte order mark are ``utf-8-sig``, ``utf-16`` and ``utf-16-be-mark``."""
    text = io.StringIO(newline="")
    if sep_line:
        text.write(f"sep={delimiter}{end}")
    csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting).writerows(rows)  # type: ignore[arg-type]
    if encoding == "utf-16-be-mark":
        return b"\xfe\xff" + text.getvalue().encode("utf-16-be")
    return text.getvalue().encode(encoding)


def xlsx_bytes(
    sheets: Mapping[str, Sequence[Sequence[Any]]], *, first_row: int = 0, first_column: int = 0
) -> bytes:
    """An Excel workbook; dates and times are typed cells, texts stay texts."""
    content = io.BytesIO()
    book = xlsxwriter.Workbook(content, {"in_memory": True})
    formats = {
        datetime: book.add_format({"num_format": "dd/mm/yyyy hh:mm:ss.000"}),
        date: book.add_format({"num_format": "dd/mm/yyyy"}),
        time: book.add_format({"num_format": "hh:mm:ss"}),
    }
    for name, rows in sheets.items():
        sheet = book.add_worksheet(name)
        for down, row in enumerate(rows, first_row):
            for across, cell in enumerate(row, first_column):
                if cell is None or cell == "":
                    continue
                if isinstance(cell, str):
                    sheet.write_string(down, across, cell)
                elif isinstance(cell, bool):
                    sheet.write_boolean(down, across, cell)
                elif isinstance(cell, datetime | date | time):
                    sheet.write_datetime(down, across, cell, formats[type(cell)])
                else:
                    sheet.write_number(down, across, cell)
    book.close()
    return content.getvalue()


def ods_bytes(rows: Sequence[Sequence[Any]], *, sheet: str = "Sheet1", more: str = "") -> bytes:
    """An OpenDocument workbook.

    Args:
        rows: texts, numbers, datetimes and None.
        sheet: its name.
        more: XML of further rows.
    """

    def cell(value: Any) -> str:
        if value is None or value == "":
            return "<table:table-cell/>"
        if isinstance(value, datetime):
            return f'<table:table-cell office:value-type="date" office:date-value="{value.isoformat()}"/>'
        if isinstance(value, int | float):
            return f'<table:table-cell office:value-type="float" office:value="{value!r}"/>'
        paragraphs = "".join(f"<text:p>{escape(line)}</text:p>" for line in str(value).split("\n"))
        return f'<table:table-cell office:value-type="string">{paragraphs}</table:table-cell>'

    body = "".join(
        f"<table:table-row>{''.join(cell(value) for value in row)}</table:table-row>" for row in rows
    )
    content = (
        '<?xml version="1.0" encoding="UTF-8"?><office:document-content '
        'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
        'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
        'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" office:version="1.2">'
        f'<office:body><office:spreadsheet><table:table table:name="{escape(sheet)}">{body}{more}'
        "</table:table></office:spreadsheet></office:body></office:document-content>"
    )
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    manifest = (
        '<?xml version="1.0" encoding="UTF-8"?><manifest:manifest '
        'xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0" manifest:version="1.2">'
        f'<manifest:file-entry manifest:full-path="/" manifest:media-type="{kind}"/>'
        '<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml"/>'
        "</manifest:manifest>"
    )
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("mimetype", kind)
        archive.writestr("content.xml", content, zipfile.ZIP_DEFLATED)
        archive.writestr("META-INF/manifest.xml", manifest, zipfile.ZIP_DEFLATED)
    return made.getvalue()


def json_bytes(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], form: str, encoding: str = "utf-8"
) -> bytes:
    """Rows as JSON: ``array``, ``lines``, ``wrapped`` (``{"data": [...]}``) or ``cells`` (arrays)."""
    objects = [dict(zip(columns, row, strict=True)) for row in rows]
    if form == "lines":
        text = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in objects)
    elif form == "array":
        text = json.dumps(objects, ensure_ascii=False, indent=1)
    elif form == "wrapped":
        text = json.dumps({"status": "ok", "count": len(rows), "data": objects}, ensure_ascii=False)
    else:
        text = json.dumps([list(columns), *map(list, rows)], ensure_ascii=False)
    return text.encode(encoding)


def zip_bytes(members: dict[str, bytes]) -> bytes:
    """An archive of files."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return made.getvalue()


def packed(content: bytes, by: str, name: str = "table.csv") -> bytes:
    """Some bytes as they are (``""``), or packed by ``gzip`` or ``zip``."""
    if by == "gzip":
        return gzip.compress(content, mtime=0)
    return zip_bytes({name: content}) if by == "zip" else content
