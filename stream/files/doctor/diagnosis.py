"""A file that a force sends → what it seems to be, its first rows as understood, and what takes it."""

from __future__ import annotations

import math
import re
import shlex
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from stream.files.doctor.draft import position_draft, roster_draft
from stream.files.doctor.guess import Guess, listed
from stream.files.doctor.native import (
    is_area_file,
    judge_as_a_whole,
    look_at_areas,
    look_at_toml,
    look_natively,
)
from stream.files.doctor.position_guess import guess_positions
from stream.files.doctor.position_map import (
    NO_FIX,
    PositionMapping,
    map_positions,
    parse_position_map,
    position_map_text,
)
from stream.files.doctor.roster_guess import guess_roster
from stream.files.doctor.told import (
    NO_ERRORS,
    SHOWN,
    Diagnosis,
    grouped,
    shown_duty,
    shown_position,
    shown_state,
)
from stream.files.foreign import ForeignError, require_file, tables, text_of
from stream.files.roster.mapping import RosterError, RosterMapping, mapping_text, own_names, parse_mapping
from stream.files.roster.rows import read_rows
from stream.files.roster.unread import require_decided
from stream.files.tracks.rows import stem

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from stream.files.foreign import ForeignTable

_DAY: Final = re.compile(
    r"(mon|tue|wed|thu|fri|sat|sun)[a-z]*\b|\d{1,4}[-/.]\d{1,2}([-/.]\d{1,4})?$|\d{1,2}[ -]?[a-z]{3}\b",
    re.IGNORECASE,
)
SAMPLE: Final = 200_000
"""Rows of a foreign table that are looked at."""

AnyMapping = PositionMapping | RosterMapping


def parse_any_mapping(text: str) -> AnyMapping:
    """A mapping of positions or of a roster, told by its tables.

    Raises:
        PositionMapError, RosterError: it cannot be used.
    """
    return parse_position_map(text) if "[positions]" in text else parse_mapping(text)


def diagnose(path: Path, mapping: AnyMapping | None = None) -> list[Diagnosis]:
    """Says what a file is; one answer for each of its tables. The file is only read.

    Args:
        path: the file.
        mapping: what a person has declared; None to guess.

    Raises:
        ForeignError: it is nothing that can be read; one line says what it is instead.
        OSError: it cannot be opened.
    """
    require_file(path)
    if mapping is None:
        found = look_at_toml(path) or look_natively(path)
        if found is not None and not found.faults:
            return [found]
        if found is None and is_area_file(path):
            return [look_at_areas(path)]
        if found is not None:
            return _by_mapping(path, found)
    return _of_tables(path, mapping)


def _by_mapping(path: Path, found: Diagnosis) -> list[Diagnosis]:
    """What is in a form of ours, and yet not right as a whole: a mapping may take it."""
    try:
        answers = [answer for answer in _of_tables(path, None) if answer.kind != "unknown"]
    except ForeignError:
        answers = []
    if found.kind != "positions" or not answers:
        return [found]
    for answer in answers:
        answer.notes += [f"as it stands: {fault}" for fault in found.faults]
    return answers


def _of_tables(path: Path, mapping: AnyMapping | None) -> list[Diagnosis]:
    sheet = (mapping.rows.sheet if mapping is not None else "") or None
    header = (mapping.rows.header if mapping is not None else 0) or None
    delimiter = (mapping.rows.delimiter if isinstance(mapping, PositionMapping) else "") or None
    found_tables = tables(path, sheet=sheet, header=header, delimiter=delimiter, sample=SAMPLE)
    several = len(found_tables) > 1
    answers = [_of_table(path, table, mapping) for table in found_tables]
    if several:
        # A workbook's notes, look-ups and covers are named, and no more is said of them.
        known = [answer for answer in answers if answer.kind != "unknown"]
        if known and len(known) < len(answers):
            others = [answer.name for answer in answers if answer.kind == "unknown"]
            known[0].notes.append(f"nothing that is counted: {listed(others)}")
            return known
    return answers


