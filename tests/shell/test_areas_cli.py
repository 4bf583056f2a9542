"""``patrol areas`` as people type it: what it prints, what it leaves in the database, how it ends."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from geo.areas import Area, AreaSet, Kind
from geo.boundaries.crs import area_m2
from geo.boundaries.diffs import diff
from geo.boundaries.findings import CODES, Severity
from geo.boundaries.pages import diff_html
from geo.boundaries.reading import read_areas
from geo.boundaries.writing import write_areas
from stream.cli import main
from stream.core.facts import Allocation, Duty, Fixes
from stream.store import areas as tables
from stream.store.ledger import Ledger
from stream.store.schema import connect, migrate
from tests.core.boundary_corpus import CASES
from tests.strategies import many, micros

if TYPE_CHECKING:
    from collections.abc import Sequence

WEST, SOUTH, SIDE = -1.2, 52.6, 0.01
SUNDAY = micros("2026-06-07T22:00:00+00:00")
"""23:00 local; an hour later a new week begins."""


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Patrol:
    """The command, in a folder of its own and over a database of its own."""

    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *words: object) -> Said:
        self.monkeypatch.setattr("sys.argv", ["patrol", *map(str, words)])
        self.capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        out, err = self.capsys.readouterr()
        return Said(int(left.value.code or 0), out, err)


@pytest.fixture
def patrol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Patrol:
    """The command without a database."""
    monkeypatch.chdir(tmp_path)
    for name in ("PATROL_DATABASE", "PATROL_CONFIG", "PATROL_DATABASE_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LOGNAME", "inspector")
    return Patrol(monkeypatch, capsys)


@pytest.fixture
def served(patrol: Patrol, database: str, monkeypatch: pytest.MonkeyPatch) -> Patrol:
    """The command over an empty database that is up to date."""
    with connect(database) as connection:
        migrate(connection)
    monkeypatch.setenv("PATROL_DATABASE", database)
    return patrol


def squares(*names: str, width: float = SIDE, kind: Kind = Kind.NEIGHBOURHOOD) -> AreaSet:
    """Squares side by side from west to east; the first as wide as told, the last reaches the same end."""
    edges = [WEST, *(WEST + width + SIDE * at for at in range(len(names) - 1)), WEST + SIDE * len(names)]
    return AreaSet.of(
        Area(kind, name, f"Beat {name}", shapely.box(edges[at], SOUTH, edges[at + 1], SOUTH + SIDE))
        for at, name in enumerate(names)
    )


def overlapping() -> AreaSet:
    """Two neighbourhoods that share half their ground."""
    return AreaSet.of(
        Area(Kind.NEIGHBOURHOOD, name, f"Beat {name}", shapely.box(west, SOUTH, west + SIDE, SOUTH + SIDE))
        for name, west in (("A", WEST), ("B", WEST + SIDE / 2))
    )


def shift(database: str) -> None:
    """An officer of A who stands in its east for two hours about midnight on Sunday, a fix each minute."""
    count = 121
    fixes = Fixes(
        np.zeros(count, np.int32),
        SUNDAY + np.arange(count, dtype=np.int64) * 60_000_000,
        np.full(count, WEST + 0.9 * SIDE),
        np.full(count, SOUTH + SIDE / 2),
        np.full(count, 5.0),
        np.zeros(count, np.float32),
        np.zeros(count, np.float32),
        ("R1",),
    )
    duty = Duty("D1", 1, "1001", SUNDAY, SUNDAY + 7_200_000_000, ("A",), (Allocation("R1", "radio"),))
    with connect(database) as connection:
        ledger = Ledger(connection)
        ledger.bookings([duty], [])
        ledger.positions(fixes)


# ── check ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_sound_file_may_be_published(patrol: Patrol) -> None:
    """Exit 0, a line that says so, and no database is asked."""
    write_areas(squares("A", "B"), "beats.geojson")
    said = patrol("areas", "check", "beats.geojson", "--kind", "neighbourhood")
    assert (said.code, said.err) == (0, "")
    assert "beats.geojson: 2 areas, 0 errors, 0 warnings, 0 notes: it may be published" in said.out


def test_errors_stop_a_publication(patrol: Patrol) -> None:
    """Exit 1; the table, the JSON, the map and the GeoJSON all have the finding."""
    write_areas(overlapping(), "beats.gpkg")
    words = ("areas", "check", "beats.gpkg", "--map", "map.html", "--geojson", "found.geojson")
    said = patrol(*words)
    assert said.code == 1
    assert re.search(r"error\s+overlap\s+neighbourhood A and B overlap", said.out)
    assert "must not be published" in said.out
    machine = patrol(*words, "--json")
    assert (machine.code, machine.json["may_be_published"]) == (1, False)
    assert [row["code"] for row in machine.json["findings"]] == ["overlap"]
    html = Path("map.html").read_text(encoding="utf-8")
    assert "overlap" in html
    assert not re.search(r"<script|src=|https?://", html)
    found = json.loads(Path("found.geojson").read_text(encoding="utf-8"))
    assert [item["properties"]["code"] for item in found["features"]] == ["overlap"]


def test_an_error_is_accepted_with_a_reason_and_a_name(patrol: Patrol) -> None:
    """By --why under one's own name or by CODE=WHO: WHY; for one area only where it is named."""
    write_areas(overlapping(), "beats.geojson")
    base = ("areas", "check", "beats.geojson", "--json", "--accept")
    mine = patrol(*base, "overlap", "--why", "two forces agreed")
    assert mine.code == 0
    assert "accepted by inspector: two forces agreed" in mine.json["findings"][0]["done"]
    theirs = patrol(*base, "overlap:A=Insp. Rowe: the airport has its own force")
    assert theirs.code == 0
    assert "accepted by Insp. Rowe: the airport has its own force" in theirs.json["findings"][0]["done"]
    assert patrol(*base, "overlap:B", "--why", "no").code == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--accept", "overlap"), "say why with --why"),
        (("--accept", "overlap=Rowe"), "say who and why"),
        (("--accept", "no-such-code", "--why", "x"), "not a finding that can be accepted"),
        (("--accept", "unreadable", "--why", "x"), "not a finding that can be accepted"),
        (("--outline", "missing.gpkg"), "does not exist"),
        (("--against", "published"), "PATROL_DATABASE is not set"),
    ],
)
def test_wrong_use_of_check_ends_with_2_and_a_line(patrol: Patrol, words: tuple[str, ...], says: str) -> None:
    """An acceptance without a reason, a code that is none, a file that is missing: exit 2, and what to do."""
    write_areas(overlapping(), "beats.geojson")
    said = patrol("areas", "check", "beats.geojson", *words)
    assert said.code == 2
    assert says in said.err
    assert "Traceback" not in said.err


