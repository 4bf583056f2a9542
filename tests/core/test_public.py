"""The public summary: what is shown is right, and nobody can get at what is not."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import fields, replace
from fractions import Fraction
from itertools import product
from math import floor

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.core.summaries.disclosure import (
    FEW,
    NOBODY,
    OTHER,
    SHARED,
    SHOWN,
    UNSEEN,
    NotPublicError,
    Public,
    Rule,
    _apportioned,
    corrected,
    publish,
    publish_all,
    whole_percent,
)
from stream.reports.public import fragment, html
from tests.publics import (
    GOOD,
    HOUR,
    MINUTE,
    REASONS,
    Spent,
    Visited,
    Worked,
    World,
    shown_worlds,
    spends,
    summary,
    team,
    worlds,
)

LINES = ("on", *REASONS)


def document(public: Public) -> bytes:
    """Everything that is published, in both languages and as values."""
    return b"".join(
        (msgspec.json.encode(public), html(public).encode(), fragment(public, "ro").encode()),
    )


def passes(times: list[int], officers: int = 3) -> bool:
    """The rule's words, literally: enough givers, and the others worth a tenth of the first."""
    given = sorted((time for time in times if time), reverse=True)
    if not given:
        return True
    return len(given) >= officers and sum(given) - given[0] - given[1] >= Fraction(given[0], 10)


def spent(world: World, area_id: str = "HERE") -> dict[str, list[int]]:
    """By line the time of each officer."""
    found: dict[str, list[int]] = {line: [] for line in LINES}
    for worker in world.workers:
        mine = [line for patch, line in worker.duties if area_id in patch.split("+")]
        for line in LINES:
            found[line].append(sum(getattr(item, line) for item in mine))
    return found


def moved(world: World, officer: int, source: str, target: str, time: int) -> World:
    """The same month, but for some time of one officer's first duty, which went to something else."""
    worker = world.workers[officer]
    patch, line = worker.duties[0]
    values = {item.name: getattr(line, item.name) for item in fields(Spent)}
    values[source] -= time
    values[target] += time
    duties = ((patch, Spent(**values)), *worker.duties[1:])
    workers = list(world.workers)
    workers[officer] = replace(worker, duties=duties)
    return replace(world, workers=tuple(workers))


# ── What is shown is right ────────────────────────────────────────────────────────────────────────────────


@given(worlds())
def test_own_figures_are_shown_exactly_where_the_rule_lets_them(world: World) -> None:
    """Share, bounds and hours are there if, and only if, duty, patch and rest pass the rule's words.

    And where anything is known of the time: else that is said in their place.
    """
    public = publish(summary(world))
    given = spent(world)
    on = given["on"]
    rest = [sum(times) for times in zip(*(given[name] for name in REASONS), strict=True)]
    duty = [one + other for one, other in zip(on, rest, strict=True)]
    if not sum(duty):
        assert public.state == NOBODY
    else:
        passed = all(map(passes, (duty, on, rest)))
        unseen = sum(given["no_signal"]) == sum(duty)
        assert (public.state == SHOWN, public.state == UNSEEN) == (passed and not unseen, passed and unseen)
    assert (public.share is not None) == (public.state == SHOWN)
    assert public.share is not None or not public.reasons


@given(shown_worlds())
def test_what_is_shown_is_the_figure_rounded(world: World) -> None:
    """The share is within a per cent of the true one and its bounds hold it, all on the right side."""
    found = summary(world)
    public = publish(found)
    share, figures, target = public.share, found.figures, Fraction(str(world.target)) * 100
    assert share is not None
    low = Fraction(100 * (figures.on_patch - figures.ambiguous_on), figures.duty)
    high = Fraction(100 * (figures.on_patch + figures.unknown + figures.ambiguous_off), figures.duty)
    true = Fraction(100 * figures.on_patch, figures.duty)
    assert abs(Fraction(str(share.share)) - true) <= 1
    assert share.low <= share.share <= share.high
    # Outward, but for what the right side of the target, and of 0 and 100, asks.
    assert Fraction(str(share.low)) <= low + 1
    assert Fraction(str(share.high)) >= high - 1
    assert share.verdict == found.verdict
    assert (Fraction(str(share.low)) >= target) == (low >= target)
    assert (Fraction(str(share.high)) >= target) == (high >= target)
    assert (Fraction(str(share.share)) >= target) == (true >= target)
    assert abs(share.on_patch_hours * HOUR - figures.on_patch) <= 5 * HOUR
    assert abs(share.duty_hours * HOUR - figures.duty) <= 5 * HOUR


