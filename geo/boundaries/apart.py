"""A check in a process of its own, so that no file can exhaust the memory or time of the caller."""

from __future__ import annotations

import math
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import shapely

from geo.areas import Area, AreaSet, Kind
from geo.boundaries.checks import check
from geo.boundaries.findings import NOTHING, Checked, finding_of, refuse_acceptances
from geo.boundaries.gdal import NO_ENVIRONMENT
from geo.boundaries.layer import LIMITS, AreaFileError, ReadingLimits
from geo.boundaries.reading import read_layer
from geo.orphans import end_with

_PLAIN = 2_000  # vertices; so few cannot cross more than a million times


def check_apart(
    path: str | Path,
    kind: Kind | None = None,
    against: AreaSet | None = None,
    outline: Any = None,
    *,
    layer: str | None = None,
    encoding: str | None = None,
    limits: ReadingLimits = LIMITS,
    **options: Any,
) -> Checked:
    """:func:`check` of a file in a process of its own with limited memory and time.

    A shape that no person would draw may need any amount of either, and only a separate process can be
    stopped. A file of few vertices cannot, and is checked here.

    Args:
        path: the file.
        kind: as for :func:`check`, as are the others.
        against: what is published.
        outline: the force's area.
        layer: which layer of the file.
        encoding: how its texts are written.
        limits: ``memory_bytes`` and ``seconds`` hold for the check as they do for the reading.
        options: the others of :func:`check`.

    Raises:
        ValueError: as :func:`check`.
    """
    refuse_acceptances(options.get("accept") or {})
    try:
        raw = read_layer(path, layer, encoding=encoding, limits=limits)
    except AreaFileError as error:
        return Checked(None, (finding_of("unreadable", str(error), NOTHING),))
    if int(shapely.get_num_coordinates(raw.geometry).sum()) <= _PLAIN:
        return check(raw, kind, against, outline, **options)
    request = pickle.dumps((os.getpid(), (raw, kind, _plain(against), outline, limits, options)))
    packages = [place for place in sys.path if Path(place).is_absolute()]
    program = f"import sys; sys.path[:0] = {packages!r}; from geo.boundaries.apart import _answer; _answer()"
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", program],
            input=request,
            capture_output=True,
            timeout=limits.seconds + 30,  # a busy machine; the processor's time is limited in the child
            check=False,
            env=NO_ENVIRONMENT,
        )
    except subprocess.TimeoutExpired:
        done = None
    if done is None or done.returncode != 0:
        text = (
            f"{raw.source}: cannot be checked within {limits.memory_bytes >> 20:,} MB of memory and "
            f"{limits.seconds:g} s; its shapes are far too detailed or lie on each other: simplify them"
        )
        return Checked(None, (finding_of("unreadable", text, NOTHING),))
    rows, findings = pickle.loads(done.stdout)
    return Checked(_sorted(rows), findings)


def _plain(areas: AreaSet | None) -> list[Area] | None:
    """Areas as values that can be passed from one process to another."""
    if areas is None:
        return None
    return [replace(area, attributes=dict(area.attributes)) for area in areas.areas()]


def _sorted(areas: list[Area] | None) -> AreaSet | None:
    return None if areas is None else AreaSet.of(areas)


def _answer() -> None:
    """The other process's whole work: a request on standard input, the findings on standard output."""
    parent, (raw, kind, against, outline, limits, options) = pickle.load(sys.stdin.buffer)
    end_with(parent)
    _limit(limits)
    checked = check(raw, kind, _sorted(against), outline, **options)
    pickle.dump((_plain(checked.areas), checked.findings), sys.stdout.buffer)


def _limit(limits: ReadingLimits) -> None:
    """Limit this process: memory beyond what it has, and processor time."""
    try:
        import resource
    except ImportError:  # not on Windows; the parent's time limit still applies
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = math.ceil(used.ru_utime + used.ru_stime + limits.seconds)
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (spent if most < 0 else min(spent, most), most))
    pages = Path("/proc/self/statm")
    if pages.exists():
        room = int(pages.read_text().split()[0]) * resource.getpagesize() + limits.memory_bytes
        now, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (room if now < 0 else min(room, now), most))
