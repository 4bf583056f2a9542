"""Boundary versions in the database: published, listed, read back as a history.

Which version is in force when is decided here; what lies in it is for ``geo``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import shapely

from geo.areas import Area, AreaSet, Kind
from geo.matching.history import AreaHistory
from stream.core.calendar import moment
from stream.store.reading.instant import fetch, us
from stream.store.schema import Lock, lock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geo.matching.places import Place
    from stream.store.schema import Connection


@dataclass(frozen=True, slots=True)
class Version:
    """One published version of the areas of one kind."""

    version: int
    kind: Kind
    valid_from: int
    loaded_at: int
    loaded_by: str
    file: str
    sha256: str
    areas: int


def hold(connection: Connection, *, publishing: bool = False) -> None:
    """Until the transaction ends, no version is published (or, when ``publishing``, nothing is counted)."""
    lock(connection, Lock.AREAS, shared=not publishing)


def newest(connection: Connection) -> str:
    """A token that changes whenever a version is published or withdrawn."""
    return newest_with(connection, "0")[0]


def newest_with(connection: Connection, *also: str) -> tuple[str, list[int]]:
    """The same, and numbers that SQL gives, in one question."""
    row = connection.execute(
        f"select max(version), max(withdrawn), {', '.join(also)} from area_version".encode()
    ).fetchone()
    assert row is not None
    return str(row[:2]), [int(number) for number in row[2:]]


def publish(
    connection: Connection, areas: AreaSet, kind: Kind, valid_from: int, *, file: str, sha256: str, by: str
) -> int:
    """Writes a new version of all areas of one kind, in force from a time (microseconds).

    Returns:
        the version's number.
    """
    [(version,)] = connection.execute(
        "insert into area_version (kind, valid_from, file, sha256, loaded_by) values (%s, %s, %s, %s, %s) "
        "returning version",
        [kind.value, moment(valid_from), file, sha256, by],
    ).fetchall()
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into area (version, area_id, name, geometry, attributes, west, south, east, north) "
            "values (%s, %s, %s, %s, %s::jsonb, %s, %s, %s, %s)",
            [
                [
                    version,
                    area.area_id,
                    area.name,
                    shapely.to_wkb(area.geometry),
                    json.dumps(dict(area.attributes)),
                    *area.geometry.bounds,
                ]
                for area in areas.only(kind).areas()
            ],
        )
    return int(version)


def measure(connection: Connection) -> None:
    """Fills in the boxes of areas that a program of an earlier version published."""
    rows = connection.execute("select geometry, version, area_id from area where west is null").fetchall()
    with connection.cursor() as cursor:
        cursor.executemany(
            "update area set west = %s, south = %s, east = %s, north = %s "
            "where version = %s and area_id = %s",
            [[*shapely.from_wkb(bytes(shape)).bounds, *key] for shape, *key in rows],
        )


def versions(connection: Connection, *, withdrawn: bool = False) -> list[Version]:
    """All published versions, the oldest first; those that were withdrawn only if asked for."""
    found = fetch(
        connection,
        f"select version, kind, {us('valid_from')}, {us('loaded_at')}, loaded_by, file, sha256, "
        "(select count(*) from area where area.version = area_version.version) "
        "from area_version where withdrawn is null or %s order by version",
        [withdrawn],
    )
    return [Version(number, Kind(kind), *others) for number, kind, *others in found]


def read(connection: Connection, version: int, kind: Kind) -> AreaSet:
    """The areas of one version."""
    return AreaSet.of(
        Area(kind, area_id, name, shapely.from_wkb(bytes(geometry)), attributes)
        for area_id, name, geometry, attributes in connection.execute(
            "select area_id, name, geometry, attributes from area where version = %s", [version]
        ).fetchall()
    )


def in_force(published: Sequence[Version], time_us: int) -> list[Version]:
    """The version of each kind that is in force at a time: the one that began last; of equals the newest."""
    chosen: dict[Kind, Version] = {}
    for item in sorted(published, key=lambda entry: (entry.valid_from, entry.version)):
        if item.valid_from <= time_us:
            chosen[item.kind] = item
    return [chosen[kind] for kind in Kind if kind in chosen]


def names(connection: Connection, time_us: int) -> dict[tuple[str, str], str]:
    """Names by kind and id of the areas in force at a time (microseconds)."""
    chosen = [item.version for item in in_force(versions(connection), time_us)]
    return {
        (kind, area_id): name
        for kind, area_id, name in connection.execute(
            "select kind, area_id, name from area join area_version using (version) where version = any(%s)",
            [chosen],
        )
    }


def by_time(connection: Connection) -> list[tuple[int, AreaSet]]:
    """All areas in force, by the time from which they are (microseconds)."""
    published = versions(connection)
    sets = {item.version: read(connection, item.version, item.kind) for item in published}
    return [
        (start, AreaSet.union(*(sets[item.version] for item in in_force(published, start))))
        for start in sorted({item.valid_from for item in published})
    ]


def history(connection: Connection, places: Sequence[Place]) -> AreaHistory:
    """All versions as one history; ``places`` keep their numbers."""
    return AreaHistory(by_time(connection), places=places)