@given(shown_worlds())
def test_share_and_reasons_make_a_hundred_per_cent(world: World) -> None:
    """What is said of all duty time adds up, and a reason is within a per cent and a half of its time."""
    public = publish(summary(world))
    assert public.share is not None
    total = Fraction(str(public.share.share)) + sum(Fraction(str(item.percent)) for item in public.reasons)
    rest = sum(sum(times) for name, times in spent(world).items() if name != "on")
    assert total == 100 or (not rest and public.share.share == 100)
    duty = rest + sum(spent(world)["on"])
    for item in public.reasons:
        if item.key in REASONS:
            assert abs(item.percent - 100 * sum(spent(world)[item.key]) / duty) <= 1.5


@given(worlds())
def test_reasons_told_one_by_one_pass(world: World) -> None:
    """A reason with a name passes the rule, and so do the other reasons together."""
    public = publish(summary(world))
    given = spent(world)
    parts = {"away": ("calls", "other_work"), "hidden": ("station", "custody", "unavailable")}
    named: list[str] = []
    for item in public.reasons:
        if item.key != OTHER:
            lines = parts.get(item.key, (item.key,))
            named += lines
            assert passes([sum(times) for times in zip(*(given[line] for line in lines), strict=True)])
    assert len(named) == len(set(named))
    rest = [given[line] for line in REASONS if line not in named]
    if public.share is not None and rest:
        assert passes([sum(times) for times in zip(*rest, strict=True)])


@given(
    st.fractions(0, 1),
    st.sampled_from(["0.8", "0.75", "0.805", "0.5"]),
)
def test_whole_per_cents_are_on_the_right_side(value: Fraction, written: str) -> None:
    """A share shown is below the target if it is, reaches it if it does, and is 0 or 100 only if it is."""
    target = Fraction(written)
    shown = Fraction(str(whole_percent(value, target)))
    assert (shown >= target * 100) == (value >= target)
    assert (shown == 0) == (value == 0)
    assert (shown == 100) == (value == 1)
    assert abs(shown - value * 100) <= 1


@given(st.integers(0, 400), st.integers(1, 60))
def test_numbers_of_visits_are_fives(count: int, minutes: int) -> None:
    """Visits are shown as the nearest five from five on, as some below it, and none as none."""
    area = Visited(
        visitors=tuple((f"OFF{who}", minutes * MINUTE, 0) for who in range(4)), lengths=(count, 0, 7, 0)
    )
    [shown] = publish(summary(World(areas=(area,)))).areas
    assert shown.by_length[1:] == (0, 5, 0)
    if count == 0:
        assert shown.by_length[0] == 0
    elif count < 5:
        assert shown.by_length[0] is None
    else:
        assert shown.by_length[0] is not None
        assert shown.by_length[0] % 5 == 0
        assert abs(shown.by_length[0] - count) <= 2
    assert shown.visits == 5 + (shown.by_length[0] or 0)


# ── Nobody gets at what is not ────────────────────────────────────────────────────────────────────────────


@settings(max_examples=50)
@given(worlds(patches=("HERE", "THERE", "HERE+THERE")))
def test_no_person_is_named(world: World) -> None:
    """No officer's id or name, no team, duty, premises or other neighbourhood is in the published bytes."""
    for public in publish_all([summary(world, "HERE"), summary(world, "THERE", name="Beacon")]):
        text = document(public).decode()
        for word in ("OFF", "Quill", "Lions", "D-OFF", "STATION", "OTHER", "ward", " house"):
            assert word not in text.replace(f'"{OTHER}"', "")


