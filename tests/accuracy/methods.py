"""The methods compared: each turns a device's fixes into when it was known to be where.

Every one gets the same fixes and the same polygons; ``README.md`` says what each does with gaps and jumps.
What an officer's states, breaks and devices make of it is the same for all and comes in ``overlay``.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import shapely

from geo.matching.history import UNKNOWN, AreaHistory
from stream.core.policy import BEGINNING, Policies
from stream.core.stays import stays
from tests.accuracy.spans import spans

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from tests.accuracy.spans import Spans
    from tests.accuracy.world import Key, Track, World

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it tells of smoothers that nobody asks for
    import geopandas
    import movingpandas
    import pymeos

_PIECE = 30  # legs
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, eq=False)
class Presence:
    """Where a device was, by one method.

    Attributes:
        known: when the method claims to know where it was.
        inside: when it was in each polygon; one that is not named it never was in.
    """

    known: Spans
    inside: dict[Key, Spans]


@dataclass(frozen=True, slots=True)
class Method:
    """A way of counting.

    Attributes:
        name: for the table of results.
        label: for people.
        run: gives the presence of each device.
    """

    name: str
    label: str
    run: Callable[[World], dict[str, Presence]]


def ours(world: World) -> dict[str, Presence]:
    """(a) This project: jumps ignored, legs of at most 300 s, parked devices, unknown where nobody knows."""
    history = AreaHistory([(BEGINNING, world.simulation.force)])
    found = stays(world.fixes, history, Policies())
    bounds = np.searchsorted(found.device, np.arange(len(world.fixes.device_ids) + 1))
    visible = [place.premises is None for place in history.places]
    numbers: dict[Key, NDArray[np.int64]] = {}
    for key in world.polygons:
        numbers[key] = np.array(
            [
                number
                for number, place in enumerate(history.places)
                if visible[number]
                and (key[1] in place.priorities if key[0] == "area" else place.neighbourhood in key[1:])
            ],
            np.int64,
        )

    def presence(number: int, wanted: dict[Key, shapely.Geometry]) -> Presence:
        rows = slice(bounds[number], bounds[number + 1])
        when = np.column_stack((found.start[rows], found.end[rows]))
        place = found.place[rows]
        inside = {key: spans(when[np.isin(place, numbers[key])]) for key in wanted}
        return Presence(spans(when[place != UNKNOWN]), inside)

    device = {name: number for number, name in enumerate(world.fixes.device_ids)}
    return {track.device_id: presence(device[track.device_id], track.wanted) for track in world.tracks()}


def counted_pings(world: World) -> dict[str, Presence]:
    """(b) Pings times interval: each fix stands for the interval after it, no more and no less.

    Two fixes half an interval late still follow each other without a gap, as they do where one counts.
    """

    def presence(track: Track) -> Presence:
        after = np.append(track.time[1:], track.time[-1] + world.interval)
        follows = after - track.time <= 1.5 * world.interval
        when = np.column_stack((track.time, np.where(follows, after, track.time + world.interval)))
        return Presence(spans(when), {key: spans(when[where]) for key, where in _located(track)})

    return {track.device_id: presence(track) for track in world.tracks()}


def paired_events(world: World) -> dict[str, Presence]:
    """(c) Enter and exit events paired, as Traccar's geofence report does.

    A fix inside after one that was not is an entry at its own time, the next one outside is the exit at its
    own; the first fix counts as an entry where it is inside, and what is never left is never reported.
    """

    def presence(track: Track) -> Presence:
        inside = {}
        for key, where in _located(track):
            turns = np.flatnonzero(np.diff(where.astype(np.int8), prepend=np.int8(0)))
            turns = turns[: len(turns) // 2 * 2]
            inside[key] = spans(track.time[turns].reshape(-1, 2))
        return Presence(_whole(track), inside)

    return {track.device_id: presence(track) for track in world.tracks()}


def clipped(world: World) -> dict[str, Presence]:
    """(d) MovingPandas: the trajectory clipped by the polygon."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pandas, about how it is used by MovingPandas
        return {track.device_id: Presence(_whole(track), dict(_clips(track))) for track in world.tracks()}


