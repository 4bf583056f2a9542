"""The kinds of alerts, when an alert is raised, and when it clears: a small state machine.

Values in, values out; no Kafka, no database, no clock. An *observation* lists the conditions that hold at a
time; an *episode* begins when a condition is first seen, is raised when it has held for long enough, and is
over when it has not held for long enough. So a condition that flickers raises one alert. One episode has one
``alert_id``, from being raised to clearing, whatever people do meanwhile.

A new kind needs its name and level here, its condition in ``conditions``, and how long it must hold in
``stream.settings`` and ``stream.pipeline.watcher``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

NOBODY_ON_PATCH = "nobody_on_patch"
PROJECTED_MISS = "projected_miss"
PRIORITY_UNVISITED = "priority_unvisited"
OFF_PATCH_LONG = "off_patch_long"
TRACKER_SILENT = "tracker_silent"
FEED_STOPPED = "feed_stopped"
KINDS = (NOBODY_ON_PATCH, PROJECTED_MISS, PRIORITY_UNVISITED, OFF_PATCH_LONG, TRACKER_SILENT, FEED_STOPPED)

ACT, LOOK = "act", "look"
"""How urgent an alert is: somebody has to act, or somebody should look."""

LEVELS: Mapping[str, str] = {
    NOBODY_ON_PATCH: ACT,
    PROJECTED_MISS: LOOK,
    PRIORITY_UNVISITED: LOOK,
    OFF_PATCH_LONG: LOOK,
    TRACKER_SILENT: LOOK,
    FEED_STOPPED: ACT,
}

FROM_FACTS = frozenset(KINDS) - {PROJECTED_MISS}
"""Kinds whose beginning follows from the facts: what has not been raised need not be remembered."""

Key: TypeAlias = tuple[str, str, str]
"""Kind, scope and id."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a condition must hold before it is raised, and be gone before it clears; microseconds."""

    raise_after: int
    clear_after: int


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition that holds.

    Attributes:
        kind: one of ``KINDS``.
        scope: ``force``, ``neighbourhood``, ``priority`` or ``officer``.
        id: of that.
        text: in plain words, for people.
        since: since when it has held, microseconds, as far as the facts tell; None where they do not.
    """

    kind: str
    scope: str
    id: str
    text: str
    since: int | None = None

    @property
    def key(self) -> Key:
        """What it is about."""
        return self.kind, self.scope, self.id


@dataclass(frozen=True, slots=True)
class Episode:
    """One period in which a condition held; times in microseconds.

    Attributes:
        alert_id: its identity.
        kind, scope, id, level, text: see ``Condition``; the text is the last one.
        since: when it began.
        raised: when it was raised; None while it has not held for long enough.
        quiet_since: since when it has no longer held; None while it holds.
        cleared: when it was over.
    """

    alert_id: str
    kind: str
    scope: str
    id: str
    level: str
    text: str
    since: int
    raised: int | None = None
    quiet_since: int | None = None
    cleared: int | None = None

    @property
    def key(self) -> Key:
        """What it is about."""
        return self.kind, self.scope, self.id


@dataclass(frozen=True, slots=True)
class Watch:
    """What is being watched.

    Attributes:
        observed: the time of the last observation, microseconds; None before the first.
        episodes: those that are open, at most one a key, and those that this very observation cleared.
    """

    observed: int | None = None
    episodes: tuple[Episode, ...] = ()


@dataclass(frozen=True, slots=True)
class Observation:
    """The conditions that hold at a time (microseconds); any other does not hold.

    Attributes:
        unknown: kinds that could not be judged now: of these nothing begins and nothing ends.
    """

    time: int
    conditions: tuple[Condition, ...] = ()
    unknown: frozenset[str] = field(default_factory=frozenset)


def observe(watch: Watch, seen: Observation, patience: Mapping[str, Patience]) -> Watch:
    """The episodes after an observation.

    An observation that is not later than the last one is ignored.

    Args:
        watch: what was watched.
        seen: what is so now.
        patience: by kind.
    """
    if watch.observed is not None and seen.time <= watch.observed:
        return replace(watch, episodes=tuple(item for item in watch.episodes if item.cleared is None))
    holds = {item.key: item for item in seen.conditions}
    after: dict[Key, Episode] = {}
    for item in watch.episodes:
        if item.cleared is not None:
            continue
        if item.kind in seen.unknown:
            after[item.key] = item
        elif (condition := holds.get(item.key)) is not None:
            after[item.key] = _goes_on(item, condition, seen.time, patience[item.kind])
        elif item.raised is not None:
            after[item.key] = _quiet(item, seen.time, patience[item.kind])
    for key, condition in holds.items():
        if key not in after and condition.kind not in seen.unknown:
            after[key] = _begins(condition, seen.time, patience[condition.kind])
    return Watch(seen.time, tuple(after[key] for key in sorted(after)))


def _begins(seen: Condition, now: int, patience: Patience) -> Episode:
    since = now if seen.since is None else min(seen.since, now)
    # The instant of seeing, not that of beginning: facts that come late may move the latter.
    name = hashlib.sha256("\0".join((*seen.key, str(now))).encode()).hexdigest()[:16]
    item = Episode(name, *seen.key, LEVELS[seen.kind], seen.text, since)
    return _goes_on(item, seen, now, patience)


def _goes_on(item: Episode, seen: Condition, now: int, patience: Patience) -> Episode:
    if item.raised is not None:
        # If it went and came back before it was over, its text keeps its own beginning.
        later = seen.since is not None and seen.since > item.since
        return replace(item, text=item.text if later else seen.text, quiet_since=None)
    since = item.since if seen.since is None else min(seen.since, now)
    raised = now if now - since >= patience.raise_after else None
    return replace(item, text=seen.text, since=since, raised=raised)


def _quiet(item: Episode, now: int, patience: Patience) -> Episode:
    since = now if item.quiet_since is None else item.quiet_since
    return replace(item, quiet_since=since, cleared=now if now - since >= patience.clear_after else None)
