"""Findings and differences as pages: one HTML file with a map each, no script, no request; it can be mailed.

Degrees become a drawing true to scale, north up. Findings are drawn over the areas of their file; the ground
that changed hands over the newer areas, each flow as one shape with its own title. A table lists the same.
"""

from __future__ import annotations

import html
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import shapely

from geo.boundaries.findings import Checked, counted, counts_words, has_place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from geo.areas import AreaSet, Kind
    from geo.boundaries.diffs import Diff

_STYLE = """
body{font:16px/1.45 system-ui,sans-serif;margin:1.5rem auto;max-width:75rem;padding:0 1rem;color:#14213d}
h1{overflow-wrap:anywhere}table{border-collapse:collapse}
td,th{text-align:left;vertical-align:top;border-top:1px solid #c9d1d9}
svg{background:#f4f6f8;border:1px solid #c9d1d9}path,circle{vector-effect:non-scaling-stroke}
.area{fill:#fff;stroke:#5b6b7b;stroke-width:1}
"""

_FINDINGS_STYLE = """
h1{font-size:1.6rem}svg.whole{width:100%;height:auto;max-height:55vh}svg.near{width:11rem;height:11rem}
.error{fill:#d0021b55;stroke:#d0021b;stroke-width:2}
.warning{fill:#e0860055;stroke:#b86a00;stroke-width:2}.note{fill:#1f6fb255;stroke:#1f6fb2;stroke-width:2}
td,th{padding:.5rem}table{width:100%}@media(max-width:40rem){thead{display:none}
td{display:block;border:0;padding:.15rem 0}tr{display:block;border-top:1px solid #c9d1d9;padding:.5rem 0}}
.tag{color:#fff;border-radius:.2rem;padding:.1rem .4rem}
.tag.error{background:#b00117}.tag.warning{background:#8f5200}.tag.note{background:#1b5e96}
"""

_DIFF_STYLE = """
svg{width:100%;height:auto}path{fill-rule:evenodd}
.was{fill:none;stroke:#9a5b00;stroke-width:1;stroke-dasharray:4 3}
.flow{fill:#1f6fb277;stroke:#1b5e96;stroke-width:2}.won{fill:#2e8b5777;stroke:#1d6b40;stroke-width:2}
.lost{fill:#d0021b55;stroke:#b00117;stroke-width:2;stroke-dasharray:6 3}
td,th{padding:.35rem .7rem .35rem 0}
table{margin:1rem 0}td.n{text-align:right;font-variant-numeric:tabular-nums}
.key{display:inline-block;width:1em;height:1em;margin:0 .3em 0 1em;vertical-align:-.15em;border:2px solid}
.key.flow{background:#1f6fb277;border-color:#1b5e96}.key.won{background:#2e8b5777;border-color:#1d6b40}
.key.lost{background:#d0021b55;border:2px dashed #b00117}
"""

WIDTH = 1_000.0
"""The longer side of a drawing, in its own units."""