@given(worlds(least=1, most=2), worlds(least=1, most=2))
def test_what_is_not_shown_at_all_leaves_no_trace(one: World, other: World) -> None:
    """Two months whose own figures are left out, with the same areas, are published as one and the same."""
    other = replace(other, areas=one.areas, target=one.target)
    first, second = publish(summary(one)), publish(summary(other))
    if first.state == second.state == FEW:
        assert first == second


@given(shown_worlds())
def test_a_reason_put_with_others_cannot_be_worked_out(world: World) -> None:
    """For a reason that does not pass there is another month, with another value of it, published alike."""
    public = publish(summary(world))
    shown = {item.key for item in public.reasons}
    # What a reason is told in: by itself, with its like, or with all the others.
    told = {
        line: line if line in shown else whole if whole in shown else OTHER
        for whole, lines in (
            ("away", ("calls", "other_work")),
            ("hidden", ("station", "custody", "unavailable")),
            ("no_signal", ("no_signal",)),
        )
        for line in lines
    }
    secret = [line for line in REASONS if told[line] != line and not passes(spent(world)[line])]
    for line in secret:
        assert any(
            publish(summary(moved(world, officer, source, target, time))) == public
            for partner in REASONS
            if partner != line and told[partner] == told[line]
            for source, target in ((line, partner), (partner, line))
            for officer, worker in enumerate(world.workers)
            for part in (1, 2, 10, 1000)
            if (time := getattr(worker.duties[0][1], source) // part)
        )


@given(worlds(least=1), st.integers(1, 300), st.integers(0, 9))
def test_visits_by_too_few_officers_cannot_be_worked_out(world: World, minutes: int, count: int) -> None:
    """An area that too few visited is published alike, however long and often they were there."""
    few = Visited(visitors=(("OFF0", HOUR, HOUR), ("OFF1", HOUR, 0)), lengths=(1, 2, 0, 0))
    more = Visited(
        visitors=(("OFF2", minutes * MINUTE, 0), ("OFF3", minutes * MINUTE, MINUTE)),
        lengths=(count, 0, 7, 1),
    )
    assert len({publish(summary(replace(world, areas=(area,)))) for area in (few, more)}) == 1
    [area] = publish(summary(replace(world, areas=(few,)))).areas
    assert area.state == FEW
    assert (area.visits, area.by_length, area.patrol_hours) == (None, (), 0)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=4, max_size=4))
def test_few_visits_cannot_be_had_from_the_sum(pairs: list[tuple[int, int]]) -> None:
    """A length with few visits may have one or four: nothing else in the document depends on it."""
    visitors = tuple((f"OFF{who}", HOUR, HOUR) for who in range(4))
    first = [one for one, _ in pairs]
    second = [one if not 0 < one < 5 else 1 + other % 4 for one, other in pairs]
    documents = {
        publish(summary(World(areas=(Visited(visitors=visitors, lengths=(one, two, three, four)),))))
        for one, two, three, four in (first, second)
    }
    assert len(documents) == 1


NEIGHBOURS = ("A", "B", "C")
SHARED_PATCHES = ("A", "B", "C", "A+B", "B+C", "A+B+C")


@st.composite
def neighbourly(draw: st.DrawFn) -> World:
    """A month of three neighbourhoods, some officers of which have several."""
    count = draw(st.integers(2, 14))
    line = draw(spends())
    return World(
        workers=tuple(
            Worked(
                officer_id=f"OFF{number}",
                name=f"Constable Quill-{number}",
                duties=tuple(
                    (draw(st.sampled_from(SHARED_PATCHES)), line if draw(st.booleans()) else draw(spends()))
                    for _ in range(draw(st.integers(1, 2)))
                ),
            )
            for number in range(count)
        )
    )