def _of_table(path: Path, table: ForeignTable, mapping: AnyMapping | None) -> Diagnosis:
    answer = Diagnosis(
        name=table.name,
        kind="unknown",
        form=table.form,
        rows=len(table.rows),
        complete=table.complete,
        notes=[*table.notes, *_left_out(table)],
    )
    if not table.rows:
        answer.faults.append("it has no rows below its header")
        answer.columns = {"": list(table.columns)}
        answer.mapping = roster_draft(table, Guess(), path.name, states=False)
        return answer
    if isinstance(mapping, PositionMapping):
        return _positions(path, table, answer, Guess(mapping), declared=True)
    if isinstance(mapping, RosterMapping):
        return _roster(path, table, answer, Guess(mapping), declared=True)
    own = own_names(table.columns)
    positions = guess_positions(table, stem(path))
    if positions.mapping is not None and own is None:
        return _positions(path, table, answer, positions)
    if own is not None:
        return _roster(path, table, answer, Guess(own), own=True)
    roster = guess_roster(table)
    if roster.mapping is not None:
        return _roster(path, table, answer, roster)
    answer.columns = {"": list(table.columns)}
    answer.understood = [
        {name: text_of(cell) for name, cell in zip(table.columns, row.cells, strict=True)}
        for row in table.rows[:SHOWN]
    ]
    if _days_across(table):
        answer.faults.append(
            "the days stand across, a column for each: ask for an export with a row for each duty"
        )
    near_positions = bool({"lat", "lon", "point"} & set(positions.columns))
    guess = positions if near_positions else roster
    answer.faults += guess.faults
    answer.unsure += guess.unsure
    if table.header is not None or table.kind not in {"text", "workbook"}:
        states = bool({"time", "state"} & set(roster.columns))
        answer.mapping = (
            position_draft(table, positions, path.name)
            if near_positions
            else roster_draft(table, roster, path.name, states=states)
        )
    answer.missing = [
        *(f"for positions: {each}" for each in positions.missing),
        *(f"for bookings or states: {each}" for each in roster.missing),
    ]
    return answer


def _days_across(table: ForeignTable) -> bool:
    """Whether a roster has a column for each day, which no mapping reads."""
    first = [text_of(cell) for cell in table.rows[0].cells]
    return any(sum(map(bool, map(_DAY.match, names))) >= 4 for names in (table.columns, first))


def _left_out(table: ForeignTable) -> list[str]:
    by_why: dict[str, list[int]] = {}
    for item in table.left_out:
        by_why.setdefault(item.why, []).append(item.number)
    words = {
        "total": "of totals",
        "heading": "of one cell alone",
        "header": "that repeat the header",
        "rule": "of dashes",
    }
    notes = [
        f"left out {len(rows):,} row{'s' if len(rows) > 1 else ''} {words[why]}, the first is row {rows[0]:,}"
        for why, rows in by_why.items()
    ]
    if table.header is not None and table.preamble:
        notes.insert(0, f"the names stand in row {table.header}, below: {listed(table.preamble, 4)}")
    return notes


def _unused(table: ForeignTable, columns: dict[str, list[str]]) -> list[str]:
    used = {name for names in columns.values() for name in names}
    left = [name for name in table.columns if name not in used]
    return [f"columns that are not used: {listed(left, 30)}"] if left else []


# ── Positions ─────────────────────────────────────────────────────────────────────────────────────────────


