"""``/healthz``, ``/readyz`` and ``/metrics``: whether it is up, can serve, and metrics for Prometheus."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import psycopg
from fastapi import APIRouter, Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from geo.matching.history import FOREVER
from stream.clock import chosen
from stream.core.events import REASONS
from stream.core.facts import SECOND
from stream.core.json_types import Seconds, Time, when
from stream.core.live.alerts import KINDS
from stream.core.quality.findings import DEVICE
from stream.store.reading.quality import LIVE
from stream.store.schema import SchemaError
from stream.web.answering import answer
from stream.web.description import operation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

    from stream.clock import Clock
    from stream.web.boundaries.published import Boundaries
    from stream.web.live.pulse import Counts, Pulse
    from stream.web.live.quality import LiveQuality, QualityJson
    from stream.web.live.seen import Moment


class HealthJson(msgspec.Struct):
    """The process is up."""

    status: str


class ReadyJson(msgspec.Struct):
    """It can serve, and how old the newest event is; not known where it is dated ahead."""

    status: str
    newest_event: Time | None
    age_s: Seconds | None


def router(boundaries: Boundaries, pulse: Pulse, trust: LiveQuality, now: Clock) -> APIRouter:
    """The paths that machines look at."""
    routes = APIRouter(tags=["health"])

    @routes.get("/healthz", **operation("healthz", "The process is up", HealthJson))
    def healthz() -> Response:
        return answer(HealthJson("up"))

    @routes.get("/readyz", **operation("readyz", "It can serve", ReadyJson))
    def readyz() -> Response:
        newest = boundaries.ready()
        known = newest > -FOREVER
        present = chosen(pulse.settings.clock, lambda: newest, now)()
        # When a position that is dated ahead came is not known here.
        age = round((present - newest) / SECOND, 1) if known and newest <= present else None
        return answer(ReadyJson("ready", when(newest), age))

    @routes.get("/metrics", **operation("metrics", "Counts for Prometheus", str, media="text/plain"))
    async def metrics() -> Response:
        registry = CollectorRegistry()  # of this asking: what is told was read for it
        registry.register(await told(pulse, trust))
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    return routes


@dataclass(frozen=True, slots=True, eq=False)
class Told(Collector):
    """What is told at one asking: of the streams, and of the figures while the database answers.

    Attributes:
        counts: of the pulse.
        moment: what was read; None where the database does not answer.
        up: whether it is of now.
        worth: what the facts behind it are worth; None where the database does not answer.
    """

    counts: Counts
    moment: Moment | None
    up: bool
    worth: QualityJson | None = None

    def collect(self) -> Iterator[Metric]:
        """The metrics, as deploy/README.md lists them."""
        counts = self.counts
        yield GaugeMetricFamily("patrol_web_pages", "Pages that are open.", counts.pages)
        yield CounterMetricFamily("patrol_web_streams_total", "Streams that were opened.", counts.opened)
        yield CounterMetricFamily("patrol_web_snapshots_total", "Snapshots sent.", counts.snapshots)
        yield CounterMetricFamily(
            "patrol_web_resumed_total", "Streams that went on where they broke.", counts.resumed
        )
        yield CounterMetricFamily("patrol_web_pulses_total", "Pulses.", counts.pulses)
        yield CounterMetricFamily("patrol_web_sent_bytes_total", "Bytes sent on streams.", counts.bytes)
        yield CounterMetricFamily("patrol_web_read_failures_total", "Readings that failed.", counts.failures)
        yield CounterMetricFamily("patrol_web_read_seconds_total", "Time spent reading.", counts.read_s)
        yield GaugeMetricFamily("patrol_web_database_up", "Whether the database answers.", self.up)
        if self.moment is None:
            return
        fresh, force = self.moment.fresh, self.moment.force
        if fresh.age_s is not None:
            yield GaugeMetricFamily(
                "patrol_newest_event_age_seconds", "Age of the newest event.", round(fresh.age_s, 1)
            )
        yield GaugeMetricFamily("patrol_officers_on_duty", "Officers on duty.", force.officers_on_duty)
        yield GaugeMetricFamily("patrol_officers_on_patch", "Officers on patch.", force.officers_on_patch)
        if force.share is not None:
            yield GaugeMetricFamily("patrol_force_share", "Share of duty time on patch.", force.share)
        ringing = Counter(item.episode.kind for item in self.moment.alerts if item.episode.cleared is None)
        alerts = GaugeMetricFamily("patrol_alerts", "Alerts that are open.", labels=["kind"])
        for kind in KINDS:
            alerts.add_metric([kind], ringing[kind])
        yield alerts
        yield GaugeMetricFamily(
            "patrol_doubtful_seconds", "Duty time whose facts contradict each other.", force.doubtful_s
        )
        if self.worth is not None:
            yield from _worth(self.worth)


def _worth(worth: QualityJson) -> Iterator[Metric]:
    heard, found = worth.heard, worth.findings
    yield GaugeMetricFamily("patrol_positions_heard", "Positions heard, usable or not.", heard.reports)
    rejected = GaugeMetricFamily(
        "patrol_positions_rejected", "Positions that could not be used.", labels=["reason"]
    )
    for reason in REASONS:
        rejected.add_metric([reason], heard.rejected.get(reason, 0))
    yield rejected
    for name, text, count in (
        ("positions_jumped", "Positions of today ignored as jumps.", worth.today.jumps),
        ("positions_far", "Positions of today far from all areas.", worth.today.far),
        ("devices_seen", "Devices with a usable position today.", worth.today.devices),
        ("devices_waiting", "Devices to be looked at again.", worth.today.waiting),
    ):
        yield GaugeMetricFamily(f"patrol_{name}", text, count)
    for name, text, kind in (
        ("wrong_clock", "Booked devices whose clock is wrong.", "clock_offset"),
        ("never_heard", "Booked devices that were never heard.", "never_heard"),
    ):
        devices = {row.id for row in found if row.finding == kind and row.scope == DEVICE}
        yield GaugeMetricFamily(f"patrol_devices_{name}", text, len(devices))
    kinds = Counter(row.finding for row in found)
    findings = GaugeMetricFamily("patrol_findings", "Findings about the facts.", labels=["finding"])
    for kind in LIVE:
        findings.add_metric([kind], kinds[kind])
    yield findings


async def told(pulse: Pulse, trust: LiveQuality) -> Told:
    """What there is to tell now."""
    try:
        moment = await pulse.now()
    except (psycopg.Error, SchemaError):
        return Told(pulse.counts, None, up=False)
    if moment.fresh is pulse.failed:
        return Told(pulse.counts, moment, up=False)
    try:
        return Told(pulse.counts, moment, up=True, worth=await trust.now())
    except (psycopg.Error, SchemaError):
        return Told(pulse.counts, moment, up=True)
