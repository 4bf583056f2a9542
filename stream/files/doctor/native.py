"""Files that are taken as they are: the project's own forms, tracks, boundaries, policies and mappings.

What the accounting would read is read here by the same functions, and then looked at as a whole.
"""

from __future__ import annotations

import json
import re
import shlex
import zipfile
import zlib
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from geo.areas import Kind
from geo.boundaries.apart import check_apart
from geo.boundaries.columns import column, find_column
from geo.boundaries.findings import Severity
from geo.boundaries.layer import AreaFileError
from geo.boundaries.reading import read_layer
from stream.core.events import NEEDED, decode_duties, decode_states
from stream.core.policy import Policies, PolicyError, limits, parse_policies
from stream.core.times import EARLIEST
from stream.core.toml import TomlError, toml
from stream.files.doctor.coordinates import LOST_SIGN, in_britain, not_in_britain
from stream.files.doctor.guess import listed
from stream.files.doctor.names import plain_name
from stream.files.doctor.position_map import MappedPosition, PositionMapError, parse_position_map
from stream.files.doctor.told import (
    NO_ERRORS,
    SHOWN,
    Diagnosis,
    grouped,
    shown_duty,
    shown_position,
    shown_state,
)
from stream.files.roster.mapping import RosterError, parse_mapping
from stream.files.tracks import TracksError, form_of, read_fixes, read_rows
from stream.files.tracks.rows import open_file

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from geo.boundaries.layer import RawLayer
    from stream.core.facts import Fixes

_HEAD: Final = 1 << 16
_FORMS: Final = {
    "csv": "CSV with commas, UTF-8",
    "jsonl": "JSON lines, UTF-8",
    "parquet": "Parquet",
    "gpx": "GPX",
    "nmea": "NMEA 0183",
}
_AREA_ENDINGS: Final = (".gpkg", ".shp", ".tab", ".mif", ".kml", ".kmz", ".gml", ".geojson")
_AREA_ID: Final = re.compile(r"\b(id|code|cd|ref|reference|no|number|key)$|(code|ref|cd)$")
_AREA_NAME: Final = re.compile(r"\bna?me?$|name$|\b(title|label|descr(iption)?)$")
_SAMPLE: Final = 100_000


# ── Settings ──────────────────────────────────────────────────────────────────────────────────────────────


def look_at_toml(path: Path) -> Diagnosis | None:
    """A policy or a mapping; None for what is no TOML."""
    if path.suffix.lower() != ".toml" or path.stat().st_size > 4 << 20:
        return None
    answer = Diagnosis(path.name, "unknown", "TOML")
    try:
        text = path.read_text(encoding="utf-8-sig")
        tables = toml(text)
    except (UnicodeDecodeError, TomlError) as failure:
        answer.faults = [f"not TOML: {failure}"]
        return answer
    quoted = shlex.quote(str(path))
    try:
        if "policy" in tables:
            answer.kind = "policy"
            policies = parse_policies(text)
            answer.usable = answer.rows = len(policies.policies)
            answer.command = (
                f"patrol account --areas AREAS --positions POSITIONS --duties DUTIES --policy "
                f"{quoted} --out figures"
            )
        elif "positions" in tables:
            answer.kind = "mapping"
            parse_position_map(text)
            answer.command = f"patrol doctor FILE --map {quoted} --write-positions positions.csv"
        else:
            answer.kind = "mapping"
            parse_mapping(text)
            answer.command = f"patrol roster import FILE --map {quoted} --out roster --dry-run"
    except (PolicyError, PositionMapError, RosterError) as failure:
        answer.faults = [str(failure)]
        answer.command = ""
    answer.as_is = not answer.faults
    return answer


# ── Boundaries ────────────────────────────────────────────────────────────────────────────────────────────


def is_area_file(path: Path) -> bool:
    """Whether a file holds boundaries, by its name, its members or the shapes at its start."""
    name = path.name.lower()
    if name.endswith(_AREA_ENDINGS) and not name.endswith(".geojson"):
        return True
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return any(each.lower().endswith(_AREA_ENDINGS) for each in archive.namelist())
        with path.open("rb") as file:
            head = file.read(1 << 20)
    except (OSError, zipfile.BadZipFile, NotImplementedError):
        return False
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    return start.startswith(b"{") and b'"FeatureCollection"' in head and b'Polygon"' in head