@dataclass(frozen=True, slots=True)
class MapFrame:
    """Where a drawing lies and how degrees become its units.

    Attributes:
        west: the left edge, degrees.
        north: the upper edge, degrees.
        x: units in a degree of longitude.
        y: units in a degree of latitude.
        view: the ``viewBox``, with a margin.
    """

    west: float
    north: float
    x: float
    y: float
    view: str

    @classmethod
    def around(cls, shapes: Sequence[Any]) -> Self:
        """A frame that holds all shapes (WGS84 degrees); one degree square where there are none."""
        bounds = shapely.total_bounds(np.array(shapes, dtype=object)) if shapes else np.full(4, np.nan)
        west, south, east, north = (float(value) for value in bounds)
        if not math.isfinite(west):
            west, south, east, north = 0.0, 0.0, 1.0, 1.0
        squeeze = max(0.01, math.cos(math.radians((south + north) / 2)))
        scale = WIDTH / max((east - west) * squeeze, north - south, 1e-6)
        x, y = scale * squeeze, scale
        width, height = max(1.0, (east - west) * x), max(1.0, (north - south) * y)
        return cls(west, north, x, y, f"-10 -10 {width + 20:.1f} {height + 20:.1f}")

    def xy(self, shape: Any) -> NDArray[np.float64]:
        """Vertices of a shape in the drawing's units: ``float64[n, 2]``."""
        moved = shapely.get_coordinates(shape) - (self.west, self.north)
        return np.asarray(moved * (self.x, -self.y), dtype=np.float64)

    def path(self, shape: Any) -> str:
        """The ``d`` of a ``path``: the rings of a shape's polygons and its lines; nothing for points."""
        steps = []
        for part in shapely.get_parts(shapely.get_parts([shape])):
            rings = shapely.get_rings(part) if part.geom_type == "Polygon" else [part]
            steps += [
                "M"
                + "L".join(f"{x:.3f} {y:.3f}" for x, y in self.xy(ring))
                + ("Z" if ring.geom_type == "LinearRing" else "")
                for ring in rings
                if ring.geom_type in ("LineString", "LinearRing")
            ]
        return "".join(steps)

    def spots(self, shape: Any, radius: float, style: str, *, seen: float = 0.0) -> str:
        """Dots for points; a ring around any other shape that is smaller than what can be seen."""
        points = [part for part in shapely.get_parts(shapely.get_parts([shape])) if part.geom_type == "Point"]
        if points:
            centres = self.xy(shapely.MultiPoint(points))
        else:
            xy = self.xy(shape)
            centres = (xy.min(axis=0) + xy.max(axis=0))[np.newaxis] / 2
            if float(np.ptp(xy, axis=0).max()) >= seen:
                return ""
        return "".join(
            f'<circle class="{style}" cx="{x:.2f}" cy="{y:.2f}" r="{radius:.2f}"/>' for x, y in centres
        )

    def near(self, shape: Any) -> tuple[str, float]:
        """A square view of a shape with some ground around it, and how wide it is."""
        xy = self.xy(shape)
        low, high = xy.min(axis=0), xy.max(axis=0)
        (x, y), width = (low + high) / 2, max(6.0, 1.6 * float((high - low).max()))
        return f"{x - width / 2:.2f} {y - width / 2:.2f} {width:.2f} {width:.2f}", width


def _path(style: str, frame: MapFrame, shape: Any, title: str) -> str:
    return f'<path class="{style}" d="{frame.path(shape)}"><title>{html.escape(title)}</title></path>'


def _page(title: str, style: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en-GB"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}{style}</style></head><body><h1>{html.escape(title)}</h1>{body}</body></html>\n"
    )


def findings_html(checked: Checked, title: str, below: AreaSet | None = None) -> str:
    """The findings on a map, as one self-contained page: no script, no request.

    Args:
        checked: what :func:`check` gave.
        title: the heading, say the file's name.
        below: areas to draw under those of the file, say the neighbourhoods published.
    """
    areas = () if checked.areas is None else checked.areas.areas()
    shapes = [area.geometry for area in areas]
    # A place far away would make all others too small to see; its own close view still shows it.
    far = {(f.kind, f.area_id) for f in checked.findings if f.code in ("outside-force", "outside-britain")}
    near_by = [area.geometry for area in areas if (area.kind, area.area_id) not in far]
    places = [finding.place for finding in checked.findings if has_place(finding.place)]
    frame = MapFrame.around(near_by or shapes or places)
    base = "".join(
        _path("area", frame, area.geometry, f"{area.area_id} {area.name}")
        for area in (*(below.areas() if below else ()), *areas)
    )
    marks, rows = [], []
    for number, finding in enumerate(checked.findings, 1):
        near = "nowhere on the map"
        if has_place(finding.place):
            lines = f'<path class="{finding.severity}" d="{frame.path(finding.place)}"/>'
            view, width = frame.near(finding.place)
            spots = frame.spots(finding.place, 3.0, str(finding.severity), seen=4.0)
            marks.append(f'<a href="#f{number}">{lines}{spots}<title>{html.escape(finding.text)}</title></a>')
            spots = frame.spots(finding.place, 0.02 * width, str(finding.severity))
            near = f'<svg class="near" viewBox="{view}"><use href="#areas"/>{lines}{spots}</svg>'
        rows.append(
            f'<tr id="f{number}"><td>{number}</td><td>'
            f'<span class="tag {finding.severity}">{finding.severity}</span>'
            f"<br>{html.escape(finding.code)}</td><td>{html.escape(finding.text)}<br><small>"
            f"{html.escape(finding.done)}</small></td><td>{near}</td></tr>"
        )
    verdict = "must not be published as it is" if checked.stops else "may be published"
    return _page(
        title,
        _FINDINGS_STYLE,
        f"<p>{counted(len(shapes), 'area')}, {counts_words(checked.findings)}: it {verdict}.</p>"
        f'<svg class="whole" role="img" aria-label="Map of the areas and findings" viewBox="{frame.view}">'
        f'<g id="areas">{base}</g>{"".join(reversed(marks))}</svg>'
        "<table><thead><tr><th>No.<th>How bad<th>What<th>Where</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>",
    )