def _positions(
    path: Path,
    table: ForeignTable,
    answer: Diagnosis,
    guess: Guess[PositionMapping],
    *,
    declared: bool = False,
) -> Diagnosis:
    mapping = guess.mapping
    assert mapping is not None
    found, misfits = map_positions(table, mapping)
    answer.kind = "positions"
    answer.columns = {name: list(names) for name, names in mapping.positions.used().items()}
    answer.form_of_values = {
        name: str(value)
        for name in mapping.form.__struct_fields__
        if (value := getattr(mapping.form, name)) not in {"", 1}
        and (name != "point" or mapping.positions.point)
        and (name != "speed" or mapping.positions.speed)
    }
    answer.understood = list(map(shown_position, found[:SHOWN]))
    answer.usable = len(found)
    _tell(table, answer, guess, ((each.number, each.reason, each.detail) for each in misfits))
    silent = next((group.count for group in answer.misfits if group.reason == NO_FIX), 0)
    if silent * 2 > answer.rows and not declared:
        answer.unsure.append(
            f"by {mapping.positions.valid!r} most rows have no fix: "
            "if it means something else, leave valid out"
        )
    if found and all(math.isnan(item.error_m) for item in found):
        answer.notes.append(NO_ERRORS)
    if declared and found:
        judge_as_a_whole(
            np.array([item.lon for item in found]),
            np.array([item.lat for item in found]),
            np.array([item.time for item in found]),
            answer,
        )
    answer.mapping = position_map_text(mapping, _drafted(path, guess))
    if declared or found:
        answer.command = (
            f"patrol doctor {shlex.quote(str(path))} --map MAP.toml --write-positions positions.csv"
        )
    answer.then = "patrol account --areas AREAS --positions positions.csv --duties DUTIES --out figures"
    answer.declared = declared
    return answer


# ── Bookings and states ───────────────────────────────────────────────────────────────────────────────────


def _roster(
    path: Path,
    table: ForeignTable,
    answer: Diagnosis,
    guess: Guess[RosterMapping],
    *,
    declared: bool = False,
    own: bool = False,
) -> Diagnosis:
    mapping = guess.mapping
    assert mapping is not None
    found = read_rows(table, mapping)
    try:
        require_decided(table, mapping)
    except RosterError as failure:
        own = False  # so that a mapping is drafted, in which it can be decided
        guess.faults.append(str(failure).removeprefix(f"{table.name}: "))
    answer.kind = "states" if mapping.of_states else "duties"
    answer.columns = {
        key.removeprefix("columns.").removeprefix("devices."): list(names)
        for key, names in mapping.used().items()
    }
    answer.understood = (
        [shown_state(row, item) for row, item in found.states[:SHOWN]]
        if mapping.of_states
        else [shown_duty(item.row, item) for item in found.pieces[:SHOWN]]
    )
    answer.usable = len(found.states if mapping.of_states else found.pieces)
    if passed := len(found.passed):
        answer.notes.append(f"{passed:,} {'row holds' if passed == 1 else 'rows hold'} no duty: passed over")
    if not mapping.of_states and (bare := sum(not (item.devices or item.cancelled) for item in found.pieces)):
        answer.notes.append(f"{bare:,} of {len(found.pieces):,} duties have no radio or vehicle")
    _tell(table, answer, guess, ((each.row, each.reason, each.detail) for each in found.refused))
    by_map = ""
    if own:
        answer.as_is = not answer.faults
    else:
        answer.mapping = mapping_text(mapping, {"": "\n".join(_drafted(path, guess)), **guess.comments})
        by_map = "--map MAP.toml "
    answer.command = f"patrol roster import {shlex.quote(str(path))} {by_map}--out roster --dry-run"
    answer.declared = declared
    return answer


# ── Both ──────────────────────────────────────────────────────────────────────────────────────────────────


def _tell(
    table: ForeignTable, answer: Diagnosis, guess: Guess[Any], misfits: Iterable[tuple[int, str, str]]
) -> None:
    """What is said of every table that is known: what does not fit, what is wrong, what is not used."""
    answer.misfits = grouped(misfits)
    answer.faults += guess.faults
    answer.unsure += guess.unsure
    if not answer.usable:
        answer.faults.append("no row can be used")
    answer.notes += _unused(table, answer.columns)


def _drafted(path: Path, guess: Guess[Any]) -> list[str]:
    """The head of a draft."""
    return [
        f"Drafted by patrol doctor from {path.name}. Look at each line before you use it.",
        *(f"Not sure: {each}" for each in guess.unsure),
        *(f"Wrong in the file: {each}" for each in guess.faults),
    ]
