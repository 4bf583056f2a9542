"""Workbooks: XLSX, XLSM, XLSB, XLS and ODS, read by calamine in a process with limits of its own."""

from __future__ import annotations

import inspect
import json
import math
import os
import signal
import subprocess
import sys
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from geo.orphans import end_with
from stream.files.foreign.table import Cell, ForeignError

if TYPE_CHECKING:
    from stream.files.foreign.table import ForeignLimits, Record


class RawSheet(NamedTuple):
    """A sheet as it stands: its rows have the numbers that a spreadsheet program shows."""

    name: str
    hidden: bool
    records: list[Record]
    complete: bool


def sheets_of(
    content: bytes, name: str, sheet: str | None, sample: int | None, limits: ForeignLimits
) -> list[RawSheet]:
    """The sheets of a workbook that have cells.

    Args:
        content: the whole file.
        name: of the file, for errors.
        sheet: the one to read; None for all.
        sample: how many rows of each; None for all.
        limits: on memory, time, rows and cells.

    Raises:
        ForeignError: it is damaged, locked, too large, or has no such sheet.
    """
    request = {
        "sheet": sheet,
        "rows": limits.rows if sample is None else sample,
        "sample": sample is not None,
        "cells": limits.cells,
        "memory": limits.memory_bytes,
        "seconds": math.ceil(limits.seconds),
        "packages": [place for place in sys.path if Path(place).is_absolute()],
        "parent": os.getpid(),
    }
    # The function's own source is the child's program, which starts quicker than this module.
    program = "from __future__ import annotations\n" + "\n".join(
        [inspect.getsource(end_with), inspect.getsource(_errors_of), inspect.getsource(_child), "_child()"]
    )
    too_much = (
        f"{name}: cannot be read within {limits.memory_bytes >> 20:,} MiB and {limits.seconds:g} s; it is "
        "damaged, or cells far apart make it huge: copy the table into a new workbook, or save it as CSV"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", program],
            input=json.dumps(request).encode() + b"\n" + content,
            capture_output=True,
            timeout=limits.seconds + 5,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ForeignError(too_much) from None
    lines = done.stdout.splitlines()
    if done.returncode in {-signal.SIGXCPU, -signal.SIGKILL, -signal.SIGABRT} or done.returncode or not lines:
        raise ForeignError(too_much)
    end = msgspec.json.decode(lines[-1])
    if "error" in end:
        raise ForeignError(f"{name}: {end['error']}")
    found: list[RawSheet] = []
    decode = msgspec.json.Decoder().decode
    for line in lines[:-1]:
        value: Any = decode(line)
        if isinstance(value, dict):
            found.append(RawSheet(value["sheet"], value["hidden"], [], value["complete"]))
        else:
            found[-1].records.append((value[0], [_cell(cell) for cell in value[1]]))
    return [each for each in found if each.records]


def _cell(value: Any) -> Cell:
    """A cell as the child wrote it; a whole number is one, which Excel itself does not tell."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return int(value)
    if not isinstance(value, dict):
        return None if value == "" else value
    [(kind, told)] = value.items()
    if kind == "t":
        return datetime.fromisoformat(told)
    if kind == "d":
        return date.fromisoformat(told)
    if kind == "c":
        return time.fromisoformat(told)
    return timedelta(seconds=told)


def _errors_of(content: bytes, number: int) -> dict[int, dict[int, str]]:
    """``#N/A`` and its like in a sheet of an XLSX, which calamine gives as blank cells.

    Args:
        content: the workbook.
        number: of the sheet among all, from 0.

    Returns:
        The texts by row and column, from 0; none of other forms and of what is written oddly.
    """
    import io
    import re
    import zipfile

    cell = re.compile(
        rb'<(?:\w+:)?c\s(?=[^>]*\bt="e")[^>]*\br="([A-Z]{1,3})(\d{1,7})"[^>]*>'
        rb"(?:<(?:\w+:)?f\b[^>]*/>|<(?:\w+:)?f\b[^>]*>[^<]*</(?:\w+:)?f>)?<(?:\w+:)?v>([^<]{1,20})<"
    )
    found: dict[int, dict[int, str]] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            book, links = archive.read("xl/workbook.xml"), archive.read("xl/_rels/workbook.xml.rels")
            named = re.findall(rb'<(?:\w+:)?sheet\s[^>]*\b\w+:id="([^"]*)"', book)[number]
            link = next(each for each in re.findall(rb"<[^>]*>", links) if b'Id="%s"' % named in each)
            target = re.findall(rb'\bTarget="([^"]*)"', link)[0].decode()
            tail = b""
            with archive.open(target[1:] if target.startswith("/") else f"xl/{target}") as sheet:
                while part := sheet.read(1 << 20):
                    part = tail + part
                    for letters, row, text in cell.findall(part):
                        column = 0
                        for letter in letters:
                            column = column * 26 + letter - 64
                        found.setdefault(int(row) - 1, {})[column - 1] = text.decode()
                    tail = part[-16_384:]  # a cell may go on in the next part
    except (
        KeyError,
        IndexError,
        StopIteration,
        ValueError,
        OSError,
        zipfile.BadZipFile,
        NotImplementedError,
    ):
        pass  # its other cells are read all the same
    return found


def _child() -> None:
    """The child's whole program: a JSON line for each sheet and row. Imports nothing of ours."""
    import datetime
    import io
    import json
    import math
    import sys

    request: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    end_with(request["parent"])
    sys.path += [place for place in request["packages"] if place not in sys.path]
    try:
        import resource
    except ImportError:  # not on Windows; the time limit of the parent still applies
        pass
    else:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (request["seconds"], request["seconds"]))
        resource.setrlimit(resource.RLIMIT_AS, (request["memory"], request["memory"]))
    import python_calamine as calamine

    def plain(cell: object) -> object:
        if isinstance(cell, datetime.datetime):
            return {"t": cell.isoformat()}
        if isinstance(cell, datetime.date):
            return {"d": cell.isoformat()}
        if isinstance(cell, datetime.time):
            return {"c": cell.isoformat()}
        if isinstance(cell, datetime.timedelta):
            return {"s": cell.total_seconds()}
        return str(cell) if isinstance(cell, float) and not math.isfinite(cell) else cell

    def say(value: object) -> None:
        sys.stdout.write(json.dumps(value) + "\n")

    def fail(words: str) -> None:
        sys.stdout.write("\n")
        say({"error": words})
        sys.exit(0)

    try:
        content = sys.stdin.buffer.read()
        book = calamine.CalamineWorkbook.from_filelike(io.BytesIO(content))
        cells = 0
        known = [item for item in book.sheets_metadata if item.typ == calamine.SheetTypeEnum.WorkSheet]
        if request["sheet"] is not None and request["sheet"] not in [item.name for item in known]:
            listed = ", ".join(repr(item.name) for item in known[:40])
            fail(f"has no sheet {request['sheet']!r}; its sheets are {listed}")
        for number, item in enumerate(book.sheets_metadata):
            if item not in known or request["sheet"] not in (None, item.name):
                continue
            broken = _errors_of(content, number)
            sheet = book.get_sheet_by_name(item.name)
            height = sheet.end[0] + 1 if sheet.end else 0
            hidden = item.visible != calamine.SheetVisibleEnum.Visible
            complete = height <= request["rows"]
            say({"sheet": item.name, "hidden": hidden, "complete": complete})
            if not complete and not request["sample"]:
                fail(f"its sheet {item.name!r} has {height:,} rows, at most {request['rows']:,} are taken")
            for at, row in enumerate(sheet.iter_rows()):
                if at >= request["rows"]:
                    break
                for column, text in broken.get(at, {}).items():
                    row.extend([""] * (column + 1 - len(row)))
                    row[column] = row[column] or text
                while row and row[-1] == "":
                    row.pop()
                if not row:
                    continue
                cells += len(row)
                if cells > request["cells"]:
                    fail(f"has more than {request['cells']:,} cells")
                say([at + 1, [plain(cell) for cell in row]])
    except calamine.PasswordError:
        fail("is locked with a password; save a copy without one")
    except (calamine.CalamineError, ValueError, OSError, MemoryError) as failure:
        fail(f"the workbook cannot be read ({' '.join(str(failure).split())[:160]}); save it again as XLSX")
    say({})
