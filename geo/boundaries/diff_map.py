"""What changed between two versions of the boundaries, as one page with a map: no script, no request.

Two area sets and their difference in, text out. The ground that changed hands is drawn over the newer areas,
each flow as one shape with its own title, and listed in a table below.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import shapely

from geo.boundaries.drawing import MapFrame

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from geo.areas import AreaSet, Kind
    from geo.boundaries.diffs import Diff, Flow

NOBODY = "no area"
"""What land in no area is called."""

_STYLE = """
body{font:16px/1.45 system-ui,sans-serif;margin:1.5rem auto;max-width:75rem;padding:0 1rem;color:#14213d}
svg{background:#f4f6f8;border:1px solid #c9d1d9;width:100%;height:auto}
path{vector-effect:non-scaling-stroke;fill-rule:evenodd}
.area{fill:#fff;stroke:#5b6b7b;stroke-width:1}
.was{fill:none;stroke:#9a5b00;stroke-width:1;stroke-dasharray:4 3}
.flow{fill:#1f6fb277;stroke:#1b5e96;stroke-width:2}.won{fill:#2e8b5777;stroke:#1d6b40;stroke-width:2}
.lost{fill:#d0021b55;stroke:#b00117;stroke-width:2;stroke-dasharray:6 3}
td,th{text-align:left;vertical-align:top;padding:.35rem .7rem .35rem 0;border-top:1px solid #c9d1d9}
table{border-collapse:collapse;margin:1rem 0}td.n{text-align:right;font-variant-numeric:tabular-nums}
.key{display:inline-block;width:1em;height:1em;margin:0 .3em 0 1em;vertical-align:-.15em;border:2px solid}
.key.flow{background:#1f6fb277;border-color:#1b5e96}.key.won{background:#2e8b5777;border-color:#1d6b40}
.key.lost{background:#d0021b55;border:2px dashed #b00117}
"""


def ground(size_m2: float) -> str:
    """A size for people: square kilometres, or square metres for small ones."""
    return f"{size_m2 / 1e6:,.3f} km²" if size_m2 >= 10_000 else f"{size_m2:,.0f} m²"


def flow_shape(flow: Flow, old: AreaSet, new: AreaSet) -> Any:
    """The land of a flow: what its ``from`` had and its ``to`` has, less what the former kept (degrees)."""
    before, after = _shapes(old, flow.kind), _shapes(new, flow.kind)
    if flow.from_id is None:
        lost = shapely.difference(after[flow.to_id or ""], _whole(before))
    else:
        kept = after.get(flow.from_id)
        lost = before[flow.from_id] if kept is None else shapely.difference(before[flow.from_id], kept)
        other = _whole(after) if flow.to_id is None else after[flow.to_id]
        lost = shapely.difference(lost, other) if flow.to_id is None else shapely.intersection(lost, other)
    return lost


def _shapes(areas: AreaSet, kind: Kind) -> dict[str, Any]:
    rows = zip(areas.kind, areas.area_id, areas.geometry, strict=True)
    return {area_id: shape for each, area_id, shape in rows if each == kind}


def _whole(shapes: dict[str, Any]) -> Any:
    return shapely.union_all(list(shapes.values())) if shapes else shapely.Polygon()


def diff_rows(found: Diff, old: AreaSet, new: AreaSet) -> list[tuple[str, str, str, str]]:
    """A difference as rows of a table: what happened, to which kind, to which area, and by how much."""
    names = {(kind, area_id): name for areas in (old, new) for kind, area_id, name in _named(areas)}

    def label(kind: Kind, area_id: str | None) -> str:
        if area_id is None:
            return NOBODY
        name = names.get((kind, area_id), area_id)
        return area_id if name == area_id else f"{area_id} {name}"

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


def _named(areas: AreaSet) -> Iterable[tuple[Kind, str, str]]:
    return zip(areas.kind, areas.area_id, areas.name, strict=True)


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
    grounds = [(flow, flow_shape(flow, old, new)) for flow in found.flows]
    frame = MapFrame.around([*old.geometry, *new.geometry])
    gone = {(kind, area_id) for kind, area_id in found.removed}
    drawn = [_area("area", frame, area.area_id, area.name, area.geometry) for area in new.areas()]
    drawn += [
        _area("was", frame, area.area_id, f"{area.name} (removed)", area.geometry)
        for area in old.areas()
        if (area.kind, area.area_id) in gone
    ]
    for flow, shape in grounds:
        style = "won" if flow.from_id is None else "lost" if flow.to_id is None else "flow"
        text = f"{flow.from_id or NOBODY} → {flow.to_id or NOBODY}: {ground(flow.size_m2)}"
        drawn.append(
            f'<path class="{style}" d="{frame.path(shape)}"><title>{html.escape(text)}</title></path>'
        )
    table = "".join(
        f"<tr><td>{what}</td><td>{kind}</td><td>{html.escape(area)}</td>"
        f'<td class="n">{html.escape(size)}</td></tr>'
        for what, kind, area, size in rows
    )
    said = "".join(f"<li>{html.escape(remark)}</li>" for remark in remarks)
    return (
        f'<!doctype html><html lang="en-GB"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{html.escape(title)}</h1>"
        f"<p>{len(found.added)} added, {len(found.removed)} removed, {len(found.renamed)} renamed, "
        f"{len(found.moved)} moved, {len(found.changed)} with other attributes.</p>"
        f'<svg role="img" aria-label="Map of the ground that changed hands" viewBox="{frame.view}">'
        f"{''.join(drawn)}</svg><p>"
        '<span class="key flow"></span>from one area to another'
        '<span class="key won"></span>had no area before'
        '<span class="key lost"></span>has no area now</p>'
        "<table><thead><tr><th>What<th>Kind<th>Area<th>How much</tr></thead>"
        f"<tbody>{table}</tbody></table>{f'<ul>{said}</ul>' if said else ''}</body></html>\n"
    )


def _area(style: str, frame: MapFrame, area_id: str, name: str, shape: Any) -> str:
    title = html.escape(area_id if area_id == name else f"{area_id} {name}")
    return f'<path class="{style}" d="{frame.path(shape)}"><title>{title}</title></path>'