@given(neighbourly())
def test_neighbourhoods_together_tell_of_no_few(world: World) -> None:
    """No sum or difference of figures that are shown is one of too few officers' duties alone."""
    shown = [
        item.area_id for item in publish_all([summary(world, name) for name in NEIGHBOURS]) if item.share
    ]
    for weights in product(range(-2, 3), repeat=len(shown)):
        weight = dict(zip(shown, weights, strict=True))
        left: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        plain = sorted(weights) in ([-1, 1], [-1, 0, 1], [1], [0, 1], [0, 0, 1])
        for worker in world.workers:
            for patch, line in worker.duties:
                times = sum(weight.get(name, 0) for name in patch.split("+"))
                if times:
                    rest = sum(getattr(line, name) for name in REASONS)
                    for what, time in (("duty", line.on + rest), ("on", line.on), ("rest", rest)):
                        left[what][worker.officer_id] += time
        for times_of in left.values():
            # Any combination has enough officers; one alone, and two less each other, pass in full.
            several = [time for time in times_of.values() if time]
            assert not several or len(several) >= 3
            if plain and shares_duties(world, [name for name in shown if weight[name]]):
                assert passes(several)


def shares_duties(world: World, names: list[str]) -> bool:
    """Whether there is one neighbourhood, or a duty that has all of them in its patch."""
    return len(names) < 2 or any(
        set(names) <= set(patch.split("+")) for worker in world.workers for patch, _ in worker.duties
    )


def test_an_officer_who_is_the_difference_of_two_neighbourhoods_is_not_told_of() -> None:
    """Five look after A and B, a sixth after B alone: B less A would be the sixth, so one is left out."""
    workers = tuple(
        replace(worker, duties=(("A+B", worker.duties[0][1]),)) for worker in team(5, on=80, calls=20)
    )
    alone = Worked(officer_id="OFF9", duties=(("B", Spent(on=30 * HOUR, calls=40 * HOUR)),))
    a, b = publish_all([summary(World(workers=(*workers, alone)), name) for name in ("A", "B")])
    assert (a.state, b.state) == (SHARED, SHOWN)
    a, b = publish_all([summary(World(workers=workers), name) for name in ("A", "B")])
    assert (a.state, b.state) == (SHOWN, SHOWN)


def test_a_sergeant_of_two_neighbourhoods_hides_neither() -> None:
    """One officer of both is in no difference alone, so both are shown; the rest only by coarse reasons."""
    first = team(5, on=80, calls=20)
    second = tuple(replace(worker, officer_id=f"B{worker.officer_id}") for worker in first)
    workers = (
        *(replace(worker, duties=(("A", worker.duties[0][1]),)) for worker in first),
        *(replace(worker, duties=(("B", worker.duties[0][1]),)) for worker in second),
        Worked(officer_id="SGT", duties=(("A+B", Spent(on=80 * HOUR, station=40 * HOUR)),)),
    )
    for public in publish_all([summary(World(workers=workers), name) for name in ("A", "B")]):
        assert public.state == SHOWN
        assert [item.key for item in public.reasons] == [OTHER]


# ── Cases ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("count", "state"), [(0, NOBODY), (1, FEW), (2, FEW), (3, SHOWN)])
def test_three_officers_are_the_fewest(count: int, state: str) -> None:
    """Nobody is nobody; of one or two officers nothing is shown; of three the figure is."""
    assert publish(summary(World(workers=team(count, on=80, calls=20)))).state == state


@pytest.mark.parametrize(("count", "state"), [(2, FEW), (4, UNSEEN)])
def test_of_unknown_time_alone_there_is_no_figure(count: int, state: str) -> None:
    """Where no position is known of any of the time, that is said, once there are officers enough."""
    public = publish(summary(World(workers=team(count, no_signal=80))))
    assert (public.state, public.share, public.reasons) == (state, None, ())


def test_an_officer_who_gave_nearly_all_is_not_shown() -> None:
    """Three officers are not enough where one did nearly all the work."""
    worker = team(3, on=80, calls=20)
    tiny = tuple(replace(item, duties=(("HERE", Spent(on=2 * HOUR, calls=HOUR)),)) for item in worker[1:])
    assert publish(summary(World(workers=(worker[0], *tiny)))).state == FEW


