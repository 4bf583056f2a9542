"""What the watch for alerts leaves out of the last day changes no answer; and when a figure is news."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo.hours import OwnHours
from geo.matching.history import UNKNOWN
from geo.matching.places import Place
from stream.core.facts import SECOND, Duty
from stream.core.live.overview import DayTracks, Standing, due_since, presence
from stream.core.live.scopes import KeptScopes, News, Scopes
from stream.core.live.watched import needed
from stream.core.policy import Policies
from stream.core.shares import DOUBT_TOTALS, TOTALS
from stream.core.slices import HIDDEN, OFF_PATCH, ON_BREAK, ON_PATCH, UNSEEN
from tests.duty_rows import Row, columns
from tests.strategies import many

if TYPE_CHECKING:
    import random

    from numpy.typing import NDArray

    from stream.core.live.share_event import ShareEvent
    from stream.core.slices import Slices

PATIENCE = 300
PLACES = (Place(None, None, ()), Place("A", None, ()), Place("A", None, ("P",)), Place("B", None, ()))


def shift_of(random: random.Random) -> list[list[Row]]:
    """Some officers' slices, many of them short, with gaps in which they are off duty."""
    found = []
    for _ in range(random.randint(1, 3)):
        rows, time = [], random.randint(0, 500)
        for _ in range(random.randint(0, 24)):
            time += random.choice((0, 0, 0, 0, 100))
            end = time + random.choice((1, 50, 299, 300, 301, 500))
            activity = random.choice((ON_BREAK, HIDDEN, UNSEEN, UNSEEN, ON_PATCH, OFF_PATCH, OFF_PATCH))
            place = UNKNOWN if activity == UNSEEN else random.choice((0, 0, 1, 1, 1, 2, 3, 3))
            rows.append(Row(time, end, activity, random.randint(0, 9), place))
            time = end
        found.append(rows)
    return found


