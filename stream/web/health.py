"""Whether the process is up, whether it can serve, and its counts in Prometheus's text format."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import psycopg
from fastapi import APIRouter, Response

from geo.matching.history import FOREVER
from stream.core.facts import SECOND
from stream.core.live.alerts import KINDS
from stream.store.schema import SchemaError
from stream.web import description, plain
from stream.web.answering import answer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from stream.web.boundaries.published import Boundaries
    from stream.web.live.pulse import Pulse

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


def router(boundaries: Boundaries, pulse: Pulse, now: Callable[[], int]) -> APIRouter:
    """The paths that machines look at."""
    routes = APIRouter(tags=["health"])

    @routes.get("/healthz", **description.operation("healthz", "The process is up", description.HEALTH))
    def healthz() -> Response:
        return answer({"status": "up"})

    @routes.get("/readyz", **description.operation("readyz", "It can serve", description.READY))
    def readyz() -> Response:
        newest = boundaries.ready()
        known = newest > -FOREVER
        age = round(max(0, now() - newest) / SECOND, 1) if known else None
        return answer({"status": "ready", "newest_event": plain.when(newest), "age_s": age})

    @routes.get(
        "/metrics",
        **description.operation("metrics", "Counts for Prometheus", description.TEXT, media="text/plain"),
    )
    async def metrics() -> Response:
        return Response("".join(await lines(pulse)), media_type=PROMETHEUS)

    return routes


async def lines(pulse: Pulse) -> list[str]:
    """The metrics; those of the figures only while the database answers."""
    counts = pulse.counts
    found = [
        *_metric("patrol_web_pages", "gauge", "Pages that are open.", counts.pages),
        *_metric("patrol_web_streams_total", "counter", "Streams that were opened.", counts.opened),
        *_metric("patrol_web_snapshots_total", "counter", "Snapshots sent.", counts.snapshots),
        *_metric(
            "patrol_web_resumed_total", "counter", "Streams that went on where they broke.", counts.resumed
        ),
        *_metric("patrol_web_pulses_total", "counter", "Pulses.", counts.pulses),
        *_metric("patrol_web_sent_bytes_total", "counter", "Bytes sent on streams.", counts.bytes),
        *_metric("patrol_web_read_failures_total", "counter", "Readings that failed.", counts.failures),
        *_metric("patrol_web_read_seconds_total", "counter", "Time spent reading.", round(counts.read_s, 6)),
    ]
    try:
        moment = await pulse.now()
    except (psycopg.Error, SchemaError):
        return [*found, *_metric("patrol_web_database_up", "gauge", "Whether the database answers.", 0)]
    up = 0 if moment.fresh is pulse.failed else 1
    found += _metric("patrol_web_database_up", "gauge", "Whether the database answers.", up)
    if moment.fresh.age_s is not None:
        age = round(moment.fresh.age_s, 1)
        found += _metric("patrol_newest_event_age_seconds", "gauge", "Age of the newest event.", age)
    force = moment.force
    for name, about in (
        ("officers_on_duty", "Officers on duty."),
        ("officers_on_patch", "Officers on patch."),
    ):
        found += _metric(f"patrol_{name}", "gauge", about, force[name])
    if force["share"] is not None:
        found += _metric("patrol_force_share", "gauge", "Share of duty time on patch.", force["share"])
    ringing = Counter(item.episode.kind for item in moment.alerts if item.episode.cleared is None)
    found += ["# HELP patrol_alerts Alerts that are open.\n", "# TYPE patrol_alerts gauge\n"]
    return found + [f'patrol_alerts{{kind="{kind}"}} {ringing[kind]}\n' for kind in KINDS]


def _metric(name: str, kind: str, about: str, value: float) -> Iterable[str]:
    return (f"# HELP {name} {about}\n", f"# TYPE {name} {kind}\n", f"{name} {value}\n")