def test_the_outline_is_any_file_with_the_force_in_it(patrol: Patrol) -> None:
    """In another system and without ids: what lies outside it is found."""
    whole = AreaSet.of([Area(Kind.PREMISES, "F", "f", shapely.box(WEST, SOUTH, WEST + 0.02, SOUTH + SIDE))])
    write_areas(whole, "force.gpkg", crs="EPSG:27700")
    write_areas(squares("A", "B", "C"), "beats.geojson")
    said = patrol("areas", "check", "beats.geojson", "--outline", "force.gpkg", "--json")
    assert said.code == 1
    errors = [row for row in said.json["findings"] if row["severity"] == "error"]
    assert [(row["code"], row["area_id"]) for row in errors] == [("outside-force", "C")]


@pytest.mark.shared
def test_the_real_wards_may_be_published(patrol: Patrol, shared_data: Path) -> None:
    """All 171 wards, a zipped Shapefile in metres, against the force's own outline: warnings only."""
    said = patrol(
        "areas",
        "check",
        shared_data / "wards_leicestershire_bng_shp.zip",
        "--kind",
        "neighbourhood",
        "--outline",
        shared_data / "force_leicestershire_bng.gpkg",
    )
    assert said.code == 0
    assert "171 areas, 0 errors" in said.out


