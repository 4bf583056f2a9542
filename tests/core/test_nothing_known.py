"""A figure says why it has no share: where nothing is known of its duty time, and nowhere else (rule 15)."""

from __future__ import annotations

from dataclasses import replace

import shapely
from hypothesis import given
from hypothesis import strategies as st

from geo.areas import Area, AreaSet, Kind
from geo.matching.history import AreaHistory
from stream.core.explaining.wording import no_share_words
from stream.core.facts import SECOND, Allocation, Duty, StateReport
from stream.core.live.share_event import figure_json
from stream.core.policy import BEGINNING, Policies
from stream.core.shares import (
    FAR,
    FORCE,
    NO_DUTY_TIME,
    NO_HOME_PATCH,
    NO_POSITION,
    OFFICER,
    REASONS,
    Figures,
    gather,
    shares,
    totals,
)
from stream.core.slices import slices
from stream.core.stays import stays
from tests.strategies import Fix, fix_columns, many

TIME = st.integers(0, 3) | st.integers(0, 8 * 3600 * SECOND)
HOUR = 3600
PATCH = Area(Kind.NEIGHBOURHOOD, "A", "Abbey", shapely.box(-1.15, 52.62, -1.10, 52.64), {})


@st.composite
def sums(draw: st.DrawFn) -> Figures:
    """Any figure: parts of time that may be nothing, doubt within them, with a patch or without."""
    on, off, hidden, unknown, on_break = (draw(TIME) for _ in range(5))
    return Figures(
        OFFICER,
        "O1",
        0,
        1,
        on_patch=on,
        off_patch=off,
        not_visible=hidden,
        unknown=unknown,
        on_break=on_break,
        has_share=draw(st.booleans()),
        ambiguous_on=draw(st.integers(0, on)),
        ambiguous_off=draw(st.integers(0, off)),
        far=draw(st.booleans()),
    )


@given(sums(), st.sampled_from((0.2, 0.8, 1.0)))
def test_a_share_is_missing_for_one_reason_or_is_there_with_bounds_and_verdict(
    item: Figures, target: float
) -> None:
    """Share, bounds and verdict are all there, or none of them and a reason, also in words and as JSON."""
    known = item.on_patch + item.off_patch + item.not_visible
    want = (
        NO_DUTY_TIME
        if not known + item.unknown
        else NO_HOME_PATCH
        if not item.has_share
        else NO_POSITION
        if not known
        else FAR
        if item.far
        else None
    )
    assert item.without_share == want
    told = figure_json(item, "PC 1", target)
    for values in (
        (item.share, item.share_low, item.share_high, item.verdict(target)),
        (told.share, told.share_low, told.share_high, told.verdict),
    ):
        assert {value is None for value in values} == {want is not None}
    assert told.without_share == want
    assert bool(no_share_words(item)) == (want in REASONS)


@many(30)
@given(st.lists(st.sampled_from(("on", "off", "silent", "court", "break")), min_size=1, max_size=6))
def test_silence_hides_nobody_who_is_known_to_be_elsewhere(does: list[str]) -> None:
    """Officers of one patch, some silent: each has a share where anything is known, and so has the force.

    Silent officers keep their time in the force's figure, and officers off patch or in court theirs.
    """
    fixes: list[Fix] = []
    duties, states = [], []
    for number, doing in enumerate(does):
        officer, radio = f"O{number}", f"R{number}"
        duties.append(
            Duty(
                f"D{number}",
                1,
                officer,
                0,
                HOUR * SECOND,
                ("A",),
                (Allocation(radio, "radio"),),
            )
        )
        if doing in ("on", "off"):
            lat = 52.63 if doing == "on" else 52.65
            fixes += [(radio, at * SECOND, -1.11, lat, 10.0) for at in range(0, HOUR + 1, 60)]
        elif doing != "silent":
            states.append(StateReport(officer, 0, {"court": 10, "break": 4}[doing]))
    columns, policies = fix_columns(fixes), Policies()
    history = AreaHistory([(BEGINNING, AreaSet.of([PATCH]))])
    found = slices(
        duties, stays(columns, history, policies), columns.device_ids, states, history.places, policies
    )
    every = {(item.scope, item.id): item for item in shares(found, duties, history.places, 0, HOUR * SECOND)}
    reasons = {"silent": NO_POSITION, "break": NO_DUTY_TIME}
    for number, doing in enumerate(does):
        mine = every[OFFICER, f"O{number}"]
        assert mine.without_share == reasons.get(doing)
        assert mine.share == (None if doing in reasons else 1.0 if doing == "on" else 0.0)
    force = every[FORCE, FORCE]
    worked = len(does) - does.count("break")
    assert force.duty == worked * HOUR * SECOND
    if worked > does.count("silent"):
        assert force.share == does.count("on") / worked
        assert force.share_high == (does.count("on") + does.count("silent")) / worked
    else:
        assert force.share is None
    # Where all positions are far from all areas, the reason stands wherever a share would.
    table = totals(found, duties, history.places, 0, HOUR * SECOND)
    for item in gather(table, duties, range(len(duties)), 0, HOUR * SECOND, far=True):
        before = every.get((item.scope, item.id))
        assert before is None or replace(before, far=True) == item
        assert item.share is None
