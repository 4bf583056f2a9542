"""The important findings in plain words, with what to do: a few lines, the worst first (rule 22).

It reads findings alone, so that files and the database say the same. Plain counts are not repeated here.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from stream.core.facts import SECOND
from stream.core.quality.findings import DEVICE, DUTY, OFFICER, PATCH, concerning, listed
from stream.core.quality.ids import difference
from stream.core.quality.tracks import FAR_M, Mistake

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from stream.core.facts import Duty
    from stream.core.quality.findings import QualityFinding, QualityFindings

    Said = tuple[list[str], str]
    """What is said of each thing found, and what to do about all of them."""

EXAMPLES: Final = 3
"""Of each kind so many are told, and then how many more there are."""
MANY: Final = 5
"""So many devices with one and the same clock offset point at whatever receives them all."""
LEAST_JUMPS: Final = 10
"""Fewer jumps of a device on a day are told in the table alone."""
JUMPS_PART: Final = 4
FAR_PART: Final = 2
"""Jumps, and positions far off, are told in words where they are more than one in so many of a day's."""
FILE: Final = " in quality.csv"

_SWAPPED: Final = {
    Mistake.SWAPPED: "with longitude and latitude exchanged they would lie among them",
    Mistake.LON_SIGN: "with the sign of the longitude turned they would lie among them",
    Mistake.LAT_SIGN: "with the sign of the latitude turned they would lie among them",
    Mistake.BOTH_SIGNS: "with both signs turned they would lie among them",
    Mistake.SWAPPED_SIGN: (
        "with longitude and latitude exchanged, and a sign turned, they would lie among them"
    ),
}


def warnings(found: QualityFindings, *, where: str = FILE) -> list[str]:
    """The important findings, one kind a line, the worst first; empty where there are none.

    Args:
        found: the findings.
        where: where the others are of which only the number is said, with a blank before it.
    """
    lines = []
    for _, say in _KINDS if len(found) else ():
        told, remedy = say(found)
        if told:
            shown = told if len(told) <= EXAMPLES else told[:EXAMPLES]
            more = len(told) - len(shown)
            rest = f"; and {more:,} more{where}" if more else ""
            lines.append(f"{'; '.join(shown)}{rest}. {remedy}")
    return lines


def notes(found: QualityFindings, duties: Sequence[Duty], start: int, end: int) -> list[str]:
    """What the findings say about the duties of one figure, a line each, to stand beside it.

    Args:
        found: the findings about all facts.
        duties: those of the figure.
        start: its period's start, microseconds since 1970.
        end: its end, exclusive.
    """
    mine = concerning(found, duties, start, end)
    unheard = {row.id for row in mine.rows("never_heard", "near_id", "none_usable", "carried_by_vehicle")}
    seen = {(row.id, row.detail) for row in mine.rows("positions") if row.scope == DUTY}
    told = [
        f"device {row.detail!r} was silent for the whole of duty {row.id!r}"
        for row in mine.rows("silent")
        if row.scope == DUTY and (row.id, row.detail) not in seen and not {row.id, row.detail} & unheard
    ]
    more = f"; and {len(told) - EXAMPLES:,} more" if len(told) > EXAMPLES else ""
    silent = f"{'; '.join(told[:EXAMPLES])}{more}. Where its officer was, another device says."
    return warnings(mine, where="") + [silent] * bool(told)


def _by_id(rows: Sequence[QualityFinding]) -> dict[str, list[QualityFinding]]:
    """Rows by id; those with the most counted come first."""
    found: dict[str, list[QualityFinding]] = {}
    for row in rows:
        found.setdefault(row.id, []).append(row)
    return dict(sorted(found.items(), key=lambda item: (-sum(row.count for row in item[1]), item[0])))


def times(count: int, noun: str) -> str:
    """``1 duty``, ``1,200 duties``, ``3 positions``."""
    plural = f"{noun[:-1]}ies" if noun.endswith("ty") else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"


def _on(days: Sequence[QualityFinding]) -> str:
    """``on 2026-11-23 and 2 other days``."""
    more = f" and {times(len(days) - 1, 'other day')}" if len(days) > 1 else ""
    return f"on {days[0].day}{more}"


def _meant(detail: str) -> str:
    """Which ones were perhaps meant, from ids joined by semicolons; empty for none."""
    return f" (is {detail.replace(';', ' or ')} meant?)" if detail else ""