# ── load, list, rollback ──────────────────────────────────────────────────────────────────────────────────


def test_a_file_with_errors_is_not_published(served: Patrol) -> None:
    """Exit 1, the findings are listed, and there is no version, also where it was asked in JSON."""
    write_areas(overlapping(), "beats.geojson")
    said = served("areas", "load", "beats.geojson", "--from", "2026-01-01")
    assert said.code == 1
    assert "not published: 1 error" in said.out
    assert (
        served("areas", "load", "beats.geojson", "--from", "2026-01-01", "--json").json["published"] is False
    )
    assert served("areas", "list", "--all", "--json").json == []


def test_no_broken_file_changes_what_is_published(served: Patrol, tmp_path: Path) -> None:
    """Each file of the corpus that stops a publication is refused with a line, and nothing is published."""
    write_areas(squares("A", "B"), tmp_path / "good.geojson")
    assert (
        served("areas", "load", "good.geojson", "--kind", "neighbourhood", "--from", "2020-01-01").code == 0
    )
    before = served("areas", "list", "--all", "--json").out
    refused = 0
    for number, case in enumerate(CASES):
        # One of them is read for the full minute that a file may take; tests/core/test_checks.py has it.
        stops = any(CODES[code] is Severity.ERROR for code in case.codes)
        if "never ends" in case.name or case.options or not stops:
            continue
        folder = tmp_path / f"case-{number}"
        folder.mkdir()
        path = case.make(folder)
        said = served("areas", "load", path, "--from", "2021-01-01")
        assert said.code in {1, 2}, case.name
        assert said.out + said.err, case.name
        assert "Traceback" not in said.err, case.name
        refused += 1
    assert refused >= 60
    assert served("areas", "list", "--all", "--json").out == before


def test_who_when_which_file_and_what_was_accepted_are_on_record(served: Patrol, tmp_path: Path) -> None:
    """The version has its file by name and digest, who loaded it, why, and each finding as it was judged."""
    write_areas(overlapping(), "beats.geojson")
    said = served(
        "areas", "load", "beats.geojson", "--from", "2026-01-01", "--accept", "overlap", "--why", "agreed"
    )
    assert said.code == 0, said.err
    assert "version 1: 2 areas of kind neighbourhood, in force from 2026-01-01" in said.out
    (row,) = served("areas", "list", "--json").json
    assert (row["file"], row["loaded_by"], row["why"]) == ("beats.geojson", "inspector", "agreed")
    assert row["sha256"] == hashlib.sha256((tmp_path / "beats.geojson").read_bytes()).hexdigest()
    assert row["valid_from"] == "2026-01-01T00:00:00.000000Z"
    (finding,) = row["findings"]
    assert (finding["code"], finding["severity"]) == ("overlap", "note")
    assert "accepted by inspector: agreed" in finding["done"]
    assert "in force" in served("areas", "list").out


def test_a_version_dated_before_another_is_told_when_it_ends(served: Patrol) -> None:
    """Whoever publishes for a time before a version that stands reads that it is in force until then only."""
    write_areas(squares("A"), "beats.geojson")
    first = served("areas", "load", "beats.geojson", "--from", "2026-06-01")
    assert "takes over" not in first.out
    second = served("areas", "load", "beats.geojson", "--from", "2026-01-01")
    assert "until 2026-06-01 00:00 only: then version 1 takes over" in second.out


def test_a_file_of_several_kinds_becomes_a_version_of_each(served: Patrol) -> None:
    """Without --kind each feature's own kind counts."""
    write_areas(AreaSet.union(squares("A", "B"), squares("P", kind=Kind.PRIORITY)), "all.gpkg")
    assert served("areas", "load", "all.gpkg", "--from", "2026-01-01").code == 0
    rows = served("areas", "list", "--json").json
    assert [(row["kind"], row["areas"], row["in_force"]) for row in rows] == [
        ("neighbourhood", 2, True),
        ("priority", 1, True),
    ]