def test_a_lone_officer_at_court_is_among_the_other_reasons() -> None:
    """One officer's day in court is not told as such; what others share is."""
    workers = team(6, on=80, calls=10, station=5, no_signal=1)
    patch, line = workers[0].duties[0]
    values = {item.name: getattr(line, item.name) for item in fields(Spent)} | {"custody": 8 * HOUR}
    public = publish(
        summary(World(workers=(replace(workers[0], duties=((patch, Spent(**values)),)), *workers[1:])))
    )
    assert {item.key for item in public.reasons} == {"calls", "hidden", "no_signal"}


def test_one_silent_radio_is_not_told_by_the_bounds() -> None:
    """Unknown time of one officer alone is among the other reasons, and the bound above goes to tens."""
    workers = team(6, on=70, calls=20, station=9)
    for hours in (21, 24):
        values = {"on": 70 * HOUR, "calls": 20 * HOUR, "station": 9 * HOUR, "no_signal": hours * HOUR}
        silent = replace(workers[0], duties=(("HERE", Spent(**values)),))
        public = publish(summary(World(workers=(silent, *workers[1:]))))
        assert public.share is not None
        assert public.share.high == 79, "80 would be on the wrong side: the figure was missed"
        assert {item.key for item in public.reasons} == {"calls", OTHER}


def test_without_knowing_who_nothing_is_told_apart() -> None:
    """A summary that does not say whose time it was gives coarse reasons, and no area's visits."""
    public = publish(summary(GOOD, known=False))
    assert {item.key for item in public.reasons} == {"away", "hidden", "no_signal"}
    assert [item.state for item in public.areas] == [FEW, NOBODY, FEW]


def test_nobody_in_an_areas_own_hours_is_said() -> None:
    """An area visited only outside its own hours is told so, and one visited in them is not."""
    for own, never in ((0, True), (HOUR, False)):
        area = Visited(visitors=tuple((f"OFF{who}", 2 * HOUR, own) for who in range(4)), lengths=(0, 0, 0, 8))
        [shown] = publish(summary(World(areas=(area,)))).areas
        assert (shown.never_in_hours, shown.patrol_hours) == (never, 8)


def test_only_whole_months_that_are_over_are_public() -> None:
    """A week, and a month that still runs, are refused in a sentence."""
    with pytest.raises(NotPublicError, match="2026-W44 is not a month"):
        publish(summary(GOOD, period="week", month="2026-W44"))
    with pytest.raises(NotPublicError, match="2026-10 is not over"):
        publish(summary(GOOD, complete=False))
    with pytest.raises(NotPublicError, match="different months"):
        publish_all([summary(GOOD), summary(GOOD, month="2026-09")])


def test_more_officers_may_be_asked_for_but_not_fewer() -> None:
    """The rule's number of officers counts from three on; two are refused."""
    four = summary(World(workers=team(4, on=80, calls=20)))
    assert publish(four, Rule(officers=5)).state == FEW
    assert publish(four).state == SHOWN
    with pytest.raises(ValueError, match="write 3 or more"):
        Rule(officers=2)


def test_a_correction_is_public_only_where_it_matters() -> None:
    """A few minutes more change nothing that was published; another verdict does, and says so."""
    before = publish(summary(World(workers=team(6, on=83, calls=16))))
    slight = publish(summary(World(workers=team(6, on=82.2, calls=16.8))))
    assert slight != before
    assert corrected(before, slight) == before
    other = publish(summary(World(workers=team(6, on=70, calls=30))))
    assert corrected(before, other) == replace(other, corrected=True)
    gone = publish(summary(World(workers=team(2, on=70, calls=30))))
    assert corrected(before, gone) == replace(gone, corrected=True)


@pytest.mark.parametrize("part", ["share", "low", "high"])
@pytest.mark.parametrize("by", [-2, -1, 1, 2])
def test_a_share_or_bound_that_moves_by_two_is_corrected(part: str, by: int) -> None:
    """What is shown is corrected where the share or a bound moves by two or more, and not by one (P9)."""
    before = publish(summary(World(workers=team(6, on=70, calls=30))))
    assert before.share is not None
    share = replace(before.share, **{part: getattr(before.share, part) + by})
    after = replace(before, share=share)
    assert corrected(before, after) == (replace(after, corrected=True) if abs(by) == 2 else before)