def _mostly(found: QualityFindings, rows: Sequence[QualityFinding], part: int) -> list[QualityFinding]:
    """The days of devices on which such positions were more than one in so many."""
    counts = found.rows("positions") if rows else []
    every = {(row.id, row.day): row.count for row in counts if row.scope == DEVICE}
    return [row for row in rows if part * row.count > every.get((row.id, row.day), 0)]


def hours_words(us: int) -> str:
    """Microseconds as ``8,760 hours``, ``24.5 hours``."""
    found = f"{us / (3600 * SECOND):,.1f}".removesuffix(".0")
    return f"{found} hour" if found == "1" else f"{found} hours"


def _hours(us: int) -> str:
    return f"{us / (3600 * SECOND):,.1f} h"


def _duties(detail: str) -> str:
    """``duty D1``, ``duties D1, D2``, from ids joined by semicolons."""
    return f"{'duties' if ';' in detail else 'duty'} {detail.replace(';', ', ')}"


def _misplaced(found: QualityFindings) -> Said:
    rows = [(mistake, row) for mistake in Mistake for row in found.rows(str(mistake))]
    by_kind: dict[Mistake, Counter[str]] = {}
    for mistake, row in rows:
        by_kind.setdefault(mistake, Counter())[row.id] += row.count
    told = [
        f"{times(count.total(), 'position')} of {_named(list(count))} "
        f"{'lies' if count.total() == 1 else 'lie'} outside the areas: {_SWAPPED[mistake]}"
        for mistake, count in by_kind.items()
    ]
    return told, "Correct the coordinates where they are sent from; until then they prove no time on patch."


def _named(names: Sequence[str], noun: str = DEVICE) -> str:
    """``device R1``, ``devices R1, R2, R3 and 4 more``."""
    first = sorted(names)
    more = len(first) - EXAMPLES
    rest = f" and {more:,} more" if more > 0 else ""
    return f"{noun if len(first) == 1 else f'{noun}s'} {', '.join(map(repr, first[:EXAMPLES]))}{rest}"


def _near(found: QualityFindings) -> Said:
    silent = {row.id: row.detail for row in found.rows("never_heard") if row.scope == DEVICE}
    told = []
    for row in found.rows("near_id"):
        why = f"they differ in {difference(row.id, row.detail)}"
        if row.scope == OFFICER:
            told.append(f"officers {row.id!r} and {row.detail!r} are counted as two: {why}")
        elif row.id in silent:
            told.append(
                f"device {row.id!r} of {_duties(silent[row.id])} was never heard, but {row.detail!r} was: "
                f"{why}"
            )
        else:
            told.append(
                f"device {row.detail!r} was heard, which no duty names, but {row.id!r} is booked: {why}"
            )
    return told, "Write one id in bookings, states and trackers; ids are compared character by character."


def _two_ids(found: QualityFindings) -> Said:
    told = [
        f"devices {row.id!r} ({times(row.count, 'duty')}) and {row.detail!r} are both booked and both heard: "
        f"they differ in {difference(row.id, row.detail)}"
        for row in found.rows("two_ids")
    ]
    return told, "Are these two trackers, or one that writes two ids? Of one, write the same id everywhere."


def _none_usable(found: QualityFindings) -> Said:
    told = [
        f"device {row.id!r} was heard {times(row.count, 'time')}, and nothing of it could be used: "
        f"{row.detail.replace(';', ', ')}"
        for row in found.rows("none_usable")
    ]
    return told, "Its officers' time is unknown."


def _never_heard(found: QualityFindings) -> Said:
    near = {row.id for row in found.rows("near_id")}
    rows = found.rows("never_heard")
    silent = {row.id for row in rows if row.scope == DEVICE}
    told = [
        f"device {row.id!r} of {_duties(row.detail)} was never heard"
        for row in sorted(rows, key=lambda row: (-row.count, row.id))
        if row.scope == DEVICE and row.id not in near
    ]
    told += [
        f"in duty {row.id!r} none of its devices was heard ({row.detail.replace(';', ', ')}), "
        "though one was at other times"
        for row in rows
        if row.scope == DUTY and not set(row.detail.split(";")) <= silent
    ]
    return told, "Check that the booking names the device that was carried, and that its positions are there."


def _carried(found: QualityFindings) -> Said:
    told = []
    for row in sorted(found.rows("carried_by_vehicle"), key=lambda row: (-(row.us or 0), row.id)):
        officer, *vehicles = row.detail.split(";")
        told.append(
            f"the radio of officer {officer!r} was not heard during duty {row.id!r}; all of its known time "
            f"({_hours(row.us or 0)}) is that of {_named(vehicles, 'vehicle')}, which "
            f"{times(row.count, 'other officer')} held too"
        )
    return told, "Whether each of them was with the vehicle, nothing shows: check the radio and the booking."