def test_a_priority_area_is_looked_for_in_what_is_published(served: Patrol) -> None:
    """One in no published neighbourhood gets a warning, from check as from load."""
    write_areas(squares("A"), "beats.geojson")
    served("areas", "load", "beats.geojson", "--from", "2026-01-01")
    far = AreaSet.of([Area(Kind.PRIORITY, "P", "p", shapely.box(-1.0, 52.0, -0.99, 52.01))])
    write_areas(far, "hot.geojson")
    checked = served("areas", "check", "hot.geojson", "--against", "published", "--json")
    loaded = served("areas", "load", "hot.geojson", "--from", "2026-01-02", "--json")
    for said in (checked, loaded):
        assert said.code == 0
        assert "no-neighbourhood" in [row["code"] for row in said.json["findings"]]


def test_figures_change_only_with_a_reason_and_stand_on_record(served: Patrol, database: str) -> None:
    """Shown before by --dry-run, refused without --why, recorded with it; rollback gives the hours back."""
    write_areas(squares("A", "B"), "old.geojson")
    write_areas(squares("A", "B", width=SIDE / 2), "new.geojson")
    assert served("areas", "load", "old.geojson", "--from", "2026-01-01").code == 0
    shift(database)
    change = ("areas", "load", "new.geojson", "--from", "2026-06-08")

    shown = served(*change, "--dry-run")
    assert shown.code == 0
    said = " ".join(shown.out.split())
    assert "2026-W24 officer 1001 1.00 h 0.00 h 100.0% (100.0%–100.0%) 0.0% (0.0%–0.0%)" in said
    assert "force 1.00 h 0.00 h 100.0% (100.0%–100.0%, met) 0.0% (0.0%–0.0%, missed)" in said
    assert "2026-W23" not in shown.out  # Monday 00:00 divides the shift (rule 19)
    assert "nothing was changed" in shown.out
    refused = served(*change)
    assert refused.code == 2
    assert "say why with --why" in refused.err
    assert len(served("areas", "list", "--all", "--json").json) == 1

    done = served(*change, "--why", "the beats of June", "--json")
    assert done.code == 0
    assert done.json["restatement"] == 1
    rows = {(row["scope"], row["id"]): (row["before"], row["after"]) for row in done.json["restated"]}
    assert set(rows) == {("force", "force"), ("neighbourhood", "A"), ("officer", "1001")}
    for before, after in rows.values():
        assert (before["on_patch_s"], before["off_patch_s"]) == (3600.0, 0.0)
        assert (after["on_patch_s"], after["off_patch_s"]) == (0.0, 3600.0)
        assert (before["doubtful_s"], before["share_low"], before["verdict"]) == (0.0, 1.0, "met")
        assert (after["doubtful_s"], after["share_high"], after["verdict"]) == (0.0, 0.0, "missed")

    back = served("areas", "rollback", "--why", "not yet")
    assert back.code == 0
    assert "version 2 is withdrawn" in back.out
    record = served("areas", "restatements", "--json").json
    assert [(row["cause"], row["why"], row["recorded_by"]) for row in record] == [
        ("areas published", "the beats of June", "inspector"),
        ("areas withdrawn", "not yet", "inspector"),
    ]
    assert "areas withdrawn" in served("areas", "restatements").out
    both = served("areas", "list", "--all", "--json").json
    assert [(row["in_force"], row["withdrawn_why"]) for row in both] == [(True, None), (False, "not yet")]
    assert "withdrawn" in served("areas", "list", "--all").out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("areas", "rollback"), "no version to take back"),
        (("areas", "diff", "1", "2"), "no version 1"),
        (("areas", "diff", "nowhere.gpkg", "2"), "neither the number of a version nor a file"),
        (("areas", "export", "--version", "7"), "no version 7"),
        (("areas", "export", "--version", "7", "--at", "2026-01-01"), "not both"),
        (("areas", "export"), "no such areas"),
        (("areas", "export", "--at", "soon"), "is not a time"),
    ],
)
def test_what_is_not_there_ends_with_2_and_a_line(served: Patrol, words: tuple[str, ...], says: str) -> None:
    """A version, file or time that is none: exit 2, and what to do."""
    said = served(*words)
    assert said.code == 2
    assert says in said.err
    assert "Traceback" not in said.err


