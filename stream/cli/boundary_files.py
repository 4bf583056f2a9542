"""``patrol areas check``, ``diff`` and ``export``: boundary files in and out, and tables of what was found.

Words, options and tables only. A database is used only where a version, or the published areas, are asked
for.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stream.cli.common import KINDS, database, moment_option, print_json, print_table
from stream.cli.on_record import username
from stream.clock import wall
from stream.settings import load as load_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from geo.areas import AreaSet, Kind
    from geo.boundaries.diffs import Diff
    from geo.boundaries.findings import Acceptance, Checked, Finding
    from stream.store.areas import Version
    from stream.store.records import Touched
    from stream.store.schema import Connection

FILE = click.Path(path_type=Path, exists=True)
OUT = click.Path(path_type=Path, dir_okay=False, writable=True)
FORMATS = {"gpkg": ".gpkg", "geojson": ".geojson", "kml": ".kml", "shp": ".zip"}
PUBLISHED = "published"
ALIKE = 20
"""How many findings of one code the table for people shows; JSON, GeoJSON and the map have all."""


def file_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of commands that read and check one boundary file."""
    for option in reversed(
        (
            click.argument("file", type=FILE),
            click.option(
                "--kind", type=KINDS, help="What the areas are for (or the file has a kind column)."
            ),
            click.option("--outline", type=FILE, help="A file with the force's own boundary."),
            click.option("--layer", help="The layer of a file that has several."),
            click.option("--id-column", help="The column with the areas' ids."),
            click.option("--name-column", help="The column with their names."),
            click.option(
                "--crs",
                help="The reference system, where the file does not name it: EPSG:27700 or EPSG:4326.",
            ),
            click.option(
                "--encoding", help="How its texts are written, where the file says it wrongly: latin-1."
            ),
            click.option(
                "--accept",
                multiple=True,
                metavar="CODE",
                help="Let an error pass: CODE or CODE:AREA with --why, or CODE=WHO: WHY. May be repeated.",
            ),
            click.option("--why", help="Why, for the record."),
        )
    ):
        command = option(command)
    return command


def acceptances(accept: Sequence[str], why: str | None, who: str) -> dict[str, Acceptance]:
    """What ``--accept`` and ``--why`` say, by code.

    Raises:
        click.UsageError: there is no reason.
    """
    from geo.boundaries.findings import Acceptance

    found = {}
    for item in accept:
        code, given, said = item.partition("=")
        name, _, reason = said.partition(":")
        if given and name.strip() and reason.strip():
            found[code] = Acceptance(name.strip(), reason.strip())
        elif given:
            raise click.UsageError(f"--accept {item}: say who and why: --accept '{code}=NAME: REASON'")
        elif why:
            found[code] = Acceptance(who, why)
        else:
            raise click.UsageError(f"--accept {item}: say why with --why TEXT")
    return found


def read_checked(file: Path, against: AreaSet | None, **options: Any) -> Checked:
    """A file, checked with the options of ``file_options``.

    Raises:
        click.UsageError: an option makes no sense.
        AreaFileError: the outline cannot be used.
    """
    from geo.areas import Kind
    from geo.boundaries.apart import check_apart as run

    accept = acceptances(options["accept"], options["why"], username())
    outline = None if options["outline"] is None else outline_of(options["outline"])
    try:
        return run(
            file,
            Kind(options["kind"]) if options["kind"] else None,
            against,
            outline,
            accept=accept,
            **{name: options[name] for name in ("layer", "id_column", "name_column", "crs", "encoding")},
        )
    except ValueError as error:
        if accept and "accepted" in str(error):
            raise click.UsageError(str(error)) from error
        raise


def outline_of(path: Path) -> Any:
    """The one shape that all rows of a file make together, WGS84 degrees.

    Raises:
        AreaFileError: the file cannot be used, or has no areas.
    """
    import shapely

    from geo.boundaries.layer import AreaFileError
    from geo.boundaries.reading import read_layer
    from geo.boundaries.shapes import locate, mend

    shapes = [mend(shape) for shape in locate(read_layer(path))]
    whole = shapely.union_all([shape for shape in shapes if shape is not None])
    if whole.is_empty:
        raise AreaFileError(f"{path.name}: has no area in it; give a file with the force's boundary")
    return whole


# ── Tables ────────────────────────────────────────────────────────────────────────────────────────────────


def findings_table(findings: Sequence[Finding]) -> None:
    """Prints findings, worst first, each with what was done; of many alike, the first few."""
    from geo.boundaries.findings import findings_rows

    if not findings:
        return
    rows: list[tuple[str, ...]] = []
    alike = Counter((str(item.severity), item.code) for item in findings)
    seen: Counter[tuple[str, str]] = Counter()
    for item in findings_rows(findings):
        key = (str(item["severity"]), str(item["code"]))
        seen[key] += 1
        if seen[key] == ALIKE + 1:
            rows.append((*key, f"and {alike[key] - ALIKE:,} more like these", "--json shows all", ""))
        if seen[key] > ALIKE:
            continue
        where = "" if item["lon"] is None else f"{item['lat']}, {item['lon']}"
        rows.append((str(item["severity"]), str(item["code"]), str(item["text"]), str(item["done"]), where))
    print_table(("how bad", "code", "what", "what happens", "where (lat, lon)"), rows)


