"""The accounting rules applied to files alone: no Kafka, no database.

It reads files and calls the core. What it counts is what the pipeline counts from the same facts.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from geo.areas import AreaSet, Kind
from geo.boundaries.layer import AreaFileError
from geo.boundaries.reading import read_areas
from geo.hours import days_of, hours_of
from geo.matching.history import AreaHistory
from stream.core import calendar, frames
from stream.core.events import Reason, Reject, decode_duties, decode_states
from stream.core.policy import BEGINNING, limits
from stream.core.quality.clocks import clock_offsets, offset_words
from stream.core.quality.doubts import Doubts, named
from stream.core.quality.elsewhere import all_far, anywhere, extent_of
from stream.core.quality.findings import Examined, findings, grounds
from stream.core.quality.heard import Gathered, Heard
from stream.core.quality.tracks import held
from stream.core.quality.unmatched import unmatched
from stream.core.shares import shares
from stream.core.slices import newest, up_to
from stream.files.sheets import CountedAccount, sheets
from stream.files.sheets.contract import last_known, quality_table
from stream.files.together import Bookings, together
from stream.files.tracks import TrackRows, TracksError, read_fixes, read_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pyarrow as pa

    from geo.matching.places import Place
    from stream.core.events import UsableLimits
    from stream.core.facts import Duty, Fixes, StateReport
    from stream.core.policy import Policies
    from stream.core.quality.findings import QualityFindings
    from stream.core.quality.tracks import Extent
    from stream.core.shares import Figures
    from stream.core.slices import Slices
    from stream.core.stays import Stays
    from stream.files.together import Together

    Far = Callable[[Extent | None, int, int], bool]
    Reader = Callable[[Sequence[Path], UsableLimits], "Positions"]


class AccountError(ValueError):
    """A file cannot be used; the message says which and what to do."""


class NothingMatchesError(Exception):
    """The facts do not belong together, so there is no figure; its lines are the reason and likely causes."""


class Elsewhere(Protocol):
    """Positions that are held and counted by another engine."""

    def together(self, booked: Bookings, history: AreaHistory, policies: Policies) -> Together:
        """What they amount to (``stream.files.together``); ``history`` learns the places that are met."""
        ...

    def all_far(self, extent: Extent | None, start: int, end: int) -> bool:
        """Whether there are any in a period, and none of them lies near an area."""
        ...

    def fixes(self) -> Fixes:
        """All of them."""
        ...


class Positions(NamedTuple):
    """What was read of files of positions.

    Attributes:
        fixes: what is usable, or only the devices' names where they are ``elsewhere``.
        rejects: the others by file.
        heard: all reports by device and day (rule 22).
        elsewhere: who holds them.
    """

    fixes: Fixes
    rejects: dict[str, list[Reject]]
    heard: Heard
    elsewhere: Elsewhere | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Facts:
    """Everything read from the files.

    Attributes:
        areas: the boundaries in force from the beginning.
        fixes: usable positions; only the devices' names where they are ``elsewhere``.
        rejects: by file, what was not usable and why.
        later: boundaries that come into force at a time (microseconds): all areas of the kinds among them.
        heard: all reports of positions by device and day, rejects among them (rule 22).
    """

    areas: AreaSet
    fixes: Fixes
    duties: list[Duty]
    states: list[StateReport]
    rejects: dict[str, list[Reject]] = field(default_factory=dict)
    later: tuple[tuple[int, AreaSet], ...] = ()
    heard: Heard = field(default_factory=lambda: Heard.joined([]))
    elsewhere: Elsewhere | None = None

    def positions(self) -> Fixes:
        """All usable positions, wherever they are held."""
        return self.fixes if self.elsewhere is None else self.elsewhere.fixes()

    def far(self, extent: Extent | None, start: int, end: int) -> bool:
        """Whether there are positions in a period, and none of them lies near an area."""
        if self.elsewhere is not None:
            return self.elsewhere.all_far(extent, start, end)
        return all_far((self.fixes.time, self.fixes.lon, self.fixes.lat), extent, start, end)


@dataclass(frozen=True, slots=True, eq=False)
class Account:
    """What the facts amount to.

    Attributes:
        examined: the facts as ``stream.core.quality`` examines them (rule 22).
        quality: the findings about them.
    """

    facts: Facts
    history: AreaHistory
    duties: list[Duty]
    stays: Stays
    slices: Slices
    figures: list[Figures]
    until: int
    doubts: Doubts
    examined: Examined
    quality: QualityFindings

    def unmatched(self) -> list[str]:
        """Why there can be no figure, and the likely causes; empty where anything matches."""
        return unmatched(self.examined, self.facts.positions, self.quality)

    def tables(self, policies: Policies) -> dict[str, pa.Table]:
        """The files by name: those of the public contract and what came to them (``stream.files.sheets``)."""
        found = sheets(
            CountedAccount(
                self.stays,
                self.slices,
                self.facts.fixes.device_ids,
                self.duties,
                self.history.places,
                self.history.versions,
                self.figures,
                self.until,
                self.doubts,
            ),
            policies,
        )
        found["quality"] = quality_table(self.quality)
        return found


WITHOUT_FIGURES = ("stays", "slices", "quality")
"""The files that may be written where nothing matches: what there is, and the findings that say why."""


def read(
    areas: Sequence[str],
    positions: Sequence[Path],
    duties: Path,
    states: Path | None,
    policies: Policies,
    *,
    reader: Reader | None = None,
) -> Facts:
    """Reads the files of ``patrol account``.

    Args:
        areas: file names, each perhaps with ``:kind`` behind it; a later version with ``@2026-11-25`` last,
            the time from which it is in force.
        positions: files of positions, of any kind that ``stream.files.tracks`` reads.
        duties: JSON lines of bookings, or CSV (``duty_id``, ``officer_id``, ``start``, and more).
        states: JSON lines or CSV of radio states; None: nobody keyed any.
        policies: they set what is usable (rule 2).
        reader: reads the positions; by default into memory.

    Raises:
        AccountError, AreaFileError, TracksError, OSError: a file cannot be read or used.
    """
    found, later = _versions(areas)
    tracks = (reader or positions_of)(positions, limits(policies))
    rejects = tracks.rejects
    lines = _lines(duties)
    booked, index, bad = decode_duties(lines.value)
    bad = [*bad, *_contradictions(booked, index.tolist(), lines)]
    rejects[str(duties)] = bad = _at_lines(bad, lines)
    if not booked:
        why = _why(bad) if bad else "it is empty"
        raise AccountError(f"{duties}: no usable duty, so there is nothing to count; {why}")
    keyed: list[StateReport] = []
    if states is not None:
        lines = _lines(states)
        keyed, _, bad = decode_states(lines.value)
        rejects[str(states)] = _at_lines(bad, lines)
    return Facts(found, tracks.fixes, booked, keyed, rejects, later, tracks.heard, tracks.elsewhere)


def positions_of(paths: Sequence[Path], limit: UsableLimits) -> Positions:
    """Reads files of positions into memory.

    Raises:
        TracksError, OSError: one cannot be read or used.
    """
    joining, told = frames.Joining(), Gathered()
    rejects: dict[str, list[Reject]] = {}
    usable = 0
    for path in paths:
        bad: list[Reject] = []
        for chunk in read_fixes(path, limits=limit):
            joining.add(chunk.fixes)
            told.add(chunk.heard)
            usable += len(chunk.fixes)
            bad += chunk.rejects
        rejects[str(path)] = bad
        need_usable(path, usable, bad, told.done)
    return Positions(joining.done(), rejects, told.done())


def need_usable(path: Path, usable: int, rejects: Sequence[Reject], told: Callable[[], Heard]) -> None:
    """Refuses a file of positions of which none is usable, where none was before it.

    Args:
        path: the file.
        usable: how many positions are, of this file and those before it.
        rejects: the others.
        told: gives what was heard, for a likely cause.

    Raises:
        AccountError: there are rejects only.
    """
    if rejects and not usable:
        raise AccountError(f"{path}: no usable position; {_why(rejects)}{_clock(told())}")


def _clock(told: Heard) -> str:
    """The clock that is off by the same amount in most reports, as the likely cause; empty where none is."""
    found = max(clock_offsets(told), key=lambda item: item.reports, default=None)
    if found is None:
        return ""
    return f"; the clock of device {told.device_ids[found.device]!r} is {offset_words(found.seconds)}"


def _at_lines(rejects: Sequence[Reject], lines: TrackRows) -> list[Reject]:
    """Rejects by the line of the file instead of their place among the messages, and those of the reader."""
    decoded = [replace(reject, index=int(lines.line[reject.index])) for reject in rejects]
    return sorted([*decoded, *lines.rejects], key=lambda reject: reject.index)


def _contradictions(booked: Sequence[Duty], index: Sequence[int], lines: TrackRows) -> list[Reject]:
    """Bookings that do not count, because another with their number and revision says something else."""
    counts = {(duty.duty_id, duty.revision): at for at, duty in enumerate(booked)}
    for at, duty in enumerate(booked):
        key = duty.duty_id, duty.revision
        if newest([booked[counts[key]], duty]) == [duty]:
            counts[key] = at
    return [
        Reject(
            index[at],
            Reason.BAD_VALUE,
            f"duty_id {duty.duty_id!r} revision {duty.revision} stands in line "
            f"{lines.line[index[other]]} too and says something else there, which counts; "
            "number the revisions, and give each duty an id of its own",
        )
        for at, duty in enumerate(booked)
        if booked[other := counts[duty.duty_id, duty.revision]] != duty
    ]


def _why(rejects: Sequence[Reject]) -> str:
    """How many rows were rejected for what, and the first of them."""
    counts = Counter(str(reject.reason) for reject in rejects)
    listed = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
    first = rejects[0]
    return f"left out {listed}; row {first.index}: {first.reason}: {first.detail}"


def unread_hours(facts: Facts) -> list[str]:
    """Priority areas whose days or hours cannot be read, one a line."""
    lines = []
    for areas in (facts.areas, *(areas for _, areas in facts.later)):
        for area in areas.areas():
            if area.kind is not Kind.PRIORITY:
                continue
            for name, read_it in (("days", days_of), ("hours", hours_of)):
                try:
                    if text := area.attributes.get(name):
                        read_it(text)
                except ValueError as error:
                    lines.append(
                        f"priority area {area.area_id}: {error}; until then any of them count as its own"
                    )
    return list(dict.fromkeys(lines))


def _versions(items: Sequence[str]) -> tuple[AreaSet, tuple[tuple[int, AreaSet], ...]]:
    """The boundaries from the beginning, and the later ones in the order of their times."""
    found: dict[int, list[AreaSet]] = {BEGINNING: []}
    for item in items:
        start, areas = _areas(item)
        found.setdefault(start, []).append(areas)
    sets = {}
    for start, parts in found.items():
        try:
            sets[start] = AreaSet.union(*parts)
        except ValueError as error:
            raise AccountError(
                f"--areas: {error}; or give a version's file its time: FILE@2026-11-25"
            ) from error
    first = sets.pop(BEGINNING)
    return first, tuple(sorted(sets.items()))


def _areas(item: str) -> tuple[int, AreaSet]:
    """One ``FILE[:kind][@time]``: from when, and the areas."""
    start, name = BEGINNING, item
    before, at, text = item.rpartition("@")
    if at:
        try:
            start, name = calendar.parse_time(text), before
        except ValueError as error:
            file, _, word = item.rpartition(":")
            if not Path(file if word in set(Kind) else item).exists():  # the @ may be the file's own
                raise AccountError(f"--areas {item}: {error}") from error
    path, kind = _file(name)
    try:
        return start, read_areas(path, kind)
    except AreaFileError as error:
        if "--" not in str(error):
            raise
        raise AccountError(
            f"{error} (an option of 'patrol areas'; here, write FILE:kind and give a file that needs no more)"
        ) from error


def _file(item: str) -> tuple[Path, Kind | None]:
    """One ``FILE[:kind]``."""
    path, _, kind = item.rpartition(":")
    if path and kind not in set(Kind) and Path(path).exists() and not Path(item).exists():
        raise AccountError(f"{item}: '{kind}' is no kind of areas; write {path}: with {' or '.join(Kind)}")
    return (Path(path), Kind(kind)) if path and kind in set(Kind) else (Path(item), None)


def history_of(areas: AreaSet, later: Sequence[tuple[int, AreaSet]] = ()) -> AreaHistory:
    """Boundaries by the time from which they are in force (rule 6).

    Args:
        areas: those in force from the beginning.
        later: those that come later, in the order of their times (microseconds): each replaces all areas of
            the kinds among its own, as a published version does.
    """
    current = {kind: areas.only(kind) for kind in Kind}
    versions = [(BEGINNING, areas)]
    for start, found in later:
        current |= {kind: found.only(kind) for kind in Kind if kind in found.kind}
        versions.append((start, AreaSet.union(*current.values())))
    return AreaHistory(versions)


def _lines(path: Path) -> TrackRows:
    """All rows of a JSON lines or CSV file as JSON."""
    try:
        parts = list(read_rows(path))
        return TrackRows(
            [value for rows in parts for value in rows.value],
            np.concatenate([np.empty(0, np.int64), *(rows.line for rows in parts)]),
            [reject for rows in parts for reject in rows.rejects],
        )
    except TracksError as error:
        raise AccountError(str(error)) from error


PERIODS: dict[str, Callable[[int, int], list[tuple[int, int]]]] = {
    "all": lambda start, end: [(start, end)],
    "week": lambda start, end: list(calendar.weeks(start, end)),
    "day": lambda start, end: list(calendar.days(start, end)),
}
"""How figures may be split: over everything, by local ISO week, by local day (rule 19)."""


def account(
    facts: Facts, policies: Policies, *, by: str = "all", until: int | None = None, jobs: int = 1
) -> Account:
    """Counts stays, slices and shares from facts.

    Args:
        facts: what ``read`` gave.
        policies: the settings of every rule.
        by: a key of ``PERIODS``.
        until: everything is counted up to here (microseconds); None: the last closed slice or duty.
        jobs: how many threads count stays.
    """
    history = history_of(facts.areas, facts.later)
    duties = newest(facts.duties, policies)
    booked, booked_ids = held(duties)
    versions = [facts.areas, *(areas for _, areas in facts.later)]
    everything = Bookings(duties, facts.states, booked, booked_ids)
    found = (
        together(facts.fixes, everything, history, policies, jobs=jobs)
        if facts.elsewhere is None
        else facts.elsewhere.together(everything, history, policies)
    )
    counted, doubtful = found.slices, found.doubts
    until = last_known(counted, duties) if until is None else until
    examined = Examined(
        duties,
        facts.states,
        facts.fixes.device_ids,
        facts.heard,
        found.tracked,
        booked,
        booked_ids,
        counted,
        {code: name for areas in versions for code, name in areas.names(Kind.NEIGHBOURHOOD).items()},
        _by_name(by_reason(facts.rejects)),
        until,
        found.devices,
        named(doubtful.up_to(until), duties, facts.fixes.device_ids),
        policies,
        grounds(history.versions),
    )
    return Account(
        facts,
        history,
        duties,
        found.stays,
        counted,
        figures(
            counted,
            duties,
            history.places,
            by,
            until,
            doubtful,
            far=facts.far,
            versions=history.versions,
        ),
        until,
        doubtful,
        examined,
        findings(examined),
    )


def _by_name(rejects: Mapping[str, Mapping[str, int]]) -> dict[str, Counter[str]]:
    """The same by the files' names alone: what is found must not depend on where files are kept."""
    found: dict[str, Counter[str]] = {}
    for name, reasons in rejects.items():
        found.setdefault(Path(name).name, Counter()).update(reasons)
    return found


