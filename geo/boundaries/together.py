"""What is checked of all areas together: overlaps, gaps, the outline, the published version."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely

from geo.areas import AreaSet, Kind
from geo.boundaries.crs import (
    BNG,
    REVERSED,
    area_m2,
    centre_of,
    metric,
)
from geo.boundaries.each_area import spot_of
from geo.boundaries.findings import ERROR, NOTE, WARNING, Findings, UnusableFileError, area_words

SLIVER_M = 1.0
"""Overlaps and gaps between neighbourhoods nowhere wider than this come from drawing, not from meaning."""

OUTLINE_SLIVER_M = 25.0
"""The same against the force's outline, which others have drawn and simplified."""

_IGNORED_M2 = 0.01  # below this, two lines are one line in numbers of 64 bits
MOST_OVERLAPS = 500
"""More overlaps than this mean one thing: the file holds several layers of areas on top of each other."""

_MOST_PAIRS = 1_000_000  # areas that touch each other; a hundred thousand wards have a third of that
_ROWS_AT_ONCE, _PAIRS_AT_ONCE = 64, 1_000


def against_each_other(areas: AreaSet, kind: Kind, found: Findings) -> None:
    """Overlaps, and for neighbourhoods the gaps between them."""
    if len(areas) < 2:
        if len(areas) and kind is Kind.NEIGHBOURHOOD:
            _gaps(areas, found)
        return
    tree = shapely.STRtree(areas.geometry)
    wholes, overlaps, pairs = area_m2(areas.geometry), Findings(), 0
    for at in range(0, len(areas), _ROWS_AT_ONCE):
        one, other = tree.query(areas.geometry[at : at + _ROWS_AT_ONCE], predicate="intersects")
        # By id, so that the pairs and the winner come in order.
        one, other = (one + at)[one + at < other], other[one + at < other]
        pairs += len(one)
        for low in range(0, len(one), _PAIRS_AT_ONCE):
            some, others = one[low : low + _PAIRS_AT_ONCE], other[low : low + _PAIRS_AT_ONCE]
            shared = shapely.intersection(areas.geometry[some], areas.geometry[others])
            sizes = area_m2(shared).tolist()
            for a, b, piece, size in zip(some.tolist(), others.tolist(), shared, sizes, strict=True):
                if size > _IGNORED_M2:
                    whole = (size, float(wholes[a]), float(wholes[b]))
                    _overlap(areas, kind, (a, b), piece, whole, found=overlaps)
            if len(overlaps) > MOST_OVERLAPS or pairs > _MOST_PAIRS:
                raise UnusableFileError(
                    "heaped",
                    f"more than {MOST_OVERLAPS} overlaps between areas of kind {kind}: the file holds "
                    "several layers of areas on top of each other; export only one of them",
                )
    found.extend(overlaps)
    if kind is Kind.NEIGHBOURHOOD:
        _gaps(areas, found)


def _overlap(
    areas: AreaSet,
    kind: Kind,
    pair: tuple[int, int],
    piece: Any,
    sizes: tuple[float, float, float],
    *,
    found: Findings,
) -> None:
    a, b = (areas.area_id[at] for at in pair)
    size, whole_a, whole_b = sizes
    loses = kind is not Kind.PRIORITY  # priority areas may overlap anything (rule 5)
    done = f"ground in both counts for {a}, the smaller id" if loses else "visits count in both"
    who, piece = (kind, a), _polygons(piece)
    more = {"place": piece, "size_m2": size}
    if size > 0.999 * max(whole_a, whole_b):
        text = f"{kind} {a} and {b} have the same shape"
        found.add("same-shape", text, done, who, **more, severity=None if loses else WARNING)
    elif size > 0.999 * min(whole_a, whole_b):
        inner, outer = (a, b) if whole_a < whole_b else (b, a)
        text = f"{kind} {inner} lies inside {outer}"
        severity = ERROR if kind is Kind.NEIGHBOURHOOD else NOTE if kind is Kind.PRIORITY else None
        found.add("one-inside-other", text, done, (kind, inner), **more, severity=severity)
    elif kind is not Kind.PRIORITY:
        thin = _is_sliver(piece, SLIVER_M)
        text = f"{kind} {a} and {b} overlap by {area_words(size)}" + (", a sliver" if thin else "")
        code = "overlap-hairline" if thin else "overlap"
        severity = WARNING if kind is Kind.PREMISES else None
        found.add(code, text, done, who, **more, severity=severity)


def _polygons(shape: Any) -> Any:
    parts = [part for part in shapely.get_parts(shapely.get_parts([shape])) if part.geom_type == "Polygon"]
    return shapely.MultiPolygon(parts) if len(parts) > 1 else parts[0] if parts else shape


def _is_sliver(shape: Any, width_m: float) -> bool:
    """Whether a shape is nowhere wider than a number of metres."""
    flat = metric(np.array([shape], dtype=object), centre_of(np.array([shape], dtype=object)))
    return bool(shapely.is_empty(shapely.buffer(flat[0], -width_m / 2)))