# ── Commands ──────────────────────────────────────────────────────────────────────────────────────────────


@click.command(epilog="Example: patrol areas check beats.zip --kind neighbourhood --map beats.html")
@file_options
@click.option(
    "--against",
    type=click.Choice([PUBLISHED]),
    help="Look for priority areas and premises in the neighbourhoods published.",
)
@click.option("--map", "map_", type=OUT, help="Write the findings on a map: one HTML file.")
@click.option("--geojson", type=OUT, help="Write the findings for a GIS.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
def check(
    context: click.Context,
    /,
    file: Path,
    against: str | None,
    map_: Path | None,
    geojson: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Reports what is wrong with a boundary file, where and how badly; exit 1 if it must not be published."""
    from geo.areas import Kind
    from geo.boundaries.findings import counts_words, findings_geojson, findings_rows
    from geo.boundaries.pages import findings_html
    from stream.store.records import in_force_at

    published = None
    if against == PUBLISHED:
        with database("patrol areas") as connection:
            published = in_force_at(connection, wall())
    checked = read_checked(file, published, **options)
    if map_ is not None:
        below = None if published is None else published.only(Kind.NEIGHBOURHOOD)
        map_.write_text(findings_html(checked, file.name, below), encoding="utf-8")
    if geojson is not None:
        geojson.write_text(findings_geojson(checked.findings), encoding="utf-8")
    areas = 0 if checked.areas is None else len(checked.areas)
    if as_json:
        told = {
            "file": file.name,
            "areas": areas,
            "may_be_published": not checked.stops,
            "findings": findings_rows(checked.findings),
        }
        print_json(told, indent=1)
    else:
        findings_table(checked.findings)
        verdict = "must not be published as it is" if checked.stops else "may be published"
        click.echo(f"{file.name}: {areas:,} areas, {counts_words(checked.findings)}: it {verdict}")
    if checked.stops:
        context.exit(1)


@click.command(epilog="Example: patrol areas diff 3 4 --map changes.html")
@click.argument("a")
@click.argument("b")
@click.option("--kind", type=KINDS, help="What the areas of a file are for.")
@click.option("--from", "start", help="When B comes into force, where it is a file (default: now).")
@click.option("--map", "map_", type=OUT, help="Write the changes on a map: one HTML file.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def diff(a: str, b: str, kind: str | None, start: str | None, map_: Path | None, as_json: bool) -> None:
    """Says what changed from A to B: numbers of versions, files, or `published` for what is in force now.

    With a database it also says whose patches that touches, and in which weeks.
    """
    from geo.areas import Kind
    from geo.boundaries.diffs import diff as compare
    from geo.boundaries.pages import diff_html, diff_rows
    from stream.files.recorded import diff_json

    wanted = Kind(kind) if kind else None
    old, _ = side(a, wanted)
    new, period = side(b, wanted)
    if wanted is None:
        old, new = comparable(a, old, b, new)
    else:
        old, new = old.only(wanted), new.only(wanted)
    found = compare(old, new)
    begins = moment_option(start)
    reached = touched_by(found, period if begins is None else (begins, period[1]))
    remarks = [touched_text(item) for item in reached]
    if map_ is not None:
        map_.write_text(diff_html(found, old, new, f"{a} → {b}", remarks), encoding="utf-8")
    if as_json:
        print_json(diff_json(found, reached), indent=1)
        return
    if not found:
        click.echo(f"{a} and {b}: no difference")
        return
    print_table(("what", "kind", "area", "how much"), diff_rows(found, old, new))
    for remark in remarks:
        click.echo(remark)


def comparable(a: str, old: AreaSet, b: str, new: AreaSet) -> tuple[AreaSet, AreaSet]:
    """Both sides without the kinds of what is published that a version or file beside it does not hold.

    Raises:
        click.UsageError: two versions of different kinds.
    """
    from geo.areas import AreaSet

    if a.isdigit() and b.isdigit() and set(old.kind).isdisjoint(new.kind):
        raise click.UsageError(
            f"version {a} holds areas of kind {', '.join(sorted(set(old.kind)))} and version {b} of kind "
            f"{', '.join(sorted(set(new.kind)))}; choose two of one kind, see 'patrol areas list'"
        )
    if a == PUBLISHED and b != PUBLISHED:
        old = AreaSet.of(area for area in old.areas() if area.kind in new.kind)
    elif b == PUBLISHED and a != PUBLISHED:
        new = AreaSet.of(area for area in new.areas() if area.kind in old.kind)
    return old, new


def touched_text(item: Touched) -> str:
    """Whose patch a changed neighbourhood is, in a line."""
    officers = ", ".join(item.officers[:8]) + (
        f" and {len(item.officers) - 8} more" if len(item.officers) > 8 else ""
    )
    weeks = f"week {item.weeks[0]}" if len(item.weeks) == 1 else f"weeks {item.weeks[0]} to {item.weeks[-1]}"
    whose = "1 officer" if len(item.officers) == 1 else f"{len(item.officers):,} officers"
    return f"{item.area_id} is on the patch of {whose} ({officers}) in {weeks}"


def touched_by(found: Diff, period: tuple[int, int]) -> list[Touched]:
    """Whose patches the changed neighbourhoods are; nothing where no database is set."""
    from stream.store.records import touched

    if not found.reaching or not load_settings().database:
        return []
    with database("patrol areas") as connection:
        return touched(connection, found.reaching, *period, now=wall())


def side(text: str, kind: Kind | None) -> tuple[AreaSet, tuple[int, int]]:
    """One side of a comparison, and the time in which it is in force (microseconds).

    Raises:
        click.UsageError: no such version or file.
        AreaFileError: the file cannot be used.
    """
    from geo.boundaries.columns import column
    from geo.boundaries.layer import AreaFileError
    from geo.boundaries.reading import areas_of, read_layer
    from geo.matching.history import FOREVER
    from stream.store.records import in_force_at

    if text == PUBLISHED or text.isdigit():
        with database("patrol areas") as connection:
            if text.isdigit():
                return _version(connection, int(text))
            return in_force_at(connection, wall(), kind), (wall(), FOREVER)
    if not Path(text).exists():
        raise click.UsageError(f"{text!r} is neither the number of a version nor a file")
    raw = read_layer(text)
    # A file that gives each area's kind is asked for one kind; any other file is told its kind.
    own = any(name.lower() == "kind" and any(column(raw, name)) for name in raw.columns)
    try:
        found = areas_of(raw, None if own else kind)
    except AreaFileError:
        if kind is None or not own:
            raise
        found = areas_of(raw, kind)  # its kinds are not ours
    return found, (wall(), FOREVER)


def follower(standing: Iterable[Version], kind: Kind, start: int) -> Version | None:
    """The version of a kind that comes into force next after a time, None where none does."""
    after = [item for item in standing if item.kind == kind and item.valid_from > start]
    return min(after, key=lambda item: (item.valid_from, -item.version), default=None)


def _version(connection: Connection, number: int) -> tuple[AreaSet, tuple[int, int]]:
    from geo.matching.history import FOREVER
    from stream.store import areas
    from stream.store.records import records

    found = {item.version.version: item for item in records(connection)}
    if number not in found:
        raise click.UsageError(f"there is no version {number}; see 'patrol areas list --all'")
    version = found[number].version
    standing = [item.version for item in found.values() if item.withdrawn_at is None]
    later = follower(standing, version.kind, version.valid_from)
    period = (version.valid_from, FOREVER if later is None else later.valid_from)
    return areas.read(connection, number, version.kind), period


@click.command(epilog="Example: patrol areas export --format gpkg --crs 27700 --out beats.gpkg")
@click.option("--version", "version", type=click.IntRange(1), help="A version, withdrawn or not.")
@click.option("--at", help="What is in force at a time (default: now).")
@click.option("--kind", type=KINDS, help="Only areas of this kind.")
@click.option("--format", "format_", type=click.Choice(list(FORMATS)), default="gpkg", show_default=True)
@click.option(
    "--crs",
    type=click.Choice(["4326", "27700"]),
    default="4326",
    show_default=True,
    help="WGS84 degrees, or British National Grid through OSTN15.",
)
@click.option("--out", type=OUT, help="The file (default: areas, or the kind, with the format's ending).")
def export(
    version: int | None, at: str | None, kind: str | None, format_: str, crs: str, out: Path | None
) -> None:
    """Writes published areas to a file for a GIS."""
    from geo.areas import Kind
    from geo.boundaries.writing import write_areas
    from stream.store.records import in_force_at

    if version is not None and at is not None:
        raise click.UsageError("give --version or --at, not both")
    wanted = Kind(kind) if kind else None
    when = moment_option(at)
    with database("patrol areas") as connection:
        if version is not None:
            found, _ = _version(connection, version)
            found = found if wanted is None else found.only(wanted)
        else:
            found = in_force_at(connection, wall() if when is None else when, wanted)
    if not len(found):
        raise click.UsageError("there are no such areas; see 'patrol areas list --all'")
    if format_ == "shp" and out is not None and out.suffix.lower() != ".zip":
        raise click.UsageError(f"a Shapefile is written as a zip of its parts: give --out {out.stem}.zip")
    path = out or Path(f"{kind or 'areas'}{FORMATS[format_]}")
    write_areas(found, path, "shapefile" if format_ == "shp" else format_, f"EPSG:{crs}")
    click.echo(f"{path}: {len(found):,} areas in EPSG:{crs}")
