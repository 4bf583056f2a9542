"""What is held on one officer, as files: JSON, CSV, GPX, and a page that a person can read."""

from __future__ import annotations

from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, Any

import msgspec

from stream.core.calendar import LOCAL, rfc3339
from stream.core.spreadsheets import csv_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from stream.core.facts import Fixes

SAID = {
    "officer": "the id under which everything is held",
    "duties": "bookings, as they count",
    "devices": "radios and vehicles allocated in duties",
    "revisions": "every booking as it was received",
    "states": "radio states as keyed",
    "slices": "what the time of duties was counted as, and where",
    "doubts": "where facts of duties contradict each other",
    "settled_weeks": "figures of weeks, in microseconds, as they are on record",
    "restatements": "how figures of weeks were changed later, and why",
    "alerts": "alerts that name the officer",
    "reports": "published summaries that name the officer, whole",
    "mail": "to whom such summaries were sent",
    "holds": "duties kept because a complaint or a challenge is open",
    "record": "who saw, changed or passed on what about the officer",
    "accounts": "accounts that see the officer's own record",
}
"""What each table is, for the page."""


def write(
    officer_id: str,
    tables: Mapping[str, Sequence[Mapping[str, Any]]],
    tracks: Mapping[str, Sequence[tuple[str, Fixes]]],
    out: Path,
) -> list[str]:
    """Writes all of it into a folder; gives the files' names.

    Args:
        officer_id: whom it is about.
        tables: rows by the name of what they are.
        tracks: by duty, positions of each device in it.
        out: the folder, made where it is missing.

    Raises:
        OSError: it cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    files: dict[str, bytes] = {}
    plain = {
        name: [{key: _plain(value) for key, value in row.items()} for row in rows]
        for name, rows in tables.items()
    }
    files["everything.json"] = msgspec.json.format(msgspec.json.encode({"officer_id": officer_id, **plain}))
    for name, rows in plain.items():
        if rows:
            cells = ([_cell(value) for value in row.values()] for row in rows)
            files[f"{name}.csv"] = csv_text(list(rows[0]), cells, end="\r\n").encode()
    for number, (duty, found) in enumerate(tracks.items(), 1):
        files[f"track_{number:04d}.gpx"] = _gpx(duty, found).encode()
    files["index.html"] = _page(officer_id, plain, list(tracks)).encode()
    for name, content in files.items():
        (out / name).write_bytes(content)
    return sorted(files)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return msgspec.json.decode(value) if isinstance(value, bytes) else value


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _gpx(duty: str, found: Sequence[tuple[str, Fixes]]) -> str:
    """Positions of a duty's devices as GPX 1.1, a track a device."""
    parts = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<gpx version="1.1" creator="patrol" xmlns="http://www.topografix.com/GPX/1/1">',
    ]
    for device, fixes in found:
        parts.append(f"<trk><name>{escape(duty)} {escape(device)}</name><trkseg>")
        rows = zip(fixes.time.tolist(), fixes.lon.tolist(), fixes.lat.tolist(), strict=True)
        parts += [
            f'<trkpt lat="{lat}" lon="{lon}"><time>{rfc3339(time)}</time></trkpt>' for time, lon, lat in rows
        ]
        parts.append("</trkseg></trk>")
    return "\n".join([*parts, "</gpx>", ""])


def _page(officer_id: str, tables: Mapping[str, Sequence[Mapping[str, Any]]], duties: Sequence[str]) -> str:
    """All of it on one page; long tables are in their files."""
    title = f"What is held on officer {escape(officer_id)}"
    body = [
        f"<h1>{title}</h1>",
        (
            f"<p>Made {datetime.now(LOCAL):%d %B %Y, %H:%M}. All of it is in "
            "<a href=everything.json>everything.json</a>; times are in UTC. Positions outside duties are "
            "held on nobody.</p>"
        ),
    ]
    for name, rows in tables.items():
        body.append(
            f"<h2>{escape(name.replace('_', ' ').capitalize())}</h2><p>{escape(SAID.get(name, ''))}: "
            f"{len(rows):,}</p>"
        )
        if rows:
            shown = rows[:200]
            head = "".join(
                f"<th scope=col>{escape(column)}</th>" for column in rows[0] if column != "document"
            )
            lines = "".join(
                "<tr>"
                + "".join(
                    f"<td>{escape(_cell(value))}</td>" for key, value in row.items() if key != "document"
                )
                + "</tr>"
                for row in shown
            )
            body.append(f"<div><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>")
            more = (
                f"the other {len(rows) - len(shown):,} rows are there too"
                if len(rows) > len(shown)
                else "the same as a file"
            )
            body.append(f"<p><a href={name}.csv>{name}.csv</a>: {more}</p>")
    body.append(f"<h2>Tracks</h2><p>positions in duties, a file a duty: {len(duties):,}</p><ul>")
    body += [
        f"<li><a href=track_{at:04d}.gpx>duty {escape(duty)}</a></li>" for at, duty in enumerate(duties, 1)
    ]
    style = (
        "body{font:16px/1.5 sans-serif;margin:1rem auto;max-width:75rem;padding:0 1rem}div{overflow-x:auto}"
        "table{border-collapse:collapse;font-size:.85rem}td,th{border:1px solid #bbb;padding:.2rem .5rem;"
        "text-align:left;"
        "vertical-align:top}"
    )
    return (
        f"<!doctype html><html lang=en-GB><meta charset=utf-8><meta name=viewport "
        f"content='width=device-width'>"
        f"<title>{title}</title><style>{style}</style><body>{''.join(body)}</ul></body></html>\n"
    )
