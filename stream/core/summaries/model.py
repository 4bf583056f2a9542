"""What a summary of one neighbourhood and period holds, weekly for the sergeant, monthly for the public.

Values only. ``stream.core.summaries.counting`` counts them; pages, PDF, spreadsheets and CSV are made of
them and of nothing else, so that all say the same, and so that a summary that was published can be shown
again as it was, byte for byte. Times are whole microseconds, instants microseconds since 1970 UTC; ids and
names are those in force at the end of the period.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from stream.core.quality.totals import ReportCounts  # noqa: TC001
from stream.core.shares import Figures  # noqa: TC001 - what is stored is read again by these types
from stream.core.visits import PriorityFigures  # noqa: TC001

FORM = 1
"""The form of a stored summary: incremented when a field changes its meaning.

A field that is added has a default, which says that it was not counted then: what was stored before it is
read, and shown as it was.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """A period and its figure, for the trend.

    Attributes:
        name: of the period, like ``2026-W47`` or ``2026-11``.
        figures: the neighbourhood's; None where nobody had duty time.
        target: in force at its start.
    """

    name: str
    figures: Figures | None
    target: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Hour:
    """A local hour and what the neighbourhood's own officers did in it.

    Attributes:
        day: local date, ``2026-11-16``.
        hour: 0 to 23 as the clock shows it.
        again: the second of the two hours with that name, when the clocks go back.
        start, end: the hour; an hour of which part lies outside the period does not occur.
        on_patch, priority, off_patch, not_visible, unknown, on_break: officer time; ``priority`` is the part
            of ``on_patch`` inside priority areas.
        wanted: ids of the neighbourhood's priority areas, of those that name days or hours, whose own hours
            have any part of this hour.
    """

    day: str
    hour: int
    again: bool
    start: int
    end: int
    on_patch: int = 0
    priority: int = 0
    off_patch: int = 0
    not_visible: int = 0
    unknown: int = 0
    on_break: int = 0
    wanted: tuple[str, ...] = ()

    @property
    def duty(self) -> int:
        """Officer time in duty, less breaks."""
        return self.on_patch + self.off_patch + self.not_visible + self.unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorityArea:
    """A priority area that overlaps the neighbourhood, and the visits it had (rule 17).

    Attributes:
        issue, days, hours: as published, empty where not said.
        always: it names neither days nor hours: all the time is its own.
        own_time: how long its own hours were in the period.
        figures: visits, by length, officer and patrol time, in its own hours, by own and by other teams.
        by_officer: ids of those who were there, of any team, sorted, each with the time inside and so much of
            it in the area's own hours: they sum to ``officer_time`` and ``officer_time_in_window``.
    """

    area_id: str
    name: str
    issue: str
    days: str
    hours: str
    always: bool
    own_time: int
    figures: PriorityFigures
    by_officer: tuple[tuple[str, int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Away:
    """Abstraction (rule 16): duty time off patch or not visible in one place and one state.

    Attributes:
        activity: ``off_patch`` or ``not_visible``.
        neighbourhood: id; ``outside`` where none has the position, empty where the position is unknown.
        premises: id, else empty.
        state: the radio status in force, and ``state_name`` what the policy calls it, like ``at_scene``.
        time: in the period; 0 for what only earlier periods had.
        before: the same in each of the four weeks, or the month, before, oldest first; None where nobody had
            duty time.
        by_officer: ids of those whose time it is, sorted, each with so much of it: they sum to ``time``.
    """

    activity: str
    neighbourhood: str
    neighbourhood_name: str
    premises: str
    premises_name: str
    state: int
    state_name: str
    time: int
    before: tuple[int | None, ...] = ()
    by_officer: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Crewed:
    """Crewing (rule 18): time of vehicles in the neighbourhood, of any team.

    Attributes:
        single: with one officer allocated; ``double`` with two or more.
        single_by_hour, double_by_hour: by the 24 local hours.
    """

    single: int = 0
    double: int = 0
    single_by_hour: tuple[int, ...] = (0,) * 24
    double_by_hour: tuple[int, ...] = (0,) * 24


@dataclass(frozen=True, slots=True, kw_only=True)
class DutyLine:
    """One duty of an officer and what it contributed to the neighbourhood's figure in the period.

    Attributes:
        start, end: as booked, not cut to the period; ``end`` None: still open.
        team: as booked; empty where not said.
        figures: cut to the period.
    """

    duty_id: str
    start: int
    end: int | None
    team: str
    figures: Figures


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficerSummary:
    """An officer with duties for the neighbourhood in the period.

    Attributes:
        name: as booked, else the id.
        role: as booked; empty where not said.
        figures: the sum of the duties below: all officers' sum to the neighbourhood's figure.
        team: the present team as of the period's end, or of now where it still runs; empty where no booking
            names one.
        team_months: whole months in it; None without a team.
        team_at_least: the record begins with the officer in that team, so it may be longer.
    """

    officer_id: str
    name: str
    role: str
    figures: Figures
    team: str
    team_months: int | None
    team_at_least: bool
    duties: tuple[DutyLine, ...]

    @property
    def away(self) -> int:
        """Abstraction, microseconds."""
        return self.figures.off_patch + self.figures.not_visible


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamFacts:
    """A team that the neighbourhood's officers are in, as of the period's end, or of now where it still runs.

    Attributes:
        officers: how many.
        experienced: of them with at least ``months`` known months in it.
        perhaps: of them, those for whom the record cannot tell.
        joined, left: names of the officers who came and went in the period.
    """

    team: str
    officers: int
    experienced: int
    perhaps: int
    months: float
    joined: tuple[str, ...]
    left: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Why the figure is what it is, in English sentences, from its explanation
    (``stream.core.explaining.wording``).

    Attributes:
        verdict: the figure, its bounds and verdict, and how far it is from the target.
        costs: what the rest of the duty time went to, the most first.
        notes: what is in doubt, what is not counted.
    """

    verdict: tuple[str, ...] = ()
    costs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FactFinding:
    """Something that was found about the facts behind the figure (rule 22).

    Attributes:
        finding: its kind, as in ``quality.csv``; of doubtful time the kind of doubt (rule 21).
        scope: ``device``, ``duty``, ``officer`` or ``patch``, and ``id`` which one.
        day: local date; empty where it is of no day.
        count: how often, as the kind has it.
        time: how long, microseconds; None where it has no length.
        detail: as the kind has it.
    """

    finding: str
    scope: str
    id: str
    day: str
    count: int
    time: int | None
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FactsWorth:
    """What the facts behind the figure are worth (rule 22). It changes neither the figure nor its verdict.

    Attributes:
        findings: about the neighbourhood's own duties, their devices and officers, the worst kind first.
        doubtful: by kind of doubt the time that is doubtful (rule 21): the bounds leave it open already.
        reports: what was heard of the booked devices on the days of the period, booked at the time or not;
            None where nothing was counted as it was heard.
        questioned: time that the bounds do not leave open, but would if what serious findings touch were
            not known, microseconds.
        proven, possible: ``Figures.proven`` and ``Figures.possible`` as they would then be.
        verdict: what it would then be; None where there is no share.
        turning: empty where the verdict would stay; else the sentence that says so.
        said: the findings in sentences, the worst first.
    """

    findings: tuple[FactFinding, ...] = ()
    doubtful: tuple[tuple[str, int], ...] = ()
    reports: ReportCounts | None = None
    questioned: int = 0
    proven: int = 0
    possible: int = 0
    verdict: str | None = None
    turning: str = ""
    said: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundaryVersion:
    """A version of the boundaries in force in the period.

    Attributes:
        kind: ``neighbourhood``, ``priority`` or ``premises``.
        valid_from: None: from the beginning.
        sha256: of the file.
    """

    kind: str
    version: int
    valid_from: int | None
    file: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What a summary is based on.

    Attributes:
        target: the share promised, in force at the period's start.
        policy: the settings in force at the period's start by name, ``states`` among them.
        policy_from: since when; None: from the beginning.
        policy_sha256: of those settings as canonical JSON.
        policy_versions: the numbers on record of the policies in force in the period, and since the start of
            the first duty in it; empty where the program that counted it knew none.
        policy_outdated: numbers of those by which some of its duties were counted although others are by now
            in force for their time.
        boundaries: by kind and time.
        as_of: up to when in the period the position of any of its officers is known; None where it never is.
        until: up to when anything is counted: the period's end, or the newest position of all where the
            period still runs.
    """

    target: float
    policy: dict[str, Any]
    policy_from: int | None
    policy_sha256: str
    policy_versions: tuple[int, ...] = ()
    policy_outdated: tuple[int, ...] = ()
    boundaries: tuple[BoundaryVersion, ...]
    as_of: int | None
    until: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureChange:
    """The neighbourhood's figure of the period before and after something became known later (rule 20).

    Attributes:
        number: of the restatement in the records; None: found by comparing with what was published.
        recorded_at: when.
        cause: like ``areas published`` or ``facts``; ``later facts`` where found by comparing.
        by, why: who, and the reason given.
        before, after: None where there was, or is, no figure. ``ambiguous`` parts are 0 where an old record
            has none.
    """

    number: int | None
    recorded_at: int
    cause: str
    by: str
    why: str
    before: Figures | None
    after: Figures | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A neighbourhood's summary of a period.

    Attributes:
        period: ``week`` or ``month``.
        name: of the period, like ``2026-W47`` or ``2026-11``.
        start, end: the period, local midnights.
        area_id, area_name: the neighbourhood.
        figures: its figure; ``figures.share`` is None where nobody had duty time.
        past: twelve periods, the oldest first, this one last.
        hours: every hour of the period in order.
        areas: priority areas that overlap the neighbourhood, by name.
        away: the most time first.
        officers: by name.
        changes: the oldest first.
        complete: the period is over, so that only late facts can change it.
        quality: what its facts are worth; None in summaries that were stored before this was counted.
    """

    period: str
    name: str
    start: int
    end: int
    area_id: str
    area_name: str
    figures: Figures
    past: tuple[Past, ...]
    hours: tuple[Hour, ...]
    areas: tuple[PriorityArea, ...]
    away: tuple[Away, ...]
    crewed: Crewed
    officers: tuple[OfficerSummary, ...]
    teams: tuple[TeamFacts, ...]
    said: Said
    basis: Basis
    changes: tuple[FigureChange, ...] = ()
    complete: bool = True
    quality: FactsWorth | None = None
    form: int = field(default=FORM)

    @property
    def verdict(self) -> str | None:
        """``met``, ``missed``, ``not proven``; None where there is no share."""
        return self.figures.verdict(self.basis.target)


class FormError(ValueError):
    """A stored summary is of another form than this program's; the message says what to do."""


def encode(summary: Summary) -> bytes:
    """The one way to store a summary: JSON, keys in the order of the fields; equal summaries, equal bytes."""
    return msgspec.json.encode(summary, order="deterministic")


def decode(data: bytes) -> Summary:
    """A stored summary.

    Raises:
        FormError: it was made by a program with another form.
    """
    try:
        found = msgspec.json.decode(data, type=Summary)
    except msgspec.DecodeError as error:
        raise FormError(f"a stored summary cannot be read ({error}): publish it again") from error
    if found.form != FORM:
        raise FormError(f"a stored summary has form {found.form}, this program's is {FORM}: publish it again")
    return found