def _gaps(areas: AreaSet, found: Findings) -> None:
    """Gaps enclosed by neighbourhoods that belong to none of them."""
    whole = shapely.union_all(areas.geometry)
    tree = shapely.STRtree(areas.geometry)
    for part in shapely.get_parts(whole):
        for ring in part.interiors:
            hole = shapely.difference(shapely.Polygon(ring), whole)  # there may be islands in it
            size = float(area_m2(hole)[0])
            if size <= _IGNORED_M2:
                continue
            beside = [areas.area_id[at] for at in sorted(tree.query(hole, predicate="intersects").tolist())]
            thin = _is_sliver(hole, SLIVER_M)
            listed = " and ".join(beside[:3]) + (f" and {len(beside) - 3} more" if len(beside) > 3 else "")
            where = (
                f"between neighbourhoods {listed}" if len(beside) > 1 else f"inside neighbourhood {listed}"
            )
            text = f"{'a sliver' if thin else 'a gap'} of {area_words(size)} {where}"
            found.add(
                "gap-hairline" if thin else "gap",
                text,
                "time there counts as outside the force",
                (Kind.NEIGHBOURHOOD, beside[0] if beside else None),
                place=hole,
                size_m2=size,
            )


def against_outline(areas: AreaSet, outline: Any, found: Findings) -> None:
    """The parts of the force's area that no area covers, and the parts of the areas outside it."""
    if outline is None:
        return
    outside = shapely.difference(areas.geometry, outline)
    wholes, sizes = area_m2(areas.geometry), area_m2(outside)
    edge = 0.0
    for at, (kind, area_id) in enumerate(zip(areas.kind, areas.area_id, strict=True)):
        if sizes[at] <= _IGNORED_M2:
            continue
        parts = shapely.get_parts(outside[at])
        wide = [part for part in parts if not _is_sliver(part, OUTLINE_SLIVER_M)]
        size, who = float(area_m2(np.array(wide, dtype=object)).sum()) if wide else 0.0, (kind, area_id)
        edge += float(sizes[at]) - size
        if size >= 0.99 * wholes[at]:
            text = f"{kind} {area_id} lies outside the force"
            done = "officers of this force would not be counted there"
            found.add("outside-force", text, done, who, place=areas.geometry[at], size_m2=size)
        elif wide:
            text = f"{kind} {area_id} reaches {area_words(size)} outside the force"
            place = _polygons(shapely.MultiPolygon(wide))
            found.add("partly-outside-force", text, "kept", who, place=place, size_m2=size)
    if edge > _IGNORED_M2:
        found.add(
            "outside-force-hairline",
            f"edges run beside the force's outline, {area_words(edge)} in all outside it",
            "kept; nowhere more than a few metres",
            size_m2=edge,
        )
    if Kind.NEIGHBOURHOOD in areas.kind:
        whole = shapely.union_all(areas.only(Kind.NEIGHBOURHOOD).geometry)
        # Gaps between neighbourhoods already have their findings.
        filled = shapely.union_all([shapely.Polygon(part.exterior) for part in shapely.get_parts(whole)])
        left = shapely.difference(outline, filled)
        for part in shapely.get_parts(left):
            size = float(area_m2(part)[0])
            if size > _IGNORED_M2 and not _is_sliver(part, OUTLINE_SLIVER_M):
                text = f"{area_words(size)} of the force belong to no neighbourhood"
                done = "time there counts as outside"
                found.add("force-uncovered", text, done, place=part, size_m2=size)


def mostly_abroad(areas: AreaSet, found: Findings) -> None:
    """One error in place of a warning an area, where most of the file lies outside Great Britain."""
    away = [finding for finding in found if finding.code == "outside-britain"]
    if 2 * len(away) <= len(areas):
        return
    found[:] = [finding for finding in found if finding.code != "outside-britain"]
    spot = next((finding.place for finding in away if finding.place is not None), None)
    where = "" if spot is None else f", the first at latitude {spot.y:.4f}, longitude {spot.x:.4f}"
    found.add(
        "abroad",
        f"{len(away):,} of {len(areas):,} areas lie outside Great Britain{where}",
        "the coordinate system is probably wrong: name the right one with --crs, or accept this for a "
        "force abroad",
        place=spot,
    )


def far_from_published(areas: AreaSet, against: AreaSet | None, found: Findings) -> None:
    """An error where a file lies nowhere near the published neighbourhoods."""
    homes = None if against is None else against.only(Kind.NEIGHBOURHOOD)
    if homes is None or not len(homes) or (Kind.NEIGHBOURHOOD not in areas.kind and len(areas) < 2):
        return
    if any(finding.code == "abroad" for finding in found):
        return
    if shapely.intersects(areas.geometry, shapely.box(*shapely.total_bounds(homes.geometry))).any():
        return
    here, there = spot_of(areas.geometry[0]), spot_of(homes.geometry[0])
    found.add(
        "far-from-published",
        f"nothing in the file lies where the neighbourhoods published lie: it is at latitude "
        f"{here.y:.4f}, longitude {here.x:.4f}, they are at {there.y:.4f}, {there.x:.4f}",
        f"perhaps northing comes before easting: try --crs {BNG}{REVERSED}; or accept this if the "
        "force has moved",
        place=here,
    )


def against_published(areas: AreaSet, against: AreaSet | None, found: Findings) -> None:
    """Priority areas and premises that no neighbourhood holds."""
    sets = [each.only(Kind.NEIGHBOURHOOD) for each in (areas, against) if each is not None]
    homes = next((each for each in sets if len(each)), None)
    if homes is None:
        return
    shapely.prepare(whole := shapely.union_all(homes.geometry))
    for kind, area_id, shape in zip(areas.kind, areas.area_id, areas.geometry, strict=True):
        if kind is not Kind.NEIGHBOURHOOD and not shapely.intersects(whole, shape):
            found.add(
                "no-neighbourhood",
                f"{kind} {area_id} lies in no neighbourhood",
                "kept; it is on nobody's patch",
                (kind, area_id),
                place=shape,
            )
