"""Feeds of radios and vehicles onto Kafka: bridge."""

from __future__ import annotations

import codecs
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stream.cli.common import FOLDER, moment_option
from stream.clock import wall
from stream.pipeline.failures import UNREACHED
from stream.pipeline.processes import until_told
from stream.settings import load

if TYPE_CHECKING:
    import asyncio

# As in stream.pipeline.bridge.formats, which a test checks: --help has to be quick.
FORMATS = ("auto", "traccar", "nmea", "taip", "lip", "owntracks")


@click.command(epilog="Example: patrol bridge tcp://:5027 --as nmea --kind vehicle --buffer waiting")
@click.argument("source")
@click.option(
    "--as",
    "format_",
    type=click.Choice(FORMATS),
    default="auto",
    show_default=True,
    help="The feed's format; auto looks at each message.",
)
@click.option(
    "--kind",
    type=click.Choice(["radio", "vehicle"]),
    default="radio",
    show_default=True,
    help="Of the devices: onto radio.positions or vehicle.positions.",
)
@click.option(
    "--device",
    default="",
    help="The device id where messages have none. {address} in it stands for the sender's address, {topic} "
    "for the last level of the MQTT topic.",
)
@click.option(
    "--near",
    metavar="TIME",
    help="For files: a time less than 12 hours from the recording, to date messages without a date.",
)
@click.option(
    "--gps-ahead",
    type=float,
    default=0.0,
    show_default=True,
    metavar="SECONDS",
    help="TAIP: how far the receivers' time is ahead of UTC; 18 for those that send GPS time.",
)
@click.option(
    "--buffer",
    type=FOLDER,
    help="A folder that keeps what was accepted while Kafka is away. Without it, up to 10,000 messages wait "
    "in memory.",
)
@click.option(
    "--buffer-mb",
    type=click.IntRange(1),
    default=256,
    show_default=True,
    help="The most that the folder may take.",
)
@click.option(
    "--connections", type=click.IntRange(1), default=1000, show_default=True, help="TCP: how many at once."
)
@click.option(
    "--idle",
    type=click.FloatRange(1),
    default=3600.0,
    show_default=True,
    metavar="SECONDS",
    help="TCP: close a connection that is silent for so long.",
)
@click.option(
    "--client-id",
    default="patrol-bridge",
    show_default=True,
    help="MQTT: names the session that the broker keeps; another for each bridge.",
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Print events as JSON lines, rejects on standard error, of a file how many of each; no Kafka.",
)
@click.pass_context
def bridge(
    context: click.Context,
    source: str,
    format_: str,
    kind: str,
    device: str,
    near: str | None,
    gps_ahead: float,
    buffer: Path | None,
    buffer_mb: int,
    connections: int,
    idle: float,
    client_id: str,
    dry_run: bool,
) -> None:
    """Takes feeds of radios and vehicles as they come, and sends them as positions onto Kafka.

    SOURCE is tcp://:PORT or udp://:PORT to listen on, mqtt://[USER@]HOST[:PORT]/TOPIC (mqtts:// with TLS;
    the password in PATROL_MQTT_PASSWORD), a file, or - for standard input. What cannot be used goes to
    dead.letters with its reason. Ports are open to whoever reaches them: let only your own network do so.
    """
    from stream.pipeline.bridge.buffer import DiskBuffer, MemoryBuffer
    from stream.pipeline.bridge.intake import FeedSettings
    from stream.pipeline.bridge.metrics import BridgeMetrics
    from stream.pipeline.bridge.running import run
    from stream.pipeline.bridge.sending import KafkaTarget, PrintedBuffer, require
    from stream.pipeline.bridge.sources import MQTT, Intake, parse_source
    from stream.pipeline.health import served
    from stream.pipeline.starting import check_servers

    settings = load()
    place = parse_source(source, password=settings.mqtt_password)
    if not dry_run:
        settings.need("kafka")
    if place.ends and place.path != "-":
        _require_text(Path(place.path))
    if near is not None and not place.ends:
        raise click.BadParameter("is for files: what comes in now has a time of receipt", param_hint="--near")
    if not (dry_run and place.ends):
        from stream.pipeline.logs import start_logging

        start_logging(settings.log)
    target = None if dry_run else KafkaTarget(settings.brokers, settings.topic_prefix, kind)
    feed = FeedSettings(place.name, format_, kind, device, moment_option(near), gps_ahead)
    metrics = BridgeMetrics()

    async def work(stop: asyncio.Event) -> None:
        if target is not None:
            await check_servers(settings)
            if place.ends:
                await require(target)
        held: DiskBuffer | MemoryBuffer | PrintedBuffer
        if dry_run:
            held = PrintedBuffer(sys.stdout, sys.stderr)
        else:
            held = DiskBuffer(buffer, buffer_mb * 2**20) if buffer is not None else MemoryBuffer()
        metrics.watch(held)
        intake = Intake(feed, held, metrics, wall, _say)
        with contextlib.ExitStack() as stack:
            if settings.health_port:

                def waiting_for() -> str:
                    if held.full:
                        return "room in the buffer: Kafka is away or too slow"
                    away = place.kind == MQTT and not metrics.connected
                    return "the MQTT broker" if away else ""

                stack.enter_context(
                    served(settings.health_port, metrics.registry, waiting_for, host=settings.health_host)
                )
            left = await run(
                place, intake, target, stop, connections=connections, idle_s=idle, client_id=client_id
            )
        if isinstance(held, PrintedBuffer) and place.ends:
            click.echo(held.summary(), err=True)
        if left and buffer is None:
            click.echo(f"patrol: {left:,} messages could not be sent and are lost", err=True)
        elif left:
            click.echo(f"patrol: {left:,} messages wait in {buffer} for the next run", err=True)
        if left and place.ends:
            context.exit(UNREACHED)

    until_told(work)


def _say(host: str, port: int) -> None:
    click.echo(f"listening on {host} port {port}", err=True)


def _require_text(path: Path) -> None:
    """Checks that a file can be read as messages in lines."""

    def refuse(why: str) -> None:
        raise click.BadParameter(why, param_hint="SOURCE")

    if not path.exists():
        refuse(f"there is no file {path}")
    if not path.is_file():
        refuse(f"{path} is not a file: pipe what it gives into 'patrol bridge -'")
    with path.open("rb") as file:
        start = file.read(2)
    if start == b"\x1f\x8b":
        refuse(f"{path} is packed: zcat {path} | patrol bridge -")
    if start in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}:
        refuse(f"{path} is UTF-16: save it as UTF-8")
