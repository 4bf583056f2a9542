"""Boundaries as JSON, for the API and for commands: what a check found, what differs, what is on record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, cast

import msgspec
from msgspec import Meta

from geo.areas import Kind
from geo.boundaries.findings import Severity, findings_rows
from stream.core.calendar import rfc3339
from stream.core.json_types import Count, Time, when

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from geo.boundaries.diffs import Change, Diff
    from geo.boundaries.findings import Finding
    from stream.store.record import Recorded
    from stream.store.records import Touched, VersionRecord

SquareMetres = Annotated[float, Meta(description="Square metres.")]


class FindingJson(msgspec.Struct, frozen=True):
    """What a check says of a file; where it is one, as a point in degrees."""

    severity: Severity
    code: str
    kind: Kind | None
    area_id: str | None
    size_m2: SquareMetres | None
    lon: float | None
    lat: float | None
    text: str
    done: str


class AreaOfKindJson(msgspec.Struct, frozen=True):
    """Which area."""

    kind: Kind
    area_id: str


class AttributeChangeJson(msgspec.Struct, frozen=True):
    """What was said of an area, and what is now."""

    key: str
    before: str | None
    after: str | None


class AreaChangeJson(msgspec.Struct, frozen=True):
    """An area that both versions have, differently."""

    kind: Kind
    area_id: str
    name_before: str
    name_after: str
    gained_m2: SquareMetres
    lost_m2: SquareMetres
    attributes: list[AttributeChangeJson]


class GroundJson(msgspec.Struct, frozen=True):
    """Ground that goes from one area to another; null: to or from none."""

    kind: Kind
    origin: str | None = msgspec.field(name="from")
    target: str | None = msgspec.field(name="to")
    size_m2: SquareMetres


class TouchedJson(msgspec.Struct, frozen=True):
    """A neighbourhood that differs, whose patch it is, and in which weeks."""

    area_id: str
    officers: Annotated[list[str], Meta(description="Ids; none for whoever sees no officers.")]
    weeks: list[str]
    officer_count: Count


class DiffJson(msgspec.Struct, frozen=True):
    """How two versions differ."""

    added: list[AreaOfKindJson]
    removed: list[AreaOfKindJson]
    renamed: list[AreaChangeJson]
    moved: list[AreaChangeJson]
    changed: list[AreaChangeJson]
    ground: list[GroundJson]
    touched: list[TouchedJson]


class VersionJson(msgspec.Struct, frozen=True):
    """A published version with everything on record of it."""

    version: int
    kind: Kind
    valid_from: Time
    areas: Count
    file: str
    sha256: str
    loaded_at: Time
    loaded_by: str
    why: str | None
    findings: list[FindingJson]
    in_force: bool
    withdrawn_at: Time | None
    withdrawn_by: str | None
    withdrawn_why: str | None


def findings_json(found: Iterable[Finding]) -> list[FindingJson]:
    """What a check says."""
    return msgspec.convert(findings_rows(found), list[FindingJson])


def record_json(item: VersionRecord, current: set[int]) -> VersionJson:
    """A version with everything on record of it.

    Args:
        item: the version.
        current: numbers of the versions in force now.
    """
    version = item.version
    return VersionJson(
        version=version.version,
        kind=version.kind,
        valid_from=rfc3339(version.valid_from),
        areas=version.areas,
        file=version.file,
        sha256=version.sha256,
        loaded_at=rfc3339(version.loaded_at),
        loaded_by=version.loaded_by,
        why=item.why,
        findings=msgspec.convert(item.findings, list[FindingJson]),
        in_force=version.version in current,
        withdrawn_at=when(item.withdrawn_at),
        withdrawn_by=item.withdrawn_by,
        withdrawn_why=item.withdrawn_why,
    )


def diff_json(found: Diff, reached: Sequence[Touched]) -> DiffJson:
    """A difference.

    Args:
        found: what differs.
        reached: whose patches that touches.
    """

    def change(item: Change) -> AreaChangeJson:
        return AreaChangeJson(
            kind=item.kind,
            area_id=item.area_id,
            name_before=item.before,
            name_after=item.after,
            gained_m2=round(item.gained_m2, 1),
            lost_m2=round(item.lost_m2, 1),
            attributes=[AttributeChangeJson(*values) for values in item.attributes],
        )

    return DiffJson(
        added=[AreaOfKindJson(*item) for item in found.added],
        removed=[AreaOfKindJson(*item) for item in found.removed],
        renamed=[change(item) for item in found.renamed],
        moved=[change(item) for item in found.moved],
        changed=[change(item) for item in found.changed],
        ground=[
            GroundJson(flow.kind, flow.from_id, flow.to_id, round(flow.size_m2, 1)) for flow in found.flows
        ],
        touched=touched_json(reached),
    )


def touched_json(reached: Iterable[Touched]) -> list[TouchedJson]:
    """Whose patches a difference touches, and in which weeks."""
    return [
        TouchedJson(item.area_id, list(item.officers), list(item.weeks), len(item.officers))
        for item in reached
    ]


class EntryJson(msgspec.Struct, frozen=True):
    """An entry of the record: who saw, changed or passed on what about whom."""

    entry: Count
    at: Time
    kind: Annotated[
        str, Meta(description="What was done, as section 62 of the Data Protection Act 2018 has it.")
    ]
    what: Annotated[str, Meta(description="The page, path, command or event.")]
    outcome: Literal["done", "refused", "failed"]
    account: str
    means: Annotated[str, Meta(description="How they showed who they are.")]
    source: Annotated[str, Meta(description="From where: an address, a host's name.")]
    about: Annotated[list[str], Meta(description="The officers' ids; `*`: any of them.")]
    why: str | None
    details: dict[str, str | int | bool | list[str]]
    db_role: Annotated[str, Meta(description="The database's role that added it.")]
    hash: Annotated[str, Meta(description="SHA-256, hexadecimal: over the one before it and this entry.")]


def entry_json(item: Recorded) -> EntryJson:
    """An entry of the record."""
    return EntryJson(
        item.entry,
        rfc3339(item.at),
        item.kind,
        item.what,
        cast("Literal['done', 'refused', 'failed']", item.outcome),
        item.account,
        item.means,
        item.source,
        list(item.about),
        item.why,
        msgspec.json.decode(item.details),
        item.db_role,
        item.hash.hex(),
    )
