"""The files of a report: names and archives."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from typing import TYPE_CHECKING

from stream.core.calendar import moment
from stream.core.summaries.model import encode

if TYPE_CHECKING:
    from collections.abc import Iterable

    from stream.core.summaries.model import Summary


KEPT = {"CON", "PRN", "AUX", "NUL", *(f"{name}{number}" for name in ("COM", "LPT") for number in range(10))}
"""Names that some file systems keep for themselves."""


def file_name(area_id: str) -> str:
    """An id as part of a file's name: different for different ids, on any file system.

    What is not plain, or is a name that some system keeps for itself, gets the beginning of its SHA-256.
    """
    if re.fullmatch(r"[A-Z0-9][A-Z0-9_-]{0,59}", area_id) and area_id not in KEPT:
        return area_id
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", area_id)[:40]
    return f"area_{plain}_{hashlib.sha256(area_id.encode()).hexdigest()[:8]}"


def stem(summary: Summary) -> str:
    """A file's name without its ending: different for different ids, on any file system."""
    return f"{file_name(summary.area_id)}_{summary.name}"


def files(summary: Summary, formats: Iterable[str]) -> dict[str, bytes]:
    """A summary's files by name."""
    found: dict[str, bytes] = {}
    for name in formats:
        if name == "html":
            from stream.reports.page import html

            found[f"{stem(summary)}.html"] = html(summary).encode()
        elif name == "pdf":
            from stream.reports.pdf import pdf

            found[f"{stem(summary)}.pdf"] = pdf(summary)
        elif name == "xlsx":
            from stream.reports.workbook import xlsx

            found[f"{stem(summary)}.xlsx"] = xlsx(summary)
        elif name == "csv":
            found[f"{stem(summary)}_csv.zip"] = zipped(summary)
        else:
            found[f"{stem(summary)}.json"] = encode(summary)
    return found


def zipped(summary: Summary) -> bytes:
    """The CSV files in one archive; equal summaries, equal bytes."""
    from stream.reports.tables import tables

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(tables(summary).items()):
            # A fixed date, so that equal summaries give equal bytes.
            entry = zipfile.ZipInfo(name, (moment(summary.end).year, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return buffer.getvalue()
