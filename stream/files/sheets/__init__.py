"""The CSV files of an account: which files there are, and what each is made from.

It only puts tables together: the core counts, the modules beside it know the columns. One place for both
``patrol account`` (from files) and ``patrol export`` (from the database), so that equal facts give equal
folders.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from geo.areas import Kind
from geo.hours import OwnHours
from stream.core.abstraction import abstraction
from stream.core.crewing import crewing
from stream.core.off_duty import in_duty
from stream.core.quality.doubts import Doubts
from stream.core.slices import up_to
from stream.core.teams import teams
from stream.core.visits import priority_figures, reach, visits
from stream.files.sheets.contract import (
    crewing_table,
    doubts_table,
    officers_table,
    priorities_table,
    shares_table,
    slices_table,
    stays_table,
    teams_table,
    visits_table,
)
from stream.files.sheets.explanations import abstraction_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from geo.areas import AreaSet
    from geo.matching.places import Place
    from stream.core.facts import Duty
    from stream.core.policy import Policies
    from stream.core.shares import Figures
    from stream.core.slices import Slices
    from stream.core.stays import Stays


@dataclass(frozen=True, slots=True, eq=False)
class CountedAccount:
    """Everything that was counted, wherever the facts came from.

    Attributes:
        stays: of all devices.
        slices: of all duties.
        device_ids: the names behind the devices' numbers.
        duties: newest revisions, the duties behind the slices' numbers.
        places: the places behind the place numbers.
        versions: the boundaries by the time from which they are in force, microseconds.
        figures: of every period asked for.
        until: everything is counted up to here, microseconds.
        doubts: the duties' doubtful time (rule 21); by default none is known.
    """

    stays: Stays
    slices: Slices
    device_ids: Sequence[str]
    duties: Sequence[Duty]
    places: Sequence[Place]
    versions: Sequence[tuple[int, AreaSet]]
    figures: Sequence[Figures]
    until: int
    doubts: Doubts = field(default_factory=Doubts.none)


def sheets(found: CountedAccount, policies: Policies) -> dict[str, pa.Table]:
    """All files by name, each to be ``NAME.csv``, in the order in which they are listed.

    ``priorities`` has every priority area of every period, ``crewing`` the record by hour; ``teams`` and
    ``officers`` tell of the end of the record, with the moves within it.
    """
    duties, places, until = found.duties, found.places, found.until
    slices = up_to(found.slices, until)
    start, end = reach(slices, duties, until)
    made = visits(slices, duties, places, policies, OwnHours.of(found.versions, start, end), until=until)
    known = {area.area_id for _, areas in found.versions for area in areas.only(Kind.PRIORITY).areas()}
    periods = sorted({(item.start, item.end) for item in found.figures})
    visited = [item for low, high in periods for item in priority_figures(made, low, high, areas=known)]
    first = min((duty.start for duty in duties if duty.counts), default=until)
    crews = crewing(duties, found.stays, found.device_ids, places, min(first, until), until)
    members = teams(duties, policies.at(until), until, min(first, until), until)
    return {
        "stays": stays_table(
            in_duty(found.stays, slices, duties, found.device_ids), found.device_ids, places
        ),
        "slices": slices_table(slices, duties, found.device_ids, places, policies, found.doubts, until=until),
        "shares": shares_table(found.figures, policies),
        "visits": visits_table(made),
        "priorities": priorities_table(visited),
        "abstraction": abstraction_table(abstraction(slices, duties, places, policies, found.figures)),
        "crewing": crewing_table(crews),
        "teams": teams_table(members),
        "officers": officers_table(members),
        "doubts": doubts_table(found.doubts, duties, found.device_ids, until=until),
    }
