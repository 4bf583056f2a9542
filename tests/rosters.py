"""Made-up rosters, and the many ways in which a duty system may write them down.

What is written is known beforehand, so that reading it back can be compared. Nothing here reads.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import assume
from hypothesis import strategies as st

from stream.core.facts import SECOND, Allocation, Duty
from stream.files.foreign import Cell, ForeignRow, ForeignTable
from stream.files.roster.mapping import (
    DeviceColumns,
    IdDigits,
    PieceColumns,
    RosterColumns,
    RosterMapping,
    RowReading,
    TimeReading,
)

LONDON = ZoneInfo("Europe/London")
MINUTE = 60 * SECOND
FIRST_DAYS = (
    date(2026, 3, 28),
    date(2026, 10, 24),
    date(2026, 11, 22),
    date(2027, 12, 30),
    date(2028, 2, 28),
)
"""Days from which rosters are made: the nights of both clock changes, an ordinary one, ends of years."""

TEAMS: dict[str, tuple[str, ...]] = {"NC04": ("E05001784",), "NC05": ("E05001785", "E05001786"), "RESP": ()}
ROLES = {"Neighbourhood": "npt", "PCSO": "pcso"}


def local(time_us: int) -> datetime:
    """An instant on local clocks."""
    return datetime.fromtimestamp(time_us // SECOND, UTC).astimezone(LONDON)


def us(moment: datetime) -> int:
    """A moment in microseconds."""
    return round(moment.timestamp()) * SECOND


def double(time_us: int) -> bool:
    """Whether local clocks show this time twice."""
    at = local(time_us)
    return at.replace(fold=0).utcoffset() != at.replace(fold=1).utcoffset()


def own_day(duty: Duty) -> date:
    """The local day on which a duty starts."""
    return local(duty.start).date()


# ── Rosters ───────────────────────────────────────────────────────────────────────────────────────────────


@st.composite
def rosters(draw: st.DrawFn, *, ids: bool = False, officers: int = 3, days: int = 3) -> list[Duty]:
    """Duties of a few officers on a few days: nights, split shifts, devices for a part, some cancelled.

    Pieces of one officer and day do not overlap and are alike in all but their times. Ids are those that an
    import gives, or with ``ids`` the export's own.
    """
    first = draw(st.sampled_from(FIRST_DAYS))
    made: list[Duty] = []
    for number in range(draw(st.integers(1, officers))):
        for ahead in range(draw(st.integers(1, days))):
            made += draw(day_of(f"{number + 1:04d}", first + timedelta(days=ahead)))
    assume(made)
    if ids:
        made = [replace(duty, duty_id=f"D{at:03d}") for at, duty in enumerate(made)]
    return made


@st.composite
def day_of(draw: st.DrawFn, officer: str, day: date) -> list[Duty]:
    """What one officer does on a day: nothing, one duty, or the two pieces of a split shift."""
    pieces: list[tuple[int, int]] = []
    at = us(datetime.combine(day, time(), LONDON))
    for _ in range(draw(st.integers(0, 2))):
        start = at + draw(st.one_of(st.integers(0, 12), st.integers(20, 95))) * 15 * MINUTE
        if local(start).date() != day:
            break
        end = start + draw(st.one_of(st.integers(1, 12), st.integers(13, 100))) * 15 * MINUTE
        pieces.append((start, end))
        at = end
    team = draw(st.sampled_from(list(TEAMS)))
    devices = [Allocation(f"23{officer}", "radio")] if draw(st.booleans()) else []
    if draw(st.booleans()):
        vehicle = draw(st.sampled_from(["FX12ABC", "FX13 XYZ"]))
        devices.append(Allocation(vehicle, "vehicle", *draw(_part_of(pieces))))
    alike = Duty(
        duty_id="",
        revision=0,
        officer_id=officer,
        start=0,
        end=None,
        patch=tuple(sorted(TEAMS[team])),
        devices=tuple(devices),
        cancelled=draw(st.booleans()) and draw(st.booleans()),
        name=f"PC {officer}",
        role=draw(st.sampled_from(["npt", "pcso", "dog handler"])),
        team=team,
    )
    return [
        replace(alike, duty_id=f"{officer}-{day:%Y%m%d}-{number}", start=start, end=end)
        for number, (start, end) in enumerate(pieces, 1)
    ]


@st.composite
def _part_of(draw: st.DrawFn, pieces: list[tuple[int, int]]) -> tuple[int | None, int | None]:
    """A part of the one duty of a day, which times of day alone can tell; else none."""
    if len(pieces) != 1 or pieces[0][1] - pieces[0][0] > 20 * 60 * MINUTE or draw(st.booleans()):
        return None, None
    (start, end), step = pieces[0], 15 * MINUTE
    first = draw(st.integers(0, (end - start) // step - 1))
    last = draw(st.integers(first + 1, (end - start) // step))
    part = start + first * step, start + last * step
    return (None, None) if any(map(double, part)) else part


def _whole(duty: Duty) -> tuple[Allocation, ...]:
    """The devices of a duty, allocated for all of it."""
    return tuple(Allocation(item.device_id, item.kind) for item in duty.devices)


def _cell(item: Allocation) -> str:
    if item.start is None or item.end is None:
        return item.device_id
    return f"{item.device_id} ({local(item.start):%H%M}-{local(item.end):%H%M})"


# ── Writing them down ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Written:
    """A roster as a table, and the mapping by which it is read back."""

    columns: tuple[str, ...]
    rows: list[list[Cell]]
    mapping: RosterMapping

    def table(self) -> ForeignTable:
        """The table as reading a file gives it."""
        return ForeignTable(
            "roster",
            "workbook",
            "made up",
            self.columns,
            [ForeignRow(number, tuple(row)) for number, row in enumerate(self.rows, 2)],
            header=1,
        )


DATE_FORMS = ("%d/%m/%Y", "%d/%m/%y", "%d-%m-%Y", "%d.%m.%Y", "%Y-%m-%d", "%d %b %Y", "%a %d %B %Y", "%Y%m%d")
TIME_FORMS = ("%H:%M", "%H%M", "%H.%M", "%H:%M:%S", "%I:%M %p", "%I.%M%p")


@st.composite
def written(draw: st.DrawFn, duties: list[Duty], *, ids: bool = False, typed: bool | None = None) -> Written:
    """A roster in one of the manners of duty systems, with rows in any order and absences between them.

    Args:
        draw: draws.
        duties: what is written.
        ids: whether the export has its own numbers.
        typed: whether days and times are a workbook's own; None: either.
    """
    typed = draw(st.booleans()) if typed is None else typed
    manner = draw(st.sampled_from(["times", "moments", "range", "duration", "joined", "offset"]))
    ends = [duty.end for duty in duties if duty.end is not None]
    starts = [duty.start for duty in duties]
    twice = {local(at).fold for at in [*starts, *([] if manner == "duration" else ends)] if double(at)}
    # Where both meanings of the hour occur no mapping can tell them apart; nor where the end of a shift
    # comes before its start by the clock.
    if len(twice) > 1 or any(_folded(duty) for duty in duties):
        manner = "offset"
    plain = all(_plain(duty) for duty in duties)
    if manner == "range" and not plain:
        manner = "times"
    one_row = draw(st.booleans()) and not ids and manner in {"times", "range", "duration"} and plain
    date_form = draw(st.sampled_from(DATE_FORMS))
    time_form = draw(st.sampled_from(TIME_FORMS))
    given = draw(st.booleans()) and not typed and manner != "range"

    def day(at: int) -> Cell:
        return local(at).date() if typed else local(at).strftime(date_form)

    def clock(at: int) -> Cell:
        return local(at).time() if typed else local(at).strftime(time_form)

    def moment(at: int) -> Cell:
        if manner == "offset":
            return local(at).isoformat()
        if not typed:
            return local(at).strftime(f"{date_form} {time_form}")
        wall = local(at).replace(tzinfo=None)
        # How workbooks are read: a midnight is a day.
        return wall.date() if wall.time() == time() else wall

    def lasting(duty: Duty) -> Cell:
        assert duty.end is not None
        minutes = (duty.end - duty.start) // MINUTE
        return timedelta(minutes=minutes) if typed else f"{minutes // 60}:{minutes % 60:02d}"

    groups: list[list[Duty]] = []
    for duty in duties:
        last = groups[-1][-1] if groups else None
        with_last = (
            one_row and last and _same_day(last, duty) and last.devices == duty.devices == _whole(duty)
        )
        groups[-1].append(duty) if with_last else groups.append([duty])
    most = max(map(len, groups), default=1)
    numeric = draw(st.booleans())
    absences = draw(st.integers(0, 2))
    rows: list[dict[str, Cell]] = []
    for group in groups:
        head = group[0]
        row: dict[str, Cell] = {
            "Collar": int(head.officer_id) if numeric else head.officer_id,
            "Rank": "PC",
            "Number": head.officer_id,
            "Role": {value: key for key, value in ROLES.items()}.get(head.role or "", head.role),
            "Team": head.team,
            "Radio": "".join(item.device_id for item in head.devices if item.kind == "radio"),
            "Vehicle": "/".join(_cell(item) for item in head.devices if item.kind == "vehicle"),
            "State": draw(st.sampled_from(["Cancelled", "CANCELLED "])) if head.cancelled else "Planned",
        }
        if ids:
            row["Ref"] = head.duty_id
        if manner in {"times", "range", "duration"}:
            row["Date"] = day(head.start)
        if manner == "range":
            spans = [f"{local(item.start):%H%M}-{local(item.end or 0):%H%M}" for item in group]
            row["Hours"] = ", ".join(spans)
        for at, duty in enumerate(group):
            mark = f" {at + 1}" if at else ""
            end = duty.end or 0
            if manner in {"times", "duration"}:
                row[f"On{mark}"] = clock(duty.start)
                row[f"Off{mark}"] = lasting(duty) if manner == "duration" else clock(end)
            elif manner == "joined":
                row |= {"On day": day(duty.start), "On": clock(duty.start)}
                row |= {"Off day": day(end), "Off": clock(end)}
            elif manner in {"moments", "offset"}:
                row |= {"On": moment(duty.start), "Off": moment(end)}
            if manner == "times" and not plain:
                row["Off day"] = day(end)
        rows.append(row)
    rows += [{"Collar": "0009", "State": "Rest day"} for _ in range(absences)]
    rows = draw(st.permutations(rows))
    names = list(dict.fromkeys(name for row in rows for name in row))
    if typed and manner == "moments" and rows:
        # A column that has nothing but midnights says nothing of the time of day.
        first = next((row for row in rows if "On" in row), None)
        only_days = first is not None and any(
            all(not isinstance(row.get(key), datetime) for row in rows) for key in ("On", "Off")
        )
        if only_days:
            rows = [
                {
                    key: datetime.combine(cell, time())
                    if key in {"On", "Off"} and type(cell) is date
                    else cell
                    for key, cell in row.items()
                }
                for row in rows
            ]
    return Written(
        tuple(names),
        [[row.get(name) for name in names] for row in rows],
        _mapping_of(
            names,
            manner,
            ids=ids,
            most=most,
            plain=plain,
            numeric=numeric,
            twice=next(iter(twice), None) if manner != "offset" else None,
            forms=_forms(date_form, time_form, manner) if given else (),
        ),
    )


def _forms(date_form: str, time_form: str, manner: str) -> tuple[str, ...]:
    if manner == "offset":
        return ("%Y-%m-%dT%H:%M:%S%z",)
    return (f"{date_form} {time_form}", date_form, time_form)


def _mapping_of(
    names: list[str],
    manner: str,
    *,
    ids: bool,
    most: int,
    plain: bool,
    numeric: bool,
    twice: int | None,
    forms: tuple[str, ...],
) -> RosterMapping:
    joined = manner == "joined"
    dated = manner in {"times", "range", "duration"}
    known = set(names)

    def there(*asked: str) -> tuple[str, ...]:
        return tuple(name for name in asked if name in known)

    columns = RosterColumns(
        officer_id=("Collar",),
        duty_id=("Ref",) if ids else (),
        name=there("Rank", "Number"),
        role=there("Role"),
        team=there("Team"),
        date=("Date",) if dated else (),
        start=() if manner == "range" else ("On day", "On") if joined else ("On",),
        end=() if manner in {"range", "duration"} else ("Off day", "Off") if joined else ("Off",),
        end_date=("Off day",) if manner == "times" and not plain else (),
        duration=("Off",) if manner == "duration" else (),
        times=("Hours",) if manner == "range" else (),
        cancelled=there("State"),
    )
    pieces = tuple(
        PieceColumns(
            start=(f"On {number}",),
            end=(f"Off {number}",) if manner == "times" else (),
            duration=(f"Off {number}",) if manner == "duration" else (),
        )
        for number in range(2, most + 1)
        if manner != "range"
    )
    return RosterMapping(
        columns=columns,
        piece=pieces,
        time=TimeReading(
            format=forms,
            twice="refuse" if twice is None else ("first", "second")[twice],
        ),
        devices=DeviceColumns(radio=there("Radio"), vehicle=there("Vehicle"), separators=("/",)),
        teams=dict(TEAMS),
        roles=dict(ROLES),
        rows=RowReading(cancelled=("cancelled",), skip=("Rest day",)),
        digits=IdDigits(officer_id=4 if numeric else 0),
    )


def _same_day(one: Duty, other: Duty) -> bool:
    return one.officer_id == other.officer_id and own_day(one) == own_day(other)


def _plain(duty: Duty) -> bool:
    """Whether the end is on the day of the start, or on the next where it is earlier by the clock."""
    start, end = local(duty.start), local(duty.end or 0)
    if end.time() == start.time():
        return False
    return end.date() - start.date() == timedelta(days=end.time() < start.time())


def _folded(duty: Duty) -> bool:
    """Whether a duty's end by the clock is not after its start though it is on the same day."""
    start, end = local(duty.start), local(duty.end or 0)
    return start.date() == end.date() and end.time() <= start.time()


