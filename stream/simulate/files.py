"""A simulation as files, for ``patrol account`` and for the eye.

Nothing is invented here; only written.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from geo.boundaries.writing import areas_geojson
from stream.core.facts import SECOND
from stream.core.spreadsheets import csv_text
from stream.simulate.reports import FLAWS, TOPICS, in_sending_order
from stream.simulate.wire import duty_value, rfc3339, state_value

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterator

    from stream.simulate.simulation import Simulation
    from stream.simulate.wire import Rows

FORMS: Final = ("jsonl", "parquet")
"""Forms that positions are written in."""
_ROWS = 300_000  # positions in memory at once


def write(simulation: Simulation, out_dir: pathlib.Path, form: str = "jsonl") -> None:
    """Writes a simulation as files, in memory that does not grow with its length.

    ``positions.jsonl`` holds every position message as it was sent, the unusable ones too, with ``kind``
    added where there is an object to add it to; ``positions.parquet`` the same but what is no JSON.
    ``duties.jsonl`` every revision, ``states.jsonl``, ``areas.geojson``; ``truth.csv`` and
    ``true_visits.csv`` in seconds to the microsecond.

    Args:
        simulation: what is written.
        out_dir: the folder, made where it is missing.
        form: one of ``FORMS``, of the positions.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    if form == "jsonl":
        _json_lines(simulation, out_dir / "positions.jsonl")
    else:
        _parquet(simulation, out_dir / "positions.parquet")
    (out_dir / "duties.jsonl").write_bytes(
        b"".join(duty_value(duty) + b"\n" for _, duty in simulation.bookings)
    )
    (out_dir / "states.jsonl").write_bytes(
        b"".join(state_value(state) + b"\n" for state in simulation.states)
    )
    (out_dir / "areas.geojson").write_bytes(areas_geojson(simulation.force))
    truth = simulation.truth()
    columns = (truth.on_patch, truth.off_patch, truth.not_visible, truth.rest)
    _table(
        out_dir / "truth.csv",
        ("officer_id", "duty_id", "on_patch_s", "off_patch_s", "not_visible_s", "break_s"),
        (
            (officer, duty, *map(_seconds, times))
            for officer, duty, *times in zip(truth.officer_id, truth.duty_id, *columns, strict=True)
        ),
    )
    visits = simulation.true_visits()
    _table(
        out_dir / "true_visits.csv",
        ("area_id", "officer_id", "start", "end", "dwell_s"),
        (
            (area, officer, rfc3339(start), rfc3339(end), _seconds(dwell))
            for area, officer, start, end, dwell in zip(
                visits.area_id,
                visits.officer_id,
                visits.start.tolist(),
                visits.end.tolist(),
                visits.dwell.tolist(),
                strict=True,
            )
        ),
    )


def _seconds(time: int) -> str:
    return f"{time // SECOND}.{time % SECOND:06d}"


def _table(path: pathlib.Path, header: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as told:
        told.write(csv_text(header, rows))


def _json_lines(simulation: Simulation, path: pathlib.Path) -> None:
    tail = (b',"kind":"radio"}\n', b',"kind":"vehicle"}\n')
    with path.open("wb") as positions:
        for batch in simulation.messages():
            positions.writelines(
                value[:-1] + tail[topic] if value.endswith(b"}") else value + b"\n"
                for topic, value in zip(batch.topic.tolist(), batch.value, strict=True)
                if topic < len(tail)
            )


def _parquet(simulation: Simulation, path: pathlib.Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    names = pa.array(simulation.trackers.device_id)
    kinds = pa.array([topic.partition(".")[0] for topic in TOPICS[:2]])
    moment = pa.timestamp("ms", "UTC")

    def coded(codes: Any, values: pa.Array) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), values).cast(pa.string())

    def table(rows: Rows) -> pa.Table:
        said = rows.take(rows.flaw != FLAWS.index("not_json"))
        return pa.table(
            {
                "device_id": coded(said.device, names),
                "time": pa.array(said.time // 1000).cast(moment),
                "lon": pa.array(said.lon),
                "lat": pa.array(said.lat),
                "error_m": pa.array(said.error_m, from_pandas=True),
                "speed_mps": pa.array(said.speed, from_pandas=True),
                "heading_deg": pa.array(said.heading, from_pandas=True),
                "received": pa.array(said.received // 1000).cast(moment),
                "kind": coded(simulation.trackers.vehicle[said.device], kinds),
            }
        )

    waiting: list[Rows] = []
    with contextlib.ExitStack() as open_:
        writer: parquet.ParquetWriter | None = None
        for until, rows in in_sending_order(simulation.reports()):
            waiting.append(rows)
            if until is not None and sum(len(each.time) for each in waiting) < _ROWS:
                continue
            made = table(waiting[0].then(*waiting[1:]))
            waiting = []
            if writer is None:
                writer = open_.enter_context(parquet.ParquetWriter(path, made.schema, compression="zstd"))
            writer.write_table(made)
