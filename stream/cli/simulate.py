"""``patrol simulate``: a shift with ground truth, as files or onto Kafka."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from geo.boundaries.layer import printable
from stream.cli.common import FILE, FOLDER, moment_option
from stream.settings import load

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from geo.areas import AreaSet
    from stream.simulate.streets import Network


@click.command(
    epilog="Example: patrol simulate --streets county.osm.pbf --officers 40 --hours 10 --seed 1 --out shift"
)
@click.option("--officers", type=click.IntRange(1, 1_000_000), default=40, show_default=True)
@click.option("--hours", type=click.FloatRange(0, 48, min_open=True), default=10.0, show_default=True)
@click.option(
    "--interval",
    type=click.FloatRange(0.1, 3600),
    default=5.0,
    show_default=True,
    help="Seconds between a device's reports; with --reporting movement the longest time without one.",
)
@click.option(
    "--reporting",
    type=click.Choice(["interval", "movement"]),
    default="interval",
    show_default=True,
    help="movement: devices also report when they have moved 50 m or turned.",
)
@click.option(
    "--quality",
    type=click.Choice(["real", "perfect"]),
    default="real",
    show_default=True,
    help="real: errors, silences and broken messages as in life; perfect: none.",
)
@click.option(
    "--streets",
    type=FILE,
    help="OpenStreetMap extract (.osm.pbf, .osm) to move along (default: made-up streets).",
)
@click.option(
    "--areas",
    "areas_",
    multiple=True,
    help="FILE or FILE:kind of the force's areas; may be given several times (default: invented ones).",
)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--start", default="2026-11-16T07:00:00Z", show_default=True, help="Start of the shift.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "parquet"]),
    default="jsonl",
    show_default=True,
    help="Form of the positions' file.",
)
@click.option(
    "--out",
    type=FOLDER,
    help="Folder for areas.geojson, positions, duties.jsonl, states.jsonl, truth.csv, true_visits.csv.",
)
@click.option("--to-kafka", is_flag=True, help="Send the shift onto the raw topics, as fast as possible.")
def simulate(
    officers: int,
    hours: float,
    interval: float,
    reporting: str,
    quality: str,
    streets: Path | None,
    areas_: tuple[str, ...],
    seed: int,
    start: str,
    form: str,
    out: Path | None,
    to_kafka: bool,
) -> None:
    """Lets officers patrol a town; writes what their trackers said and what truly happened.

    One seed has the same people do the same things at the same times, however often and however well their
    trackers report.
    """
    from stream.files.replay import send_simulation
    from stream.simulate import PERFECT, REAL, write
    from stream.simulate import simulate as make
    from stream.simulate.osm import read_streets

    if out is None and not to_kafka:
        raise click.UsageError("say where the shift goes: --out FOLDER, --to-kafka or both")
    began = moment_option(start)

    try:
        network = None if streets is None else read_streets(streets)
        made = make(
            _force(areas_, network, streets, seed),
            officers=officers,
            start=began,
            hours=hours,
            interval_s=interval,
            seed=seed,
            quality=PERFECT if quality == "perfect" else REAL,
            on_movement=reporting == "movement",
            network=network,
        )
    except ValueError as error:  # areas that cannot be patrolled give one line
        raise click.ClickException(printable(" ".join(str(error).split()))) from error
    if out is not None:
        write(made, out, form)
        names = f"areas.geojson, positions.{form}, duties.jsonl, states.jsonl, truth.csv, true_visits.csv"
        click.echo(f"wrote {out}: {names}")
    if to_kafka:
        import asyncio

        settings = load()
        settings.need("kafka")
        sent = asyncio.run(send_simulation(made, settings.brokers, prefix=settings.topic_prefix, speed=0))
        click.echo(f"sent {sent:,} messages")


def _force(items: Sequence[str], network: Network | None, streets: Path | None, seed: int) -> AreaSet:
    """The areas given, else invented ones: over the extract where there is one."""
    from geo.areas import AreaSet, Kind
    from geo.boundaries.reading import read_areas
    from stream.simulate import demo_force
    from stream.simulate.osm import invent_force

    if items:
        parts = []
        for item in items:
            path, _, kind = item.rpartition(":")
            known = bool(path) and kind in set(Kind)
            parts.append(read_areas(path if known else item, Kind(kind) if known else None))
        return AreaSet.union(*parts)
    if network is None or streets is None:
        return demo_force(seed)
    return invent_force(network, streets, seed)