# ── Edits ─────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Edited:
    """A roster after edits, and what they were: by id, what is new, what is different, what is gone."""

    duties: list[Duty]
    new: dict[str, Duty]
    changed: dict[str, Duty]
    gone: set[str]


@st.composite
def edited(draw: st.DrawFn, duties: list[Duty], *, ids: bool = False) -> Edited:
    """A roster as it is some days later; in each officer's day at most one thing was changed."""
    groups: dict[tuple[str, date], list[Duty]] = {}
    for duty in duties:
        groups.setdefault((duty.officer_id, own_day(duty)), []).append(duty)
    result = Edited([], {}, {}, set())
    for (officer, day), group in groups.items():
        left = list(group)
        match draw(
            st.sampled_from(["keep", "keep", "drop", "end", "later", "cancel", "team", "radio", "add"])
        ):
            case "drop":
                gone = draw(st.sampled_from(left))
                left.remove(gone)
                result.gone.add(gone.duty_id)
            case "end":
                at = draw(st.integers(0, len(left) - 1))
                half = (((left[at].end or 0) - left[at].start) // (30 * MINUTE)) * 15 * MINUTE
                end = left[at].start + max(half, 15 * MINUTE)
                left[at] = replace(left[at], end=end, devices=_whole(left[at]))
            case "later":
                moved = replace(
                    left[-1],
                    start=left[-1].start + 15 * MINUTE,
                    end=(left[-1].end or 0) + 15 * MINUTE,
                    devices=_whole(left[-1]),
                )
                if own_day(moved) == day:
                    left[-1] = moved
            case "cancel":
                left = [replace(duty, cancelled=not duty.cancelled) for duty in left]
            case "team":
                team = draw(st.sampled_from(list(TEAMS)))
                left = [replace(duty, team=team, patch=tuple(sorted(TEAMS[team]))) for duty in left]
            case "radio":
                left = [replace(duty, devices=(Allocation(f"99{officer}", "radio"),)) for duty in left]
            case "add":
                start = (left[-1].end or 0) + 15 * MINUTE
                added = replace(left[-1], start=start, end=start + 60 * MINUTE, devices=_whole(left[-1]))
                if own_day(added) == day:
                    name = f"{left[-1].duty_id}+" if ids else f"{officer}-{day:%Y%m%d}-{len(group) + 1}"
                    left.append(replace(added, duty_id=name))
                    result.new[name] = left[-1]
        before = {duty.duty_id: duty for duty in group}
        result.changed.update({duty.duty_id: duty for duty in left if duty != before.get(duty.duty_id, duty)})
        result.duties.extend(left)
    assume(result.duties)
    return result
