"""When a bell rings, and when it is quiet again: the state machine behind alerts."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.live.alerts import (
    FEED_STOPPED,
    FROM_FACTS,
    KINDS,
    LEVELS,
    NOBODY_ON_PATCH,
    PROJECTED_MISS,
    Condition,
    Episode,
    Observation,
    Patience,
    Watch,
    observe,
)
from tests.strategies import many

RAISE, CLEAR = 100, 40
PATIENCE = dict.fromkeys(KINDS, Patience(RAISE, CLEAR))


def condition(kind: str = PROJECTED_MISS, area: str = "A", since: int | None = None) -> Condition:
    """Something that is so."""
    return Condition(kind, "neighbourhood", area, f"{kind} in {area} since {since}", since)


def watched(*seen: Observation) -> list[tuple[Episode, ...]]:
    """The episodes after each observation."""
    watch, found = Watch(), []
    for item in seen:
        watch = observe(watch, item, PATIENCE)
        found.append(watch.episodes)
    return found


def played(told: str, step: int = 10) -> list[tuple[Episode, ...]]:
    """One thing over time, a letter every 10: ``x`` so, ``.`` not so, ``?`` not to be judged."""
    return watched(
        *(
            Observation(
                at * step,
                (condition(),) if letter == "x" else (),
                frozenset({PROJECTED_MISS}) if letter == "?" else frozenset(),
            )
            for at, letter in enumerate(told)
        )
    )


def drawn(found: list[tuple[Episode, ...]]) -> str:
    """What came of it: ``.`` nothing, ``p`` pending, ``R`` open, ``C`` cleared just now."""
    signs = []
    for episodes in found:
        assert len(episodes) <= 1
        signs += ["p" if item.raised is None else "C" if item.cleared else "R" for item in episodes]
        signs += ["."] * (not episodes)
    return "".join(signs)


def test_it_rings_when_it_has_been_so_for_long_enough() -> None:
    """What is so for the whole of the time rings at its end, and not before."""
    assert drawn(played("xxxxxxxxxxxxx")) == "ppppppppppRRR"


def test_what_ends_in_time_never_rings() -> None:
    """What was not so for one moment begins anew."""
    assert drawn(played("xxxxxxxxx.xxxxxxxxx.xx")) == "ppppppppp.ppppppppp.pp"


def test_it_is_over_when_the_contrary_has_held() -> None:
    """An alert clears when it has not been so for the whole of the time, and not before."""
    assert drawn(played("xxxxxxxxxxx.....")) == "ppppppppppRRRRRC"


def test_an_edge_rings_once() -> None:
    """Who goes to and fro over an edge rings one bell, and one only."""
    found = played("xxxxxxxxxxx.x..x...x.x.....")
    assert drawn(found) == "p" * 10 + "R" * 16 + "C"
    assert len({item.alert_id for episodes in found for item in episodes}) == 1


def test_what_cannot_be_judged_stays_as_it_is() -> None:
    """Of a kind that cannot be judged nothing begins, rings or clears."""
    assert drawn(played("???xxxxxxxxxxx????????....x.....")) == "..." + "p" * 10 + "R" * 18 + "C"


def test_facts_tell_since_when() -> None:
    """What the facts say to be so for long enough rings when it is first seen."""
    [episodes] = watched(Observation(1000, (condition(NOBODY_ON_PATCH, since=1000 - RAISE),)))
    assert [(item.raised, item.since) for item in episodes] == [(1000, 1000 - RAISE)]


def test_an_earlier_observation_says_nothing() -> None:
    """An observation that is not later than the last one changes nothing."""
    watch = observe(Watch(), Observation(100, (condition(),)), PATIENCE)
    for time in (100, 99, 0):
        assert observe(watch, Observation(time, ()), PATIENCE) == watch


def test_a_clearing_is_told_once() -> None:
    """An alert that is over is told by the observation that ended it, and by none after it, early or late."""
    watch = Watch()
    for time, seen in (
        (0, (condition(),)),
        (RAISE, (condition(),)),
        (RAISE + 1, ()),
        (RAISE + 1 + CLEAR, ()),
    ):
        watch = observe(watch, Observation(time, seen), PATIENCE)
    assert [item.cleared for item in watch.episodes] == [RAISE + 1 + CLEAR]
    for time in (0, RAISE + 1 + CLEAR, RAISE + 2 + CLEAR):
        assert observe(watch, Observation(time), PATIENCE).episodes == ()


def test_every_kind_has_a_level_and_only_projection_has_no_facts() -> None:
    """Every kind asks for something, and only of a projection no fact tells when it began."""
    assert set(LEVELS) == set(KINDS)
    assert set(KINDS) - FROM_FACTS == {PROJECTED_MISS}
    assert FEED_STOPPED in FROM_FACTS


@pytest.mark.parametrize("kind", [NOBODY_ON_PATCH, PROJECTED_MISS])
def test_the_words_of_a_ringing_alert_follow_the_facts(kind: str) -> None:
    """While it rings, an alert says what was last seen; once it is over or quiet, what was last so."""
    since = 0 if kind in FROM_FACTS else None
    told = ["1 officer", "2 officers", "3 officers", None, "4 officers", None, None]
    found = watched(
        *(
            Observation(
                at * RAISE, () if text is None else (replace(condition(kind, "A", since), text=text),)
            )
            for at, text in enumerate(told)
        )
    )
    assert [item.text for [item] in found[:-1]] == [
        *("1 officer", "2 officers", "3 officers", "3 officers", "4 officers", "4 officers")
    ]
    assert found[1][0].raised == RAISE


def test_an_episode_keeps_its_words_while_a_later_one_is_seen() -> None:
    """What came back too early, with a beginning of its own, leaves the alert's words as they were."""
    first = replace(condition(NOBODY_ON_PATCH, since=0), text="since 0")
    again = replace(first, since=230, text="since 230")
    seen = [Observation(200, (first,)), Observation(210), Observation(240, (again,))]
    assert [(item.text, item.since) for [item] in watched(*seen)] == [("since 0", 0)] * 3