def by_reason(rejects: Mapping[str, Sequence[Reject]]) -> dict[str, dict[str, int]]:
    """How many rows of each file were left out, by reason; only of files of which any were."""
    return {
        name: dict(sorted(Counter(str(item.reason) for item in items).items()))
        for name, items in rejects.items()
        if items
    }


def figures(
    counted: Slices,
    duties: Sequence[Duty],
    places: Sequence[Place],
    by: str,
    until: int,
    doubtful: Doubts | None = None,
    *,
    far: Far,
    versions: Sequence[tuple[int, AreaSet]],
) -> list[Figures]:
    """The figures of all scopes for each period that the duties touch.

    A single period runs from the first duty's start to the last one's end; nothing is counted behind
    ``until``. A period has no shares where all positions lie far from all areas (``Figures.far``).

    Args:
        counted: the slices.
        duties: the duties behind them.
        places: the places behind them.
        by: a key of ``PERIODS``.
        until: everything is counted up to here, microseconds.
        doubtful: the duties' doubtful time.
        far: whether a period has positions, and none of them lies near an area; asked only of periods in
            which nobody was in any area.
        versions: the boundaries by the time from which they are in force.
    """
    counted = up_to(counted, until)
    begun = [duty for duty in duties if duty.counts and duty.start < until]
    starts = [duty.start for duty in begun]
    ends = [min(duty.until, until) for duty in begun]
    if not starts:
        return []
    found: list[Figures] = []
    for start, end in PERIODS[by](min(starts), max(*ends, min(starts))):
        some = shares(counted, duties, places, start, end, doubts=doubtful)
        if not anywhere(counted, places, start, end):
            nowhere = far(extent_of(versions, start, end), start, end)
            some = [replace(item, far=nowhere) for item in some]
        found += some
    return found