def interpolated(world: World) -> dict[str, Presence]:
    """(e) MEOS: the trajectory as a linear temporal point, restricted to the polygon (atGeometry)."""
    pymeos.pymeos_initialize()
    return {track.device_id: Presence(_whole(track), dict(_restricted(track))) for track in world.tracks()}


OURS: Final = "ours"
METHODS: Final = (
    Method(OURS, "this project", ours),
    Method("pings", "pings × interval", counted_pings),
    Method("events", "enter and exit events (Traccar)", paired_events),
    Method("movingpandas", "MovingPandas clip", clipped),
    Method("meos", "MEOS atGeometry", interpolated),
)


def _whole(track: Track) -> Spans:
    return spans([(int(track.time[0]), int(track.time[-1]))])


def _located(track: Track) -> Iterator[tuple[Key, NDArray[np.bool_]]]:
    for key, shape in track.wanted.items():
        yield key, np.asarray(shapely.intersects_xy(shape, *track.metres.T))


def _crossed(track: Track) -> Iterator[tuple[Key, shapely.Geometry]]:
    """The polygons that the track meets: others are not worth the asking."""
    line = shapely.linestrings(track.metres) if len(track.time) > 1 else shapely.Point()
    for key, shape in track.wanted.items():
        if shapely.intersects(shape, line):
            yield key, shape


def _clips(track: Track) -> Iterator[tuple[Key, Spans]]:
    """The clip asked piece by piece, because it copies the whole trajectory for every time that it is inside.

    A piece that lies wholly inside is not asked: it is inside from its first fix to its last.
    """
    # Nanoseconds and metres: in degrees, or with coarser times, the product of a short leg's duration and
    # length that the clip is made with runs out of digits.
    time = pd.DatetimeIndex(track.time.astype("datetime64[us]").astype("datetime64[ns]"))
    points = shapely.points(track.metres)
    first = np.arange(0, max(len(time) - 1, 0), _PIECE)
    last = np.minimum(first + _PIECE, len(time) - 1)
    ends = list(zip(first.tolist(), last.tolist(), strict=True))
    lines = np.array([shapely.linestrings(track.metres[a : b + 1]) for a, b in ends], object)
    known: dict[tuple[int, int], Any] = {}

    def clip(start: int, end: int, shape: shapely.Geometry) -> list[Any]:
        if (start, end) not in known:
            frame = {"device": track.device_id}
            rows = slice(start, end + 1)
            known[start, end] = movingpandas.Trajectory(
                geopandas.GeoDataFrame(frame, index=time[rows], geometry=points[rows], crs=27700), start
            )
        try:
            return list(known[start, end].clip(shape).trajectories)
        except AttributeError:
            # It breaks off where a leg only touches the polygon. Then its legs are asked one by one, and the
            # one that touches spends no time inside.
            if end - start <= 1:
                return []
            return [found for at in range(start, end) for found in clip(at, at + 1, shape)]

    for key, shape in track.wanted.items():
        whole = shapely.contains_properly(shape, lines)
        found = [(int(track.time[first[at]]), int(track.time[last[at]])) for at in np.flatnonzero(whole)]
        for piece in np.flatnonzero(~whole & shapely.intersects(shape, lines)).tolist():
            found += [
                (each.df.index[0].value // 1000, each.df.index[-1].value // 1000)
                for each in clip(*ends[piece], shape)
            ]
        if found:
            yield key, spans(found)


def _restricted(track: Track) -> Iterator[tuple[Key, Spans]]:
    sequence: Any = None
    for key, shape in _crossed(track):
        if sequence is None:
            when = np.datetime_as_string(track.time.astype("datetime64[us]"), unit="us").tolist()
            points = zip(track.metres.tolist(), when, strict=True)
            text = ",".join(f"POINT({x!r} {y!r})@{time}+00" for (x, y), time in points)
            sequence = pymeos.TGeomPointSeq(f"[{text}]")
        part = sequence.at(shape)
        # A touch is an instant, or a set of them: no time.
        periods = part.time() if part is not None else None
        found = periods.spans() if isinstance(periods, pymeos.TsTzSpanSet) else []
        yield key, spans([(_us(period.lower()), _us(period.upper())) for period in found])


def _us(time: datetime) -> int:
    return (time - _EPOCH) // _MICROSECOND