def look_at_areas(path: Path) -> Diagnosis:
    """Boundaries: how many shapes there are, and the command that checks them."""
    answer = Diagnosis(path.name, "areas", "boundaries")
    try:
        raw = read_layer(path)
    except AreaFileError as failure:
        answer.faults = [str(failure).removeprefix(f"{path.name}: ")]
        return answer
    answer.form = f"{raw.driver}, {raw.crs.split(',')[0][:60] if raw.crs else 'no reference system named'}"
    answer.rows = answer.usable = len(raw)
    answer.columns = {"": list(raw.columns)}
    answer.understood = [
        {name: (values[at] or "")[:40] for name, values in zip(raw.columns, raw.values, strict=True)}
        for at in range(min(SHOWN, len(raw)))
    ]
    names = {name.lower() for name in raw.columns}
    if "kind" in names:
        kind = ""
    elif names & {"days", "hours", "issue"}:
        kind = "priority"
    elif any("station" in (value or "").lower() for values in raw.values for value in values[:50]):
        kind = "premises"
    else:
        kind = "neighbourhood"
    if kind:
        answer.unsure.append(f"what the areas are for is not said: {kind} is taken")
    named, missing = _id_and_name(raw)
    answer.missing += missing
    words = [f"--kind {kind}"] if kind else []
    for what, name in named.items():
        answer.unsure.append(f"{name!r} is taken for the column of the areas' {what}s: that is a guess")
        words.append(f"--{what}-column {shlex.quote(name)}")
    if missing:
        return answer
    answer.command = " ".join(["patrol areas check", shlex.quote(str(path)), *words])
    options: dict[str, Any] = {f"{what}_column": name for what, name in named.items()}
    checked = check_apart(path, Kind(kind) if kind else None, **options)
    answer.faults += [
        f"{finding.code}: {finding.text}"
        for finding in checked.findings
        if finding.severity is Severity.ERROR
    ][:SHOWN]
    answer.as_is = not checked.stops
    return answer


def _id_and_name(raw: RawLayer) -> tuple[dict[str, str], list[str]]:
    """The columns of ids and names that have to be named in the command, and what is missing."""
    try:
        find_column(raw, "id")
    except AreaFileError:
        pass
    else:
        return {}, []
    filled = {name: values for name in raw.columns if all(values := column(raw, name))}
    once = [name for name, values in filled.items() if len(set(values)) == len(values)]
    ids = [name for name in once if _AREA_ID.search(plain_name(name))]
    if len(ids) != 1:
        likely = listed(ids or once or list(raw.columns), 30)
        return {}, [
            f"which column has the areas' ids? Say it to 'patrol areas check' by --id-column; likely {likely}"
            if raw.columns
            else "the areas' ids: the file has no columns"
        ]
    named = {"id": ids[0]}
    with suppress(AreaFileError):
        if find_column(raw, "name") is None:
            names = [name for name in filled if _AREA_NAME.search(plain_name(name)) and name != ids[0]]
            if len(names) == 1:
                named["name"] = names[0]
    return named, []


# ── Facts ─────────────────────────────────────────────────────────────────────────────────────────────────


def look_natively(path: Path) -> Diagnosis | None:
    """A file of facts in a form that the accounting takes; None where it is in none."""
    try:
        form = form_of(path)
        fields = _fields(path, form)
    except (TracksError, OSError, EOFError, zlib.error, ValueError, RecursionError):
        return None  # what is wrong with it is said of tables
    kind: Literal["positions", "states", "duties"]
    if form in {"gpx", "nmea"} or {"device_id", "lon", "lat"} <= fields or {"position", "device"} <= fields:
        kind = "positions"
    elif set(NEEDED["states"]) <= fields:
        kind = "states"
    elif {"duty_id", "officer_id", "start"} <= fields:
        kind = "duties"
    else:
        return None
    packed = ", gzip" if path.suffix.lower() == ".gz" else ""
    answer = Diagnosis(path.name, kind, f"{_FORMS[form]}{packed}")
    try:
        if kind == "positions":
            _read_positions(path, answer)
        else:
            _read_events(path, answer)
    except TracksError:
        return None  # not as it is: perhaps by a mapping
    quoted = shlex.quote(str(path))
    option = {"positions": "--positions", "duties": "--duties", "states": "--states"}[kind]
    others = [f"{name} {name[2:].upper()}" for name in ("--positions", "--duties") if name != option]
    if not answer.rows:
        return None  # a header and nothing else: said of tables
    if not answer.usable:
        answer.faults.append(f"no row can be used: {answer.misfits[0].example}")
    if answer.faults:
        return answer
    if kind == "states" and answer.misfits:
        answer.notes.append("a mapping may explain states in words: see 'patrol roster import'")
    answer.as_is = True
    answer.command = f"patrol account --areas AREAS {option} {quoted} {' '.join(others)} --out figures"
    topic = {"positions": "", "duties": " --topic duty.bookings", "states": " --topic duty.states"}[kind]
    if form != "parquet" or kind == "positions":
        answer.then = f"patrol replay {quoted}{topic} --speed 0"
    return answer


