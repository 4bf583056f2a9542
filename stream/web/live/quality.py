"""What the facts behind the live figures are worth, as the API says it (rule 22)."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import time
from typing import TYPE_CHECKING, Annotated

import msgspec
import numpy as np
from msgspec import Meta
from msgspec.structs import replace

from geo.areas import Kind
from stream.core.calendar import local_day, rfc3339
from stream.core.events import REASONS
from stream.core.json_types import Count, Seconds, Time, when
from stream.core.quality.findings import DEVICE, DUTY, OFFICER, PATCH, SCOPES
from stream.core.quality.totals import totals
from stream.core.quality.tracks import Extent
from stream.core.quality.wording import warnings
from stream.store.reading import progress
from stream.store.reading.device_days import day_totals
from stream.store.reading.quality import LIVE, booked_beyond, heard_lately, live_quality
from stream.web.access.reach import meets

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from stream.core.facts import Duty
    from stream.core.quality.findings import QualityFinding, QualityFindings
    from stream.store.schema import Connection
    from stream.topics import NoLongerHeld
    from stream.web.access.reach import Reach
    from stream.web.live.pulse import Pulse
    from stream.web.live.seen import Moment

MISTAKES = tuple(name for name in LIVE if name != "not_booked")
"""What is told in words: a spare car that nobody booked reports too, and is only listed."""

GONE_DAYS = 7
"""For so many days after it was found, what Kafka deleted uncounted is told."""

KEPT_S = 30.0
"""For so long an answer is given again, however many ask."""


class QualityFindingJson(msgspec.Struct, frozen=True):
    """One finding about the facts, as in ``quality.csv``."""

    scope: Annotated[str, Meta(extra_json_schema={"enum": list(SCOPES)})]
    id: str
    day: Annotated[str, Meta(description="Local day; empty where there is none.")]
    finding: Annotated[str, Meta(extra_json_schema={"enum": list(LIVE)})]
    count: Count
    seconds: Seconds | None
    detail: str
    neighbourhoods: Annotated[
        list[str], Meta(description="Ids of those whose own officers, duties or devices it is about.")
    ]


class HeardJson(msgspec.Struct, frozen=True):
    """The reports of positions of all devices, on the days of the duties now running."""

    reports: Annotated[Count, Meta(description="All that came and named a device, usable or not.")]
    rejected: Annotated[
        dict[str, int], Meta(description="Those that could not be used, by the reason in `dead.letters`.")
    ]
    delay_median_s: Annotated[
        float | None, Meta(description="Receipt less the report's own time; null where no receipt is known.")
    ]
    delay_p95_s: Annotated[float | None, Meta(description="The delay that 95 in 100 do not exceed.")]


class TodayJson(msgspec.Struct, frozen=True):
    """What all trackers together were seen to do today, as of the last look at each.

    By device it is in `/quality/devices`.
    """

    day: Annotated[str, Meta(extra_json_schema={"format": "date"})]
    devices: Annotated[Count, Meta(description="Those with a usable position.")]
    positions: Count
    jumps: Annotated[Count, Meta(description="Positions ignored by rule 3.")]
    far: Annotated[Count, Meta(description="Positions over 50 km outside the box around all areas.")]
    waiting: Annotated[
        Count, Meta(description="Devices with positions that came since the last look, of any day.")
    ]


class NoLongerHeldJson(msgspec.Struct, frozen=True):
    """Messages of one partition that Kafka deleted before they were counted: they are in no figure."""

    topic: Annotated[str, Meta(description="Its full name.")]
    partition: Count
    messages: Annotated[Count, Meta(description="How many; on `patrol.fixes` each holds many positions.")]
    sent_after: Annotated[
        Time | None, Meta(description="When the last message before them was sent; null where not known.")
    ]
    sent_before: Annotated[
        Time | None, Meta(description="When the first one after them was sent; null where there is none.")
    ]


class QualityJson(msgspec.Struct, frozen=True):
    """What the facts behind the live figures are worth."""

    as_of: Time
    text: Annotated[str, Meta(description="The answer in one sentence.")]
    warnings: Annotated[list[str], Meta(description="The findings in words, a line a kind, the worst first.")]
    findings: list[QualityFindingJson]
    heard: HeardJson
    today: TodayJson
    no_longer_held: Annotated[
        list[NoLongerHeldJson], Meta(description="Found in the last seven days, the latest first.")
    ]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Answered:
    """An answer, and what it was made of.

    Attributes:
        whole: all of it.
        found: the findings, in the order in which it has them.
        duties: those that findings are about.
        gone: what was deleted uncounted, in words.
    """

    whole: QualityJson
    found: QualityFindings
    duties: tuple[Duty, ...]
    gone: tuple[str, ...]


class LiveQuality:
    """Answers about the present moment, each kept for a while."""

    def __init__(self, pulse: Pulse) -> None:
        self._pulse = pulse
        self._lock = asyncio.Lock()
        self._kept: tuple[float, Answered] | None = None

    async def now(self) -> QualityJson:
        """The answer, whole, at most ``KEPT_S`` old.

        Raises:
            psycopg.Error: the database is away, or does not answer.
            SchemaError: run ``patrol init`` first.
        """
        return (await self._answered()).whole

    async def seen(self, reach: Reach) -> QualityJson:
        """So much of the answer as somebody may see.

        Raises:
            psycopg.Error: the database is away, or does not answer.
            SchemaError: run ``patrol init`` first.
        """
        return seen(await self._answered(), reach)

    async def _answered(self) -> Answered:
        """What was found, at most ``KEPT_S`` old.

        Raises:
            psycopg.Error: the database is away, or does not answer.
            SchemaError: run ``patrol init`` first.
        """
        async with self._lock:
            if self._kept is None or time.monotonic() - self._kept[0] > KEPT_S:
                moment = await self._pulse.now()
                found = await self._pulse.ask(lambda connection: self._read(connection, moment))
                self._kept = (time.monotonic(), found)
            return self._kept[1]

    def _read(self, connection: Connection, moment: Moment) -> Answered:
        now = moment.picture.as_of
        heard = heard_lately(connection, moment.picture.duties, now)
        every = totals(heard)
        rejected = dict(every.rejected)
        reports = every.taken + sum(rejected.values())
        rejected = {str(reason): rejected[reason] for reason in REASONS if reason in rejected}
        beyond = booked_beyond(connection, now)
        found = live_quality(
            connection,
            moment.picture.duties,
            now,
            self._pulse.policies,
            heard=heard,
            extent=Extent.of([moment.picture.areas]),
            neighbourhoods=moment.picture.areas.names(Kind.NEIGHBOURHOOD),
            beyond=beyond,
        )
        gone = progress.no_longer_held(connection, GONE_DAYS)
        mistakes = warnings(found.only(*MISTAKES), where="")
        told = [*gone_text(gone), *mistakes]
        duties = (*moment.picture.duties, *beyond)
        whole = QualityJson(
            as_of=rfc3339(now),
            text=answer_text(len(moment.picture.duties), len(mistakes), gone=bool(gone)),
            warnings=told,
            findings=[_finding(row, duties) for row in found.rows()],
            heard=HeardJson(reports, rejected, every.delay_median, every.delay_p95),
            today=TodayJson(local_day(now).isoformat(), *day_totals(connection, now)),
            no_longer_held=[
                NoLongerHeldJson(
                    item.topic, item.partition, item.count, when(item.sent_after), when(item.sent_before)
                )
                for item in gone
            ],
        )
        return Answered(whole, found, duties, tuple(gone_text(gone)))


def seen(answered: Answered, reach: Reach) -> QualityJson:
    """So much of an answer as somebody may see.

    Findings are about duties, officers and devices: those of a viewer's neighbourhoods are told whole, less
    ids of others in their details; of a neighbourhood whose figure alone is seen the kind is told, and not
    about whom.
    """
    if reach.whole:
        return answered.whole
    known = {name for duty in answered.duties if reach.duty(duty) for name in _names(duty)}
    foreign = {name for duty in answered.duties for name in _names(duty)} - known

    def told(finding: QualityFindingJson) -> QualityFindingJson | None:
        areas = finding.neighbourhoods
        if meets(reach.persons, areas) and finding.id not in foreign:
            return replace(finding, detail=_without(finding.detail, foreign))
        return replace(finding, id="", detail="") if meets(reach.figures, areas) else None

    findings = list(filter(None, map(told, answered.whole.findings)))
    mine = np.array([bool(item is not None and item.id) for item in map(told, answered.whole.findings)], bool)
    mistakes = warnings(_less(answered.found.take(mine), foreign).only(*MISTAKES), where="")
    kinds = {item.finding for item in findings} & set(MISTAKES)
    return replace(
        answered.whole,
        text=answer_text(len(answered.duties), max(len(mistakes), len(kinds)), gone=bool(answered.gone)),
        warnings=[*answered.gone, *mistakes],
        findings=findings,
    )


def _names(duty: Duty) -> set[str]:
    """The ids by which a duty, its officer and its devices are known."""
    return {duty.duty_id, duty.officer_id, *(item.device_id for item in duty.devices)}


def _without(detail: str, foreign: Collection[str]) -> str:
    """A detail less the ids that are not to be seen; the last of several may say how many more there are."""
    parts = detail.split(";")
    kept = [part for part in parts if re.sub(r" and \d+ more$", "", part) not in foreign]
    return detail if len(kept) == len(parts) else ";".join(kept)


def _less(found: QualityFindings, foreign: Collection[str]) -> QualityFindings:
    """The same with details less the ids that are not to be seen."""
    texts = [*found.texts]
    detail = found.detail.copy()
    for at, code in enumerate(found.detail.tolist()):
        if (kept := _without(found.texts[code], foreign)) != found.texts[code]:
            detail[at] = len(texts)
            texts.append(kept)
    return dataclasses.replace(found, detail=detail, texts=tuple(texts))


def gone_text(gone: Sequence[NoLongerHeld]) -> list[str]:
    """What Kafka deleted before it was counted, a line a topic and its hours."""
    partitions: dict[tuple[str, str], list[NoLongerHeld]] = {}
    for item in gone:
        partitions.setdefault((item.topic, item.hours), []).append(item)
    return [
        f"{sum(item.count for item in items):,} messages of {topic} "
        f"({_numbers([item.partition for item in items])}), {hours}, were deleted from Kafka before they "
        "were counted: figures of that time lack what they told."
        for (topic, hours), items in partitions.items()
    ]


def _numbers(partitions: list[int]) -> str:
    *most, last = (str(number) for number in sorted(set(partitions)))
    return f"partitions {', '.join(most)} and {last}" if most else f"partition {last}"


def answer_text(duties: int, kinds: int, *, gone: bool = False) -> str:
    """Can the data be trusted? In one sentence."""
    if gone:
        return "Part of what was sent was never counted, and is in no figure."
    if not duties and not kinds:
        return "No duty is running now, so there is nothing to say."
    if not kinds:
        return "Nothing contradicts the facts behind the figures."
    mistakes = f"{kinds} kind{'s' if kinds > 1 else ''} of mistake"
    return f"Part of the facts behind the figures cannot be right: {mistakes}."


def _finding(row: QualityFinding, duties: Sequence[Duty]) -> QualityFindingJson:
    seconds = None if row.us is None else row.us / 1e6
    whose = sorted({area for duty in duties if _about(row, duty) for area in duty.patch})
    return QualityFindingJson(row.scope, row.id, row.day, row.finding, row.count, seconds, row.detail, whose)


def _about(row: QualityFinding, duty: Duty) -> bool:
    names: dict[str, set[str]] = {
        DEVICE: {item.device_id for item in duty.devices},
        DUTY: {duty.duty_id},
        OFFICER: {duty.officer_id},
        PATCH: set(duty.patch),
    }
    return row.id in names.get(row.scope, set())