def _clocks(found: QualityFindings) -> Said:
    by_offset: dict[str, list[tuple[str, int, int]]] = {}
    for name, rows in _by_id(found.rows("clock_offset")).items():
        worst = max(rows, key=lambda row: row.count)
        count = sum(row.count for row in rows if row.detail == worst.detail)
        by_offset.setdefault(worst.detail, []).append((name, count, worst.us or 0))
    told = []
    for offset, devices in sorted(by_offset.items(), key=lambda item: (-len(item[1]), item[0])):
        seconds = abs(devices[0][2]) // SECOND
        side = "after" if devices[0][2] > 0 else "before"
        count = sum(reports for _, reports, _ in devices)
        several = len(devices) >= MANY
        told.append(
            f"{times(count, 'report')} of {_named([name for name, _, _ in devices])} came {seconds:,} s "
            f"{side} their own time, all alike: "
            + (
                f"either the clocks are {offset}, or that of whatever receives them is wrong"
                if several
                else f"the clock is {offset}"
            )
        )
    return told, "Correct the clock or its time zone; until then that time is credited to the wrong hours."


def _doubted(found: QualityFindings) -> Said:
    told = []
    for kind, why in (
        ("frozen", "repeats one position to the last digit and says that it is moving"),
        ("two_devices", "jumps to and fro between two places, as two devices under one id do"),
    ):
        for name, rows in _by_time(found.rows(kind)).items():
            told.append(f"device {name!r} {why}, for {_hours(sum(row.us or 0 for row in rows))} {_on(rows)}")
    return told, "Have the receiver checked, or give each device an id of its own: such time proves nothing."


def _frozen_beside(found: QualityFindings) -> Said:
    told = []
    for name, rows in _by_time(found.rows("frozen_beside")).items():
        lasting = _hours(sum(row.us or 0 for row in rows))
        others = _named(sorted({row.detail for row in rows}))
        told.append(
            f"device {name!r} repeats one position to the last digit for {lasting} on {rows[0].day}, while "
            f"{others} of the same officer {'is' if others.startswith('device ') else 'are'} elsewhere"
        )
    return told, "Was it with the officer, and does its receiver work? Until then such time proves nothing."


def _by_time(rows: Sequence[QualityFinding]) -> dict[str, list[QualityFinding]]:
    """Rows by id; those with the most time come first."""
    found = _by_id(rows)
    return dict(sorted(found.items(), key=lambda item: -sum(row.us or 0 for row in item[1])))


def _far(found: QualityFindings) -> Said:
    explained = {(row.id, row.day) for mistake in Mistake for row in found.rows(str(mistake))}
    rows = [row for row in found.rows("far_from_force") if (row.id, row.day) not in explained]
    told = [
        f"device {name!r} was mostly more than {FAR_M / 1000:.0f} km from every area {_on(days)} "
        f"(up to {days[0].detail})"
        for name, days in _by_id(_mostly(found, rows, FAR_PART)).items()
    ]
    return told, "Is it this force's, and are the coordinates degrees?"


def _jumping(found: QualityFindings) -> Said:
    jumps = [row for row in found.rows("jump") if row.count >= LEAST_JUMPS]
    told = [
        f"{sum(row.count for row in days):,} positions of device {name!r} were ignored as jumps, more than "
        f"one in four {_on(days)}"
        for name, days in _by_id(_mostly(found, jumps, JUMPS_PART)).items()
    ]
    return told, "Do two devices report under one id, or does its receiver fail? Until then time is unknown."


def _patches(found: QualityFindings) -> Said:
    rows = found.rows("unknown_patch")
    officers: dict[str, list[str]] = {}
    for row in rows:
        if row.scope == OFFICER:
            officers.setdefault(row.detail, []).append(row.id)
    told = []
    for name, [row, *_] in _by_id([row for row in rows if row.scope == PATCH]).items():
        told.append(
            f"no area file has the neighbourhood {name}, the patch of {times(row.count, 'duty')}"
            f"{_meant(row.detail)}: the figures of {name}, of {_named(officers.get(name, []), 'officer')} "
            "and of the force are concerned"
        )
    return told, "Time there cannot be on patch: correct the bookings, or give the boundaries that they mean."