def test_a_database_that_is_away_ends_with_3(patrol: Patrol, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit 3 and one line."""
    monkeypatch.setenv("PATROL_DATABASE", "postgresql://127.0.0.1:1/patrol")
    said = patrol("areas", "list")
    assert said.code == 3
    assert said.err.count("\n") == 1


# ── diff ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_difference_names_the_ground_the_officers_and_the_weeks(served: Patrol, database: str) -> None:
    """From version to version: who lost how much to whom, also on a map, and whose patch it is, and when."""
    write_areas(squares("A", "B"), "old.geojson")
    write_areas(squares("A", "B", "C", width=SIDE / 2), "new.geojson")
    served("areas", "load", "old.geojson", "--from", "2026-01-01")
    shift(database)
    served("areas", "load", "new.geojson", "--from", "2026-06-08", "--why", "growth")
    said = served("areas", "diff", "1", "2", "--map", "changes.html")
    assert said.code == 0
    size = float(area_m2(shapely.box(WEST, SOUTH, WEST + SIDE / 2, SOUTH + SIDE))[0])
    assert re.search(r"added\s+neighbourhood\s+C Beat C", said.out)
    assert re.search(rf"ground\s+neighbourhood\s+A Beat A → B Beat B\s+{size / 1e6:.3f} km²", said.out)
    assert "A is on the patch of 1 officer (1001) in week 2026-W24" in said.out
    html = Path("changes.html").read_text(encoding="utf-8")
    assert f"A → B: {size / 1e6:.3f} km²" in html
    assert not re.search(r"<script|src=|https?://", html)
    told = served("areas", "diff", "1", "2", "--json").json
    touched = {"area_id": "A", "officers": ["1001"], "weeks": ["2026-W24"], "officer_count": 1}
    assert told["touched"] == [touched]
    assert served("areas", "diff", "2", "published", "--json").json["ground"] == []


def test_two_files_are_compared_without_a_database(patrol: Patrol) -> None:
    """A rename and nothing else, whatever the format and the system; equal files have no difference."""
    old = squares("A", "B")
    new = AreaSet.of(Area(area.kind, area.area_id, area.name.upper(), area.geometry) for area in old.areas())
    write_areas(old, "old.geojson")
    write_areas(new, "new.gpkg", crs="EPSG:27700")
    said = patrol("areas", "diff", "old.geojson", "new.gpkg")
    assert said.code == 0
    assert re.search(r"renamed\s+neighbourhood\s+A\s+Beat A → BEAT A", said.out)
    assert "moved" not in said.out
    assert "no difference" in patrol("areas", "diff", "old.geojson", "old.geojson").out


@many(40)
@given(cuts=st.lists(st.integers(1, 39), min_size=2, max_size=2), names=st.permutations(["A", "B", "C"]))
def test_the_map_of_a_difference_is_sound_whatever_moved(cuts: list[int], names: list[str]) -> None:
    """Any two divisions of one strip: the page is well formed, and draws each flow of ground once."""
    from xml.etree import ElementTree as ET

    def strip(cuts: Sequence[int], ids: Sequence[str]) -> AreaSet:
        edges = sorted({0, *cuts, 40})
        return AreaSet.of(
            Area(
                Kind.NEIGHBOURHOOD,
                name,
                f"<{name} & co>",
                shapely.box(WEST + low * 1e-3, SOUTH, WEST + high * 1e-3, SOUTH + SIDE),
            )
            for name, low, high in zip(ids, edges[:-1], edges[1:], strict=False)
        )

    old, new = strip((13, 27), ("A", "B", "C")), strip(cuts, names)
    found = diff(old, new)
    page = diff_html(found, old, new, "a & b", ["<remark>"])
    body = re.sub(r"<meta[^>]*>|<thead>.*?</thead>", "", page.removeprefix("<!doctype html>"))
    root = ET.fromstring(body)
    drawn = [item for item in root.iter("path") if item.get("class") in ("flow", "won", "lost")]
    assert len(drawn) == len(found.flows)
    assert all(item.get("d") for item in drawn)


# ── account ───────────────────────────────────────────────────────────────────────────────────────────────


def test_an_account_of_files_knows_versions_too(served: Patrol, database: str) -> None:
    """`FILE:kind@DATE`: the same stays and slices as from the database with both versions published."""
    write_areas(squares("A", "B"), "old.geojson")
    write_areas(squares("A", "B", width=SIDE / 2), "new@2.geojson")
    served("areas", "load", "old.geojson", "--from", "2026-01-01")
    shift(database)
    served("areas", "load", "new@2.geojson", "--from", "2026-06-08", "--why", "growth")
    assert served("export", "--out", "from_database").code == 0

    with connect(database) as connection:
        fixes = connection.execute(
            "select device_id, time, lon, lat, error_m from fix join device using (device) order by time"
        ).fetchall()
    lines = [
        {
            "device_id": name,
            "time": time.isoformat(),
            "lon": lon,
            "lat": lat,
            "error_m": error,
            "kind": "radio",
        }
        for name, time, lon, lat, error in fixes
    ]
    duty = {
        "duty_id": "D1",
        "revision": 1,
        "officer_id": "1001",
        "patch": ["A"],
        "start": "2026-06-07T22:00:00Z",
        "end": "2026-06-08T00:00:00Z",
        "devices": [{"device_id": "R1", "kind": "radio"}],
    }
    Path("positions.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    Path("duties.jsonl").write_text(json.dumps(duty), encoding="utf-8")
    facts = ("--positions", "positions.jsonl", "--duties", "duties.jsonl")
    old, new = "old.geojson:neighbourhood", "new@2.geojson:neighbourhood"
    said = served("account", "--areas", old, "--areas", f"{new}@2026-06-08", *facts, "--out", "from_files")
    assert said.code == 0, said.err
    for name in ("stays.csv", "slices.csv"):
        assert (Path("from_files") / name).read_bytes() == (Path("from_database") / name).read_bytes()
    assert "on_patch" in (Path("from_files") / "slices.csv").read_text(encoding="utf-8")
    assert "off_patch" in (Path("from_files") / "slices.csv").read_text(encoding="utf-8")

    for words, says in (
        (("--areas", old, "--areas", new), "FILE@2026-11-25"),
        (("--areas", f"{old}@soon"), "is not a time"),
    ):
        wrong = served("account", *words, *facts, "--out", "nowhere")
        assert wrong.code == 2
        assert says in wrong.err


# ── export ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("form", "ending", "crs"),
    [
        ("gpkg", "gpkg", "27700"),
        ("geojson", "geojson", "4326"),
        ("kml", "kml", "4326"),
        ("shp", "zip", "27700"),
    ],
)
def test_what_goes_out_comes_in_again(
    served: Patrol, database: str, form: str, ending: str, crs: str
) -> None:
    """In every format and system: the same areas, to a millimetre, whichever version is asked for."""
    versions = [squares("A", "B"), squares("A", "B", width=SIDE / 2), squares("A", "B", width=SIDE / 4)]
    with connect(database) as connection:
        for number, found in enumerate(versions, 1):
            start = micros(f"2020-0{number}-01T00:00:00+00:00")
            tables.publish(connection, found, Kind.NEIGHBOURHOOD, start, file="x", sha256="", by="x")
    assert served("areas", "rollback").code == 0
    old, new, gone = versions
    for words, want in ((("--version", "3"), gone), (("--at", "2020-01-15"), old), ((), new)):
        said = served("areas", "export", *words, "--format", form, "--crs", crs, "--kind", "neighbourhood")
        assert said.code == 0, said.err
        assert f"neighbourhood.{ending}: 2 areas in EPSG:{crs}" in said.out
        back = read_areas(f"neighbourhood.{ending}", Kind.NEIGHBOURHOOD)
        assert back.area_id == want.area_id
        assert back.name == want.name
        apart = shapely.hausdorff_distance(back.geometry, want.geometry)
        assert float(apart.max()) < 2e-8  # two millimetres


def test_kml_in_metres_is_refused(served: Patrol) -> None:
    """KML knows degrees only: exit 2, and what to do."""
    write_areas(squares("A"), "beats.geojson")
    served("areas", "load", "beats.geojson", "--from", "2026-01-01")
    said = served("areas", "export", "--format", "kml", "--crs", "27700")
    assert said.code == 2
    assert "KML knows degrees only" in said.err


def test_every_areas_command_shows_an_example(patrol: Patrol) -> None:
    """`--help` of each command has a line to try."""
    listed = patrol("areas", "--help").out
    names = re.findall(r"^  ([a-z]+) ", listed.split("Commands:")[1], re.MULTILINE)
    assert set(names) == {"check", "diff", "export", "list", "load", "restatements", "rollback"}
    for name in names:
        assert "Example: patrol " in patrol("areas", name, "--help").out


def test_many_findings_alike_are_told_in_a_few_lines(patrol: Patrol) -> None:
    """Of thirty overlaps the table has twenty and a line for the rest; JSON has all."""
    heap = AreaSet.of(
        Area(Kind.PREMISES, f"P{at}", f"p{at}", shapely.box(WEST, SOUTH, WEST + 0.001, SOUTH + 0.001))
        for at in range(9)
    )
    write_areas(heap, "heap.geojson")
    table = patrol("areas", "check", "heap.geojson").out
    assert table.count("have the same shape") == 20
    assert "and 16 more like these" in table
    found = patrol("areas", "check", "heap.geojson", "--json").json["findings"]
    assert sum(row["code"] == "same-shape" for row in found) == 36


def test_no_escape_reaches_the_terminal(patrol: Patrol) -> None:
    """Ids and names with escapes are shown written out, by check as by diff."""
    area = Area(Kind.NEIGHBOURHOOD, "A", "Beat \x1b[31m", shapely.box(WEST, SOUTH, WEST + SIDE, SOUTH + SIDE))
    write_areas(AreaSet.of([area]), "one.geojson")
    write_areas(squares("A"), "two.geojson")
    for words in (("check", "one.geojson"), ("diff", "one.geojson", "two.geojson")):
        said = patrol("areas", *words)
        assert "\x1b[31m" not in said.out + said.err
        assert "Beat" in said.out


def test_what_a_file_does_not_hold_is_no_difference(served: Patrol) -> None:
    """Published areas of kinds that a file does not hold are not removed; two versions must be alike."""
    write_areas(squares("A"), "beats.geojson")
    write_areas(squares("P", kind=Kind.PRIORITY), "hot.geojson")
    for name in ("beats", "hot"):
        served("areas", "load", f"{name}.geojson", "--from", "2026-01-01")
    said = served("areas", "diff", "published", "hot.geojson")
    assert (said.code, said.out) == (0, "published and hot.geojson: no difference\n")
    other = served("areas", "diff", "1", "2")
    assert other.code == 2
    assert "choose two of one kind" in other.err


def test_a_kind_chooses_among_a_files_areas(patrol: Patrol) -> None:
    """With --kind two files with a kind column are compared in that kind only."""
    hot = squares("P", kind=Kind.PRIORITY)
    write_areas(AreaSet.union(squares("A"), hot), "old.geojson")
    write_areas(AreaSet.union(squares("A", "B"), hot), "new.geojson")
    said = patrol("areas", "diff", "old.geojson", "new.geojson", "--kind", "priority")
    assert said.out == "old.geojson and new.geojson: no difference\n"
    assert "added" in patrol("areas", "diff", "old.geojson", "new.geojson", "--kind", "neighbourhood").out


def test_a_shapefile_goes_out_as_a_zip_only(served: Patrol) -> None:
    """An --out that does not end in .zip is refused for a Shapefile, with the name to give."""
    write_areas(squares("A"), "beats.geojson")
    served("areas", "load", "beats.geojson", "--from", "2026-01-01")
    said = served("areas", "export", "--format", "shp", "--out", "beats.shp")
    assert said.code == 2
    assert "beats.zip" in said.err
    assert not Path("beats.shp").exists()