NOBODY = "no area"
"""What land in no area is called."""


def ground(size_m2: float) -> str:
    """A size for people: square kilometres, or square metres for small ones."""
    return f"{size_m2 / 1e6:,.3f} km²" if size_m2 >= 10_000 else f"{size_m2:,.0f} m²"


def diff_rows(found: Diff, old: AreaSet, new: AreaSet) -> list[tuple[str, str, str, str]]:
    """A difference as rows of a table: what happened, to which kind, to which area, and by how much."""
    names = {(area.kind, area.area_id): area.name for areas in (old, new) for area in areas.areas()}

    def label(kind: Kind, area_id: str | None) -> str:
        if area_id is None:
            return NOBODY
        return _label(area_id, names.get((kind, area_id), area_id))

    rows = [("added", str(kind), label(kind, area_id), "") for kind, area_id in found.added]
    rows += [("removed", str(kind), label(kind, area_id), "") for kind, area_id in found.removed]
    rows += [
        ("renamed", str(item.kind), item.area_id, f"{item.before} → {item.after}") for item in found.renamed
    ]
    rows += [
        (
            "moved",
            str(item.kind),
            label(item.kind, item.area_id),
            f"gained {ground(item.gained_m2)}, lost {ground(item.lost_m2)}",
        )
        for item in found.moved
    ]
    rows += [
        ("changed", str(item.kind), label(item.kind, item.area_id), f"{key}: {was or '–'} → {now or '–'}")
        for item in found.changed
        for key, was, now in item.attributes
    ]
    rows += [
        (
            "ground",
            str(flow.kind),
            f"{label(flow.kind, flow.from_id)} → {label(flow.kind, flow.to_id)}",
            ground(flow.size_m2),
        )
        for flow in found.flows
    ]
    return rows


def _label(area_id: str, name: str) -> str:
    return area_id if area_id == name else f"{area_id} {name}"


def diff_html(found: Diff, old: AreaSet, new: AreaSet, title: str, remarks: Sequence[str] = ()) -> str:
    """The page: a map of what changed hands, the table of changes, and remarks below it.

    Args:
        found: what ``geo.boundaries.diffs.diff`` gave for the two.
        old: the earlier version.
        new: the later one.
        title: the heading.
        remarks: lines to print below the table, such as whose patches are touched.
    """
    rows = diff_rows(found, old, new)
    frame = MapFrame.around([*old.geometry, *new.geometry])
    drawn = [_path("area", frame, area.geometry, _label(area.area_id, area.name)) for area in new.areas()]
    drawn += [
        _path("was", frame, area.geometry, f"{area.area_id} {area.name} (removed)")
        for area in old.areas()
        if (area.kind, area.area_id) in found.removed
    ]
    for flow in found.flows:
        style = "won" if flow.from_id is None else "lost" if flow.to_id is None else "flow"
        text = f"{flow.from_id or NOBODY} → {flow.to_id or NOBODY}: {ground(flow.size_m2)}"
        drawn.append(_path(style, frame, flow.place, text))
    table = "".join(
        f"<tr><td>{what}</td><td>{kind}</td><td>{html.escape(area)}</td>"
        f'<td class="n">{html.escape(size)}</td></tr>'
        for what, kind, area, size in rows
    )
    said = "".join(f"<li>{html.escape(remark)}</li>" for remark in remarks)
    return _page(
        title,
        _DIFF_STYLE,
        f"<p>{len(found.added)} added, {len(found.removed)} removed, {len(found.renamed)} renamed, "
        f"{len(found.moved)} moved, {len(found.changed)} with other attributes.</p>"
        f'<svg role="img" aria-label="Map of the ground that changed hands" viewBox="{frame.view}">'
        f"{''.join(drawn)}</svg><p>"
        '<span class="key flow"></span>from one area to another'
        '<span class="key won"></span>had no area before'
        '<span class="key lost"></span>has no area now</p>'
        "<table><thead><tr><th>What<th>Kind<th>Area<th>How much</tr></thead>"
        f"<tbody>{table}</tbody></table>{f'<ul>{said}</ul>' if said else ''}",
    )