def test_another_verdict_is_corrected_even_where_no_number_moves() -> None:
    """A month whose verdict changes is published again, though all numbers shown stay (P9)."""
    before = publish(summary(World(workers=team(6, on=70, calls=30))))
    assert before.share is not None
    after = replace(before, share=replace(before.share, verdict="not proven"))
    assert corrected(before, after) == replace(after, corrected=True)


@given(st.lists(st.integers(0, 10**13), max_size=8), st.integers(0, 1000))
def test_whole_parts_go_to_the_largest_remainders(times: list[int], total: int) -> None:
    """Parts add up to the total, each within one of its exact part; those with most left are rounded up."""
    parts = _apportioned(times, total)
    whole = sum(times)
    assert len(parts) == len(times)
    if not whole:
        assert parts == [0] * len(times)
        return
    assert sum(parts) == total
    exact = [Fraction(time * total, whole) for time in times]
    left = [share - floor(share) for share in exact]
    assert all(part in (floor(share), floor(share) + 1) for part, share in zip(parts, exact, strict=True))
    up = [rest for part, share, rest in zip(parts, exact, left, strict=True) if part > floor(share)]
    down = [rest for part, share, rest in zip(parts, exact, left, strict=True) if part == floor(share)]
    assert not up or not down or min(up) >= max(down)


def test_the_neighbourhood_with_the_fewest_officers_is_left_out() -> None:
    """Of neighbourhoods that would tell of a few together, that with the fewest officers goes, then by id."""
    both = [replace(worker, duties=(("A+B", worker.duties[0][1]),)) for worker in team(5, on=80, calls=20)]
    line = Spent(on=30 * HOUR, calls=40 * HOUR)
    alone = [Worked(officer_id=f"X{at}", duties=(("A", line),)) for at in range(2)]
    other = Worked(officer_id="Y0", duties=(("B", line),))
    for names, states in (("AB", (SHOWN, SHARED)), ("BA", (SHARED, SHOWN))):
        swap = str.maketrans("AB", names)
        workers = tuple(
            replace(item, duties=tuple((patch.translate(swap), spent) for patch, spent in item.duties))
            for item in (*both, *alone, other)
        )
        world = World(workers=workers)
        assert tuple(item.state for item in publish_all([summary(world, name) for name in "AB"])) == states
    world = World(workers=(*both, alone[0], other))
    assert [item.state for item in publish_all([summary(world, name) for name in "AB"])] == [SHARED, SHOWN]


def test_a_neighbourhood_that_shares_duties_with_none_that_is_shown_is_shown() -> None:
    """Where only one of two neighbourhoods is shown, no difference can be made, and it stays."""
    four = team(4, on=80, calls=20)
    workers = tuple(
        replace(item, duties=((patch, item.duties[0][1]),))
        for item, patch in zip(four, ("A", "A", "A+B", "A+B"), strict=True)
    )
    found = publish_all([summary(World(workers=workers), name) for name in ("A", "B")])
    assert [item.state for item in found] == [SHOWN, FEW]


def test_the_same_month_gives_the_same_bytes() -> None:
    """Published twice, a month is the same to the byte."""
    assert document(publish(summary(GOOD))) == document(publish(summary(GOOD)))


def test_names_are_shown_as_they_are() -> None:
    """Markup in the name of a neighbourhood or an area is text on the page."""
    area = replace(GOOD.areas[0], name="<b>Bold</b> & Co", issue='"><script>alert(1)</script>')
    text = html(publish(summary(replace(GOOD, areas=(area,)), name="<i>Abbey</i>")))
    assert "&lt;b&gt;Bold&lt;/b&gt; &amp; Co" in text
    assert "&lt;i&gt;Abbey&lt;/i&gt;" in text
    assert "<script" not in text
    assert not re.search(r"<[bi]>(Bold|Abbey)", text)