def _not_in_force(found: QualityFindings) -> Said:
    by_patch: dict[str, list[QualityFinding]] = {}
    for row in found.rows("patch_not_in_force"):
        by_patch.setdefault(row.detail, []).append(row)
    told = [
        f"the neighbourhood {name}, the patch of {_duties(listed([row.id for row in rows]))}, is not among "
        f"the boundaries in force in {_hours(sum(row.us or 0 for row in rows))} of their time"
        for name, rows in sorted(by_patch.items(), key=lambda item: (-len(item[1]), item[0]))
    ]
    return told, "Nobody can be on it then: correct the bookings, or from when the boundaries are in force."


def _long(found: QualityFindings) -> Said:
    told = [
        f"duty {row.id!r} of officer {row.detail} "
        + (
            f"was booked for {hours_words(row.us or 0)} and counts for nothing until it is revised"
            if row.finding == "too_long_duty"
            else f"has been open for {hours_words(row.us or 0)}"
        )
        for row in sorted(found.rows("too_long_duty", "open_duty"), key=lambda row: (-(row.us or 0), row.id))
    ]
    return told, (
        "Correct its start or end: booked for longer than the policy's longest duty it is left out of every "
        "figure, and without an end it counts no further than that."
    )


def _overlaps(found: QualityFindings) -> Said:
    told = [
        f"{_duties(row.detail)} of officer {row.id} overlap by {_hours(row.us or 0)}"
        for row in sorted(found.rows("overlapping_duties"), key=lambda row: (-(row.us or 0), row.id))
    ]
    return told, "That time counts for the duty that started latest: correct or cancel the other one."


def _no_device(found: QualityFindings) -> Said:
    told = [f"duty {row.id!r} names no device" for row in found.rows("no_device")]
    return told, "Nobody can be seen on such a duty: its time is unknown."


def _states(found: QualityFindings) -> Said:
    told = [
        f"{times(rows[0].count, 'state')} of officer {name!r}, who has no duty{_meant(rows[0].detail)}"
        for name, rows in _by_id(found.rows("state_without_duty")).items()
    ]
    return told, "They change nothing: check the officer's id, or book the duty."


def _codes(found: QualityFindings) -> Said:
    by_code: dict[str, list[QualityFinding]] = {}
    for row in found.rows("unknown_state"):
        by_code.setdefault(row.detail, []).append(row)
    told = [
        f"state {code} was keyed {times(sum(row.count for row in rows), 'time')} by "
        f"{_named(sorted({row.id for row in rows}), 'officer')}, and the policy does not name it"
        for code, rows in sorted(by_code.items(), key=lambda item: int(item[0]))
    ]
    return told, (
        "It counts as on duty and visible: say in the policy (states.NUMBER) what it counts as, "
        "or correct what sends it."
    )


def _two_states(found: QualityFindings) -> Said:
    told = [
        f"officer {name!r} keyed different states at one instant "
        f"{times(sum(row.count for row in rows), 'time')} "
        f"({' and '.join(rows[0].detail.split(';'))} the first time)"
        for name, rows in _by_id(found.rows("two_states")).items()
    ]
    return told, "The greater number counts: do two radios or systems send states of one officer?"


def _not_booked(found: QualityFindings) -> Said:
    near = {row.detail for row in found.rows("near_id")}
    rows = _by_id([row for row in found.rows("not_booked") if row.id not in near])
    if not rows:
        return [], ""
    count = sum(row.count for found_rows in rows.values() for row in found_rows)
    told = f"{times(count, 'position')} of {_named(list(rows))}, which no duty names"
    return [told], "Nobody gets the time: if an officer carried it, it is missing from the booking."


_KINDS: Final[tuple[tuple[str, Callable[[QualityFindings], Said]], ...]] = (
    ("unknown patches", _patches),
    ("patches not in force", _not_in_force),
    ("misplaced coordinates", _misplaced),
    ("ids that are nearly the same", _near),
    ("devices under two ids", _two_ids),
    ("devices of which nothing can be used", _none_usable),
    ("devices that were never heard", _never_heard),
    ("silent radios", _carried),
    ("wrong clocks", _clocks),
    ("devices that contradict themselves", _doubted),
    ("frozen devices", _frozen_beside),
    ("devices far from the force", _far),
    ("jumping devices", _jumping),
    ("duties that are too long", _long),
    ("overlapping duties", _overlaps),
    ("duties without a device", _no_device),
    ("unknown states", _codes),
    ("contradictory states", _two_states),
    ("states without a duty", _states),
    ("devices that no duty names", _not_booked),
)
"""The worst first: what makes whole days of figures wrong, then what makes single duties wrong."""


def in_question(found: QualityFindings) -> str:
    """What the important findings are about, in a few words, to stand beside a verdict; empty where none."""
    return ", ".join(name for name, say in _KINDS if say(found)[0])