# ── Properties ────────────────────────────────────────────────────────────────────────────────────────────

THINGS = [(kind, area) for kind in (NOBODY_ON_PATCH, PROJECTED_MISS) for area in ("A", "B")]
UNKNOWN = (frozenset[str](), frozenset({NOBODY_ON_PATCH}), frozenset({PROJECTED_MISS}))


@st.composite
def observations(draw: st.DrawFn) -> list[Observation]:
    """Observations of a few things, some with facts that tell since when, mostly in order."""
    drawn = draw(
        st.lists(
            st.tuples(
                st.integers(-5, 40),
                st.integers(0, 2 ** len(THINGS) - 1),
                st.integers(-5, 200),
                st.integers(0, 9),
            ),
            max_size=40,
        )
    )
    found, time = [], 0
    for later, which, age, unknown in drawn:
        time += later
        seen = tuple(
            condition(kind, area, time - age if kind == NOBODY_ON_PATCH else None)
            for at, (kind, area) in enumerate(THINGS)
            if which >> at & 1
        )
        found.append(Observation(time, seen, UNKNOWN[unknown] if unknown < len(UNKNOWN) else frozenset()))
    return found


def histories(seen: list[Observation]) -> list[tuple[Watch, Observation, Watch]]:
    """Each step: before, what was seen, after."""
    watch, steps = Watch(), []
    for item in seen:
        after = observe(watch, item, PATIENCE)
        steps.append((watch, item, after))
        watch = after
    return steps


@many(150)
@given(observations())
def test_no_bell_rings_twice_within_the_time_of_its_clearing(seen: list[Observation]) -> None:
    """Two rings of one thing are as far apart as the contrary must hold, with a clearing between."""
    rings: dict[object, list[Episode]] = {}
    for _, _, after in histories(seen):
        for item in after.episodes:
            if item.raised is not None:
                rings.setdefault(item.key, []).append(item)
    for episodes in rings.values():
        by_id: dict[str, list[Episode]] = {}
        for item in episodes:
            by_id.setdefault(item.alert_id, []).append(item)
        ordered = sorted(by_id.values(), key=lambda items: items[0].raised or 0)
        for one, other in pairwise(ordered):
            cleared = one[-1].cleared
            assert cleared is not None
            first, second = one[0].raised, other[0].raised
            assert first is not None
            assert second is not None
            assert second >= cleared
            assert second - first >= CLEAR