def _fields(path: Path, form: str) -> set[str]:
    """The names of columns, or of the first object's fields."""
    if form in {"gpx", "nmea"}:
        return set()
    if form == "parquet":
        from pyarrow import parquet

        return set(parquet.read_schema(path).names)
    with closing(open_file(path)) as file:
        head = file.read(_HEAD).removeprefix(b"\xef\xbb\xbf").lstrip()
    line = head.split(b"\n", 1)[0].strip()
    if form == "csv":
        return {name.strip().strip('"') for name in line.decode().split(",")}
    found = json.loads(line) if line.startswith(b"{") else None
    return set(found) if isinstance(found, dict) else set()


def _read_positions(path: Path, answer: Diagnosis) -> None:
    bad: list[tuple[int, str, str]] = []
    kept: list[Fixes] = []
    first: list[int] = []
    held = 0
    for part in read_fixes(path, limits=limits(Policies())):
        answer.usable += len(part.fixes)
        bad += [(reject.index, str(reject.reason), reject.detail) for reject in part.rejects]
        if held < _SAMPLE and len(part.fixes):
            kept.append(part.fixes)
            held += len(part.fixes)
            first = first or part.line[:SHOWN].tolist()
    answer.rows = answer.usable + len(bad)
    answer.misfits = grouped(bad)
    if not kept:
        return
    fixes = kept[0]
    columns = fixes.time, fixes.lon, fixes.lat, fixes.error_m, fixes.speed_mps, fixes.heading_deg
    answer.understood = [
        shown_position(
            MappedPosition(row, fixes.device_ids[fixes.device[at]], *(each[at].item() for each in columns))
        )
        for at, row in enumerate(first)
    ]
    lon = np.concatenate([each.lon for each in kept])
    lat = np.concatenate([each.lat for each in kept])
    time = np.concatenate([each.time for each in kept])
    if all(np.isnan(each.error_m).all() for each in kept):
        answer.notes.append(NO_ERRORS)
    judge_as_a_whole(lon, lat, time, answer)


def judge_as_a_whole(
    lon: NDArray[np.float64], lat: NDArray[np.float64], time: NDArray[np.int64], answer: Diagnosis
) -> None:
    """Adds to an answer what only many positions together tell: exchanged, mirrored, elsewhere, long ago."""
    told = not_in_britain(lon, lat)
    if in_britain(lat, lon).mean() > max(0.5, in_britain(lon, lat).mean()):
        answer.faults.append("longitude and latitude are exchanged")
    elif told:
        (answer.faults if told == LOST_SIGN else answer.unsure).append(told)
    elif ((lon > 0) & in_britain(-lon, lat)).any() and (lon < 0).mean() > 0.5 and (lon > 1.8).any():
        answer.unsure.append(
            f"{(lon > 1.8).sum():,} positions lie in the North Sea: single minus signs may be lost"
        )
    if (time < EARLIEST).mean() > 0.5:
        answer.faults.append(
            "most times lie before 2000: they look like Unix seconds where milliseconds are wanted"
        )


def _read_events(path: Path, answer: Diagnosis) -> None:
    bad: list[tuple[int, str, str]] = []
    of_states = answer.kind == "states"
    decode: Any = decode_states if of_states else decode_duties
    show: Any = shown_state if of_states else shown_duty
    early = 0
    for part in read_rows(path):
        made, index, rejects = decode(part.value)
        bad += [(item.index, str(item.reason), item.detail) for item in part.rejects]
        bad += [(int(part.line[item.index]), str(item.reason), item.detail) for item in rejects]
        answer.usable += len(made)
        early += sum(getattr(item, "start", getattr(item, "time", 0)) < EARLIEST for item in made)
        for item, at in zip(made, index.tolist(), strict=True):
            if len(answer.understood) == SHOWN:
                break
            answer.understood.append(show(int(part.line[at]), item))
    answer.rows = answer.usable + len(bad)
    answer.misfits = grouped(sorted(bad))
    if early:
        answer.faults.append(
            f"{early:,} times lie before 2000: they look like Unix seconds where milliseconds are wanted"
        )