@many(300)
@given(st.randoms(use_true_random=False))
def test_nothing_that_alerts_depend_on_is_left_out(random: random.Random) -> None:
    """Who does what since when, and since when somebody ought to be there: the same without what is left out.

    What ends late, and what lies in a priority area, is all there.
    """
    shift = shift_of(random)
    closed = [random.randint(len(own) // 2, len(own)) for own in shift]
    horizon = random.randint(0, 7000)
    now = horizon + random.randint(0, 3000)
    patches = [tuple(random.sample("ABC", random.randint(0, 2))) for _ in shift]
    duties = tuple(
        Duty(str(at), 1, str(at), own[0].start if own else 7, None, patch)
        for at, (own, patch) in enumerate(zip(shift, patches, strict=True))
    )
    whole = columns(shift)
    shut = columns([own[:size] for own, size in zip(shift, closed, strict=True)])
    keep, covered = needed(shut, PLACES, horizon, PATIENCE)
    grows = columns([own[size:] for own, size in zip(shift, closed, strict=True)])
    part = joined(shut.take(keep), grows)
    full, less = (presence(item, duties, now, PATIENCE) for item in (whole, part))
    for item in fields(full):
        assert getattr(less, item.name).tolist() == getattr(full, item.name).tolist(), item.name
    windows = OwnHours.of([], 0, 1)
    assert due_since(DayTracks(now, duties, part, PLACES, windows), covered) == due_since(
        DayTracks(now, duties, whole, PLACES, windows)
    )
    gone = shut.take(~keep)
    assert (gone.end <= horizon).all()
    assert not any(PLACES[at].priorities for at in gone.place.tolist() if at >= 0)


def joined(one: Slices, other: Slices) -> Slices:
    """The slices of both, by duty and time."""
    table = {
        item.name: np.concatenate([getattr(one, item.name), getattr(other, item.name)])
        for item in fields(one)
    }
    found = replace(one, **table)
    return found.take(np.lexsort((found.start, found.duty)))


def test_of_a_long_shift_little_is_needed() -> None:
    """Of a thousand slices that go from place to place a handful is needed once they are old."""
    own = [Row(10 * at, 10 * at + 10, (ON_PATCH, UNSEEN, 4, 1)[at % 4], 2, 1) for at in range(1000)]
    keep, covered = needed(columns([own]), PLACES, 10_000, PATIENCE)
    assert keep.sum() < 10
    assert len(covered.duty) < 10


# ── News ──────────────────────────────────────────────────────────────────────────────────────────────────

NOON = 1_795_435_200 * SECOND
NAMES = {"N1": "Abbey"}


class Told:
    """One officer's duty as it stands at a time, and what of it is told."""

    def __init__(self) -> None:
        self.duty = Duty("D1", 1, "O1", NOON, NOON + 36_000 * SECOND, ("N1",), name="PC 1")
        self.scopes = KeptScopes()
        self.news = News(15 * SECOND)

    def look(self, now_s: float, on_s: float, *, touched: bool) -> list[ShareEvent]:
        """What is told when of so many seconds so many were on patch, the rest off it."""
        now = NOON + int(now_s * SECOND)
        table: NDArray[np.int64] = np.zeros((1, TOTALS + DOUBT_TOTALS), np.int64)
        table[0, 3:5] = int(on_s * SECOND), int((now_s - on_s) * SECOND)
        ends = columns([[Row(NOON, now + SECOND, ON_PATCH, 2, 1)]])
        found = Standing(
            duties=(self.duty,), table=table, ends=ends, places=PLACES, touched=np.array([touched], np.bool_)
        )
        scopes = self.scopes.of(found.duties, NAMES)
        return self.news.take(scopes.tally(found, now, Policies()))


def test_what_was_told_is_no_news() -> None:
    """All is news at first, and then only what a person sees change."""
    told = Told()
    assert [item.id for item in told.look(3600, 3000, touched=True)] == ["force", "N1", "O1"]
    assert told.look(3601, 3001, touched=True) == []


@pytest.mark.parametrize(
    ("now_s", "on_s", "touched", "news"),
    [
        (3630, 3030, True, True),  # a tenth of a per cent
        (3615, 3015, True, True),
        (3614, 3014, True, False),  # the same, but told 14 s ago
        (3630, 3000, False, False),  # the same, and nothing came: the clock alone
        (3659, 3000, False, False),
        (3660, 3000, False, True),  # a minute
        (3601, 2000, False, True),  # another verdict
        (3659, 2999, False, False),
        (3601, 2000, True, True),
    ],
)
def test_the_clock_alone_is_news_with_every_minute(
    now_s: float, on_s: float, touched: bool, news: bool
) -> None:
    """A tenth of a per cent is news where facts changed, 15 s after the last; a verdict, a minute at once."""
    told = Told()
    told.look(3600, 3000, touched=True)
    assert bool(told.look(now_s, on_s, touched=touched)) is news


def test_what_came_too_soon_after_the_last_news_is_told_later() -> None:
    """A tenth that facts moved 5 s after the figure was told is told 15 s after, though nothing came."""
    told = Told()
    told.look(3600, 3000, touched=True)
    assert told.look(3605, 3005, touched=True) == []
    assert told.look(3614, 3005, touched=False) == []
    [force, *_] = told.look(3616, 3005, touched=False)
    assert force.on_patch_s == 3005.0
    assert told.look(3632, 3005, touched=False) == []


def test_where_nothing_moves_any_more_all_is_told_once() -> None:
    """When time stands still and nothing comes, what was not told to the microsecond is told, once."""
    told = Told()
    told.look(3600, 3000, touched=True)
    assert told.look(3601, 3001, touched=True) == []
    [force, *_] = told.look(3601, 3001, touched=False)
    assert (force.duty_s, force.on_patch_s) == (3601.0, 3001.0)
    assert told.look(3601, 3001, touched=False) == []


def test_scopes_are_made_anew_where_duties_or_names_are_others() -> None:
    """The same duties and names have the same scopes; another revision, or another name, has others."""
    one = Duty("D1", 1, "O1", NOON, None, ("N1",))
    kept = KeptScopes()
    first: Scopes = kept.of([one], NAMES)
    assert kept.of([one], dict(NAMES)) is first
    assert kept.of([one], {"N1": "Abbey East"}) is not first
    assert kept.of([replace(one, revision=2)], {"N1": "Abbey East"}).duties[0].revision == 2


@pytest.mark.parametrize("patch", [None, ("N2",), ()])
def test_what_a_duty_left_is_news(patch: tuple[str, ...] | None) -> None:
    """Where a duty is no longer among a figure's own, its share is news, though the others stay as they were.

    Its officer is signed off, so that no count of officers changes; it is cancelled, or has another patch.
    """
    now = NOON + 3600 * SECOND
    stays, other = (
        Duty(f"D{n}", 1, f"O{n}", NOON, NOON + 36_000 * SECOND, ("N1",), name=f"PC {n}") for n in (1, 2)
    )
    scopes, news = KeptScopes(), News(15 * SECOND)

    def look(at: int, *duties: Duty) -> list[str]:
        table: NDArray[np.int64] = np.zeros((len(duties), TOTALS + DOUBT_TOTALS), np.int64)
        table[0, ON_PATCH], table[0, OFF_PATCH] = 3000 * SECOND, 600 * SECOND
        table[1:, OFF_PATCH] = 36 * SECOND
        rows = [
            [Row(NOON, now + 60 * SECOND, ON_PATCH, 2, 1)],
            [Row(NOON, NOON + 36 * SECOND, OFF_PATCH, 2, 3)],
        ]
        touched = np.array([duty not in (stays, other) for duty in duties], np.bool_)
        ends = columns(rows[: len(duties)])
        found = Standing(duties=duties, table=table, ends=ends, places=PLACES, touched=touched)
        return [item.id for item in news.take(scopes.of(duties, NAMES).tally(found, at, Policies()))]

    assert look(now, stays, other) == ["force", "N1", "O1", "O2"]
    others = [] if patch is None else [replace(other, revision=2, patch=patch)]
    told = look(now + 15 * SECOND, stays, *others)
    assert "N1" in told
    assert ("force" in told) is (patch != ("N2",))
    assert "O1" not in told


@pytest.mark.parametrize("with_patch", [0, 60])
@pytest.mark.parametrize("without", [0, 60])
def test_an_officer_has_one_figure(with_patch: int, without: int) -> None:
    """Of duties with a patch and without, that without is told where only it has time, else that with it."""
    duties = [Duty("D1", 1, "O1", NOON, None, ("N1",)), Duty("D2", 1, "O1", NOON, None)]
    table: NDArray[np.int64] = np.zeros((2, TOTALS + DOUBT_TOTALS), np.int64)
    table[:, OFF_PATCH] = with_patch * SECOND, without * SECOND
    found = Standing(duties=duties, table=table, ends=columns([[], []]), places=PLACES)
    told = News(15 * SECOND).take(Scopes.of(duties, NAMES).tally(found, NOON + 60 * SECOND, Policies()))
    [figure] = [item for item in told if item.scope == "officer"]
    assert (figure.without_share == "no_home_patch") is bool(without and not with_patch)