@many(150)
@given(observations())
def test_an_episode_has_one_identity_and_one_ring(seen: list[Observation]) -> None:
    """An episode keeps its id, its key, its level and its ring to its end, and two never share an id."""
    known: dict[str, Episode] = {}
    for _, _, after in histories(seen):
        assert len({item.key for item in after.episodes}) == len(after.episodes)
        for item in after.episodes:
            before = known.get(item.alert_id)
            if before is not None:
                assert before.key == item.key
                assert before.level == item.level
                assert before.cleared is None or after.observed == before.cleared
                assert before.raised in (None, item.raised)
            known[item.alert_id] = item


@many(150)
@given(observations())
def test_what_is_so_is_said_as_it_is(seen: list[Observation]) -> None:
    """What is so and judged is said in the words just seen, but for what has begun anew since it rang."""
    for before, item, after in histories(seen):
        if after.observed != item.time or before.observed == item.time:
            continue
        told = {episode.key: episode for episode in after.episodes}
        was = {episode.key: episode for episode in before.episodes if episode.cleared is None}
        for now in item.conditions:
            old = was.get(now.key)
            if now.kind in item.unknown:
                assert told.get(now.key) == old
                continue
            rung = old is not None and old.raised is not None
            later = old is not None and now.since is not None and now.since > old.since
            assert told[now.key].text == (old.text if old is not None and rung and later else now.text)
            assert told[now.key].quiet_since is None


@many(150)
@given(observations())
def test_what_is_never_so_again_clears(seen: list[Observation]) -> None:
    """When nothing is so any more, every open alert clears in its time, and nothing is left."""
    watch = Watch()
    for item in seen:
        watch = observe(watch, item, PATIENCE)
    time = (watch.observed or 0) + 1
    rung = {item.alert_id for item in watch.episodes if item.raised is not None and item.cleared is None}
    watch = observe(watch, Observation(time), PATIENCE)
    assert all(item.raised is not None for item in watch.episodes)
    watch = observe(watch, Observation(time + CLEAR), PATIENCE)
    cleared = {item.alert_id for item in watch.episodes if item.cleared is not None}
    assert cleared <= rung
    assert all(item.cleared is not None for item in watch.episodes)
    assert observe(watch, Observation(time + CLEAR + 1), PATIENCE).episodes == ()


@many(150)
@given(observations())
def test_time_goes_one_way(seen: list[Observation]) -> None:
    """Observations out of order may as well not have been made."""
    watch, latest = Watch(), None
    in_order = []
    for item in seen:
        if latest is None or item.time > latest:
            in_order.append(item)
            latest = item.time
    for item in seen:
        watch = observe(watch, item, PATIENCE)
    expected = Watch()
    for item in in_order:
        expected = observe(expected, item, PATIENCE)
    open_ = [
        replace(watch, episodes=tuple(i for i in w.episodes if i.cleared is None)) for w in (watch, expected)
    ]
    assert open_[0] == open_[1]


@many(150)
@given(observations())
def test_a_ring_has_its_reason(seen: list[Observation]) -> None:
    """An alert rings only while it is so, and when it has been so for long enough by what was said of it."""
    for before, item, after in histories(seen):
        was = {episode.alert_id: episode for episode in before.episodes}
        holds = {condition.key for condition in item.conditions}
        for episode in after.episodes:
            old = was.get(episode.alert_id)
            if (
                episode.raised == item.time
                and (old is None or old.raised is None)
                and after.observed == item.time
            ):
                assert episode.key in holds
                assert item.time - episode.since >= RAISE
            if episode.cleared is not None:
                assert episode.key not in holds
                assert episode.quiet_since is not None
                assert episode.cleared - episode.quiet_since >= CLEAR
