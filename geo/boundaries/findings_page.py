"""Findings as one HTML page with a map."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from geo.boundaries.drawing import MapFrame
from geo.boundaries.findings import Checked, Severity, counted, has_place

if TYPE_CHECKING:
    from geo.areas import AreaSet

_STYLE = """
body{font:16px/1.45 system-ui,sans-serif;margin:1.5rem auto;max-width:75rem;padding:0 1rem;color:#14213d}
h1{font-size:1.6rem;overflow-wrap:anywhere}
svg{background:#f4f6f8;border:1px solid #c9d1d9}svg.whole{width:100%;height:auto;max-height:55vh}
svg.near{width:11rem;height:11rem}path,circle{vector-effect:non-scaling-stroke}
.area{fill:#fff;stroke:#5b6b7b;stroke-width:1}.error{fill:#d0021b55;stroke:#d0021b;stroke-width:2}
.warning{fill:#e0860055;stroke:#b86a00;stroke-width:2}.note{fill:#1f6fb255;stroke:#1f6fb2;stroke-width:2}
td,th{text-align:left;vertical-align:top;padding:.5rem;border-top:1px solid #c9d1d9}
table{border-collapse:collapse;width:100%}@media(max-width:40rem){thead{display:none}
td{display:block;border:0;padding:.15rem 0}tr{display:block;border-top:1px solid #c9d1d9;padding:.5rem 0}}
.tag{color:#fff;border-radius:.2rem;padding:.1rem .4rem}
.tag.error{background:#b00117}.tag.warning{background:#8f5200}.tag.note{background:#1b5e96}
"""


def findings_html(checked: Checked, title: str, below: AreaSet | None = None) -> str:
    """The findings on a map, as one self-contained page: no script, no request.

    Args:
        checked: what :func:`check` gave.
        title: the heading, say the file's name.
        below: areas to draw under those of the file, say the neighbourhoods published.
    """
    shapes = [] if checked.areas is None else list(checked.areas.geometry)
    names = [] if checked.areas is None else list(zip(checked.areas.area_id, checked.areas.name, strict=True))
    # A place far away would make all others too small to see; its own close view still shows it.
    far = {(f.kind, f.area_id) for f in checked.findings if f.code in ("outside-force", "outside-britain")}
    kinds = [] if checked.areas is None else checked.areas.kind
    near_by = [
        shape
        for kind, (ident, _), shape in zip(kinds, names, shapes, strict=True)
        if (kind, ident) not in far
    ]
    places = [finding.place for finding in checked.findings if has_place(finding.place)]
    frame = _Frame.around(near_by or shapes or places)
    base = "".join(
        f'<path class="area" d="{frame.path(shape)}"><title>{html.escape(f"{ident} {name}")}</title></path>'
        for (ident, name), shape in (
            *(((row.area_id, row.name), row.geometry) for row in (below.areas() if below else ())),
            *zip(names, shapes, strict=True),
        )
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
    counts = ", ".join(
        counted(sum(finding.severity is each for finding in checked.findings), str(each)) for each in Severity
    )
    return (
        f'<!doctype html><html lang="en-GB"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{html.escape(title)}</h1>"
        f"<p>{counted(len(shapes), 'area')}, {counts}: it {verdict}.</p>"
        f'<svg class="whole" role="img" aria-label="Map of the areas and findings" viewBox="{frame.view}">'
        f'<g id="areas">{base}</g>{"".join(reversed(marks))}</svg>'
        "<table><thead><tr><th>No.<th>How bad<th>What<th>Where</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>"
        "</body></html>\n"
    )


class _Frame(MapFrame):
    """A drawing with dots for what is too small to be seen, and close-ups."""

    __slots__ = ()

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
