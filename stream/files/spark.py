"""The account on Apache Spark, for whoever recounts years: the same functions, on many processors.

Spark reads parts of files, brings together what is counted together (officers who share devices, and their
devices), and calls ``stream.files.together`` for it; no rule is written again. What that gives is put back
into the numbering of the whole, so that the account is the same to the byte.

Files are read by the workers, so each must see them under the same path. Needs ``patrol[spark]`` and Java 17.
"""

from __future__ import annotations

import copyreg
import os
import pickle
import shutil
import sys
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from geo.matching.history import UNKNOWN, AreaHistory
from stream.core.facts import Fixes
from stream.core.quality.devices import DeviceDoubts
from stream.core.quality.doubts import Doubts, sorted_doubts
from stream.core.quality.elsewhere import all_far
from stream.core.quality.heard import Gathered, Heard
from stream.core.quality.tracks import Tracked
from stream.core.slices import NO_DEVICE, Slices
from stream.core.stays import Stays
from stream.files.account import AccountError, Positions, need_usable
from stream.files.crowd import AT_ONCE
from stream.files.together import Bookings, Together, together
from stream.files.tracks import read_fixes, row_groups
from stream.files.tracks.tables import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray
    from pyspark.core.broadcast import Broadcast
    from pyspark.sql import DataFrame, SparkSession

    from geo.areas import AreaSet
    from geo.matching.places import Place
    from stream.core.events import Reject, UsableLimits
    from stream.core.policy import Policies
    from stream.core.quality.tracks import Extent

_COLUMNS: Final = (
    ("device", "int"),
    ("time", "long"),
    ("lon", "double"),
    ("lat", "double"),
    ("error_m", "double"),
    ("speed_mps", "float"),
    ("heading_deg", "float"),
)
_FIXES: Final = ", ".join(f"{name} {kind}" for name, kind in _COLUMNS)
LEAST: Final = 20_000
"""Fewer fixes together than this are not worth a task of their own."""


# Workers are sent boundaries and policies, which hold such mappings.
def _mapping(items: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(items)


copyreg.pickle(MappingProxyType, lambda mapping: (_mapping, (dict(mapping),)))


class SparkError(RuntimeError):
    """Spark cannot be used; the message says what to do."""


@contextmanager
def session(master: str) -> Iterator[SparkSession]:
    """A Spark session, stopped at the end.

    Args:
        master: as Spark names it: ``local[4]``, ``spark://host:7077``; empty: all processors of this machine.

    Raises:
        SparkError: PySpark or Java is missing, or the master cannot be used.
    """
    try:
        from pyspark.errors import PySparkException
        from pyspark.sql import SparkSession as Session
    except ImportError as error:
        raise SparkError(f"no PySpark ({error}): pip install 'patrol-visibility[all,spark]'") from error
    if not os.environ.get("JAVA_HOME") and shutil.which("java") is None:
        raise SparkError("no Java, which Spark runs on: install Java 17, or set JAVA_HOME")
    master = master or "local[*]"
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # else it would take the system's own
    builder = (
        Session.builder.appName("patrol account")
        .master(master)
        .config("spark.log.level", "ERROR")
        .config("spark.driver.maxResultSize", "0")
        .config("spark.sql.adaptive.enabled", "false")  # it would join groups that are to be counted apart
        .config("spark.ui.showConsoleProgress", "false")
    )
    if master.startswith("local"):
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        for name in ("spark.driver.host", "spark.driver.bindAddress"):
            builder = builder.config(name, "127.0.0.1")
        builder = builder.config("spark.ui.enabled", "false")
    try:
        found = builder.getOrCreate()
    except (PySparkException, OSError) as error:
        raise SparkError(f"Spark does not start at {master}: {' '.join(str(error).split())[:300]}") from error
    try:
        with warnings.catch_warnings():
            # Nothing goes through pandas here, only Arrow.
            warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
            yield found
    except PySparkException as error:
        told = [line for line in str(error).splitlines() if line.strip()]
        raise SparkError(f"a worker of Spark failed: {told[-1].strip() if told else error}") from error
    finally:
        found.stop()


# ── Reading ───────────────────────────────────────────────────────────────────────────────────────────────


class Unit(NamedTuple):
    """A part of a file that one task reads; ``groups`` as for ``read_fixes``."""

    path: Path
    groups: range | None


@dataclass(frozen=True, slots=True, eq=False)
class _Told:
    """What a unit amounts to, beside its fixes.

    Attributes:
        device_ids: the names behind the devices' numbers in it.
        count: ``int64[len(device_ids)]``, usable fixes of each.
        failure: why it could not be read; empty where it could.
    """

    unit: int
    device_ids: tuple[str, ...]
    count: NDArray[np.int64]
    rejects: list[Reject]
    heard: Heard
    failure: str = ""


def read(
    spark: SparkSession,
    paths: Sequence[Path],
    limit: UsableLimits,
    *,
    rows: int = AT_ONCE,
    least: int = LEAST,
) -> Positions:
    """Reads files of positions.

    Args:
        spark: the session.
        paths: files of any form, in the order in which devices are numbered.
        limit: what is unusable (rule 2).
        rows: a task reads about so many of a Parquet file (a whole file of another form).
        least: a task that counts has at least about so many fixes.

    Raises:
        AccountError, TracksError, OSError: one cannot be read or used.
    """
    from pyspark import StorageLevel

    units = [Unit(path.resolve(), groups) for path in paths for groups in row_groups(path, rows)]
    found = (
        spark.range(len(units), numPartitions=len(units))
        .mapInArrow(partial(_read_units, units=units, limit=limit), f"unit int, {_FIXES}, told binary")
        .persist(StorageLevel.DISK_ONLY)
    )
    told: list[_Told] = [
        pickle.loads(row.told)  # of our own tasks
        for row in found.where("told is not null").select("told").collect()
    ]
    told.sort(key=lambda item: item.unit)
    rejects: dict[str, list[Reject]] = {str(path): [] for path in paths}
    gathered, usable = Gathered(), 0
    for path in paths:
        mine = [item for item in told if units[item.unit].path == path.resolve()]
        bad = [reject for item in mine for reject in item.rejects]
        for item in mine:
            if item.failure:
                raise AccountError(
                    f"{path}: {item.failure}; copy the file again, or count without --engine, which takes "
                    "what stands before"
                )
            gathered.add(item.heard)
        rejects[str(path)] = bad
        usable += sum(int(item.count.sum()) for item in mine)
        need_usable(path, usable, bad, gathered.done)
    code_of: dict[str, int] = {}
    codes = [
        np.array([code_of.setdefault(name, len(code_of)) for name in item.device_ids], np.int32)
        for item in told
    ]
    count = np.zeros(len(code_of), np.int64)
    for item, code in zip(told, codes, strict=True):
        np.add.at(count, code, item.count)
    names = tuple(code_of)
    return Positions(
        _fixes([], names), rejects, gathered.done(), OnSpark(spark, found, codes, count, names, least)
    )


def _read_units(
    batches: Iterable[pa.RecordBatch], units: Sequence[Unit], limit: UsableLimits
) -> Iterator[pa.RecordBatch]:
    """Numbers of units → their fixes, and then a row of what they amount to."""
    for batch in batches:
        for number in batch.column("id").to_pylist():
            yield from _read_unit(number, units[number], limit)


def _read_unit(number: int, unit: Unit, limit: UsableLimits) -> Iterator[pa.RecordBatch]:

    code_of: dict[str, int] = {}
    counts: list[NDArray[np.int64]] = []
    rejects: list[Reject] = []
    gathered, failure = Gathered(), ""
    for chunk in read_fixes(unit.path, limits=limit, groups=unit.groups):
        fixes = chunk.fixes
        codes = [code_of.setdefault(name, len(code_of)) for name in fixes.device_ids]
        device = np.array(codes, np.int32)[fixes.device]
        counts.append(np.bincount(device, minlength=len(code_of)))
        rejects += chunk.rejects
        gathered.add(chunk.heard)
        if unit.groups is not None and any(UNREADABLE in item.detail for item in chunk.rejects):
            failure = next(
                f"row {item.index}: {item.detail}" for item in chunk.rejects if UNREADABLE in item.detail
            )
        yield _batch(number, replace(fixes, device=device), None)
    count = np.zeros(len(code_of), np.int64)
    for part in counts:
        count[: len(part)] += part
    yield _batch(
        number, None, pickle.dumps(_Told(number, tuple(code_of), count, rejects, gathered.done(), failure))
    )


def _batch(unit: int, fixes: Fixes | None, told: bytes | None) -> pa.RecordBatch:
    """Fixes of a unit, or the row of what it amounts to."""
    import pyarrow as pa

    count = 1 if fixes is None else len(fixes)
    kinds = {"int": pa.int32(), "long": pa.int64(), "double": pa.float64(), "float": pa.float32()}
    columns = {
        name: pa.nulls(count, kinds[kind]) if fixes is None else pa.array(getattr(fixes, name), kinds[kind])
        for name, kind in _COLUMNS
    }
    return pa.record_batch(
        {
            "unit": pa.array(np.full(count, unit, np.int32)),
            **columns,
            "told": pa.array([told] * count, pa.binary()),
        }
    )


def _fixes(parts: Sequence[pa.RecordBatch | pa.Table], device_ids: tuple[str, ...]) -> Fixes:
    """Arrow rows → fixes; devices are numbers already."""
    kinds = {"int": np.int32, "long": np.int64, "double": np.float64, "float": np.float32}
    columns: dict[str, Any] = {
        name: np.concatenate([np.empty(0, kinds[kind]), *(np.asarray(part.column(name)) for part in parts)])
        for name, kind in _COLUMNS
    }
    return Fixes(**columns, device_ids=device_ids)


# ── Counting ──────────────────────────────────────────────────────────────────────────────────────────────


def belonging(
    officers: Sequence[str], devices: Sequence[Iterable[int]], count: int
) -> tuple[list[int], list[int]]:
    """Which duties and devices are counted together: those joined by a device, or by an officer.

    Args:
        officers: whose each duty is.
        devices: the numbers of the devices that each duty names.
        count: how many devices there are.

    Returns:
        ``(of each duty, of each device)``, a number of what belongs together, in no order.
    """
    above = list(range(count + len(officers)))

    def top(item: int) -> int:
        while above[item] != item:
            above[item] = item = above[above[item]]
        return item

    first: dict[str, int] = {}
    for number, (officer, mine) in enumerate(zip(officers, devices, strict=True)):
        own = count + number
        for other in (first.setdefault(officer, own), *mine):
            above[top(other)] = top(own)
    return [top(count + number) for number in range(len(officers))], [top(device) for device in range(count)]


class _Bin(NamedTuple):
    """What one task counts: numbers of duties and of devices, each in order."""

    duties: NDArray[np.int64]
    devices: NDArray[np.int64]


def bins(
    of_duty: Sequence[int], of_device: Sequence[int], fixes: NDArray[np.int64], at_once: int
) -> list[_Bin]:
    """Puts what belongs together into tasks of about so many fixes, each whole in one.

    Args:
        of_duty: as ``belonging`` gives it.
        of_device: likewise.
        fixes: ``int64[devices]``, how many of each device.
        at_once: about how many fixes a task takes.
    """
    size: dict[int, int] = {}
    for item, count in zip(of_device, fixes.tolist(), strict=True):
        size[item] = size.get(item, 0) + count
    for item in of_duty:
        size.setdefault(item, 0)
    number, total, bin_of = 0, 0, {}
    for item, count in size.items():
        if total and total + count > at_once:
            number, total = number + 1, 0
        bin_of[item] = number
        total += count
    duty, device = (np.array([bin_of[item] for item in items], np.int64) for items in (of_duty, of_device))
    return [
        _Bin(np.flatnonzero(duty == each), np.flatnonzero(device == each))
        for each in range(number + 1 if size else 0)
    ]


class OnSpark:
    """Positions that Spark holds, and counts where they are.

    Args:
        spark: the session.
        found: units' fixes, and rows of what they amount to.
        codes: by unit the numbers of its devices in the whole.
        count: ``int64[devices]``, usable fixes of each.
        names: of the devices.
        least: as for ``read``.
    """

    def __init__(
        self,
        spark: SparkSession,
        found: DataFrame,
        codes: Sequence[NDArray[np.int32]],
        count: NDArray[np.int64],
        names: tuple[str, ...],
        least: int,
    ) -> None:
        self._spark = spark
        self._fixes = found.where("told is null").drop("told")
        self._codes = codes
        self._count = count
        self._names = names
        self._least = least

    def together(self, booked: Bookings, history: AreaHistory, policies: Policies) -> Together:
        """See ``stream.files.account.Elsewhere``."""
        code_of = {name: code for code, name in enumerate(self._names)}
        named = [
            [code_of[item.device_id] for item in duty.devices if item.device_id in code_of]
            for duty in booked.duties
        ]
        of_duty, of_device = belonging([duty.officer_id for duty in booked.duties], named, len(self._names))
        processors = self._spark.sparkContext.defaultParallelism
        at_once = min(AT_ONCE, max(self._least, int(self._count.sum()) // (4 * processors)))
        parts = bins(of_duty, of_device, self._count, at_once)
        job = _Job(booked, history.versions, policies, self._names, parts)
        shared = self._spark.sparkContext.broadcast(job)
        bin_of = np.zeros(len(self._names), np.int32)
        for number, part in enumerate(parts):
            bin_of[part.devices] = number
        own = self._spark.sparkContext.broadcast((self._codes, bin_of))
        heard = [number for number, part in enumerate(parts) if self._count[part.devices].any()]
        rows = (
            self._fixes.mapInArrow(partial(_assign, own=own), f"bin int, {_FIXES}")
            .repartition(max(1, len(heard)), "bin")
            .groupBy("bin")
            .applyInArrow(lambda key, rows: _count(key, rows, shared), "bin int, body binary")
            .collect()
        )
        counted: dict[int, _Counted] = {row.bin: pickle.loads(row.body) for row in rows}  # our own
        for number in set(range(len(parts))) - set(heard):  # duties of whose devices nothing was heard
            counted[number] = job.counted(number, _fixes([], ()))
        return _whole(job, [counted[number] for number in range(len(parts))], history)

    def all_far(self, extent: Extent | None, start: int, end: int) -> bool:
        """See ``stream.files.account.Elsewhere``."""
        if extent is None:
            return False
        rows = self._fixes.mapInArrow(
            partial(_near, extent=extent, start=start, end=end), "far boolean"
        ).collect()
        return bool(rows) and all(row.far for row in rows)

    def fixes(self) -> Fixes:
        """All of them, in the memory of this machine."""
        table = self._fixes.toArrow()
        code = [np.asarray(part, np.int32) for part in self._codes]
        bounds = np.cumsum([0, *(len(part) for part in code)])
        device = np.concatenate([np.empty(0, np.int32), *code])
        found = _fixes([table], self._names)
        return replace(found, device=device[bounds[np.asarray(table.column("unit"))] + found.device])


@dataclass(frozen=True, slots=True, eq=False)
class _Counted:
    """What a task counted, and the places behind its numbers."""

    found: Together
    places: list[Place]


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """What every task is told."""

    booked: Bookings
    versions: Sequence[tuple[int, AreaSet]]
    policies: Policies
    names: tuple[str, ...]
    parts: list[_Bin]

    def counted(self, number: int, fixes: Fixes) -> _Counted:
        """Counts what a task is for; the fixes' devices are numbered in the whole."""
        part, booked = self.parts[number], self.booked
        mine = replace(
            fixes,
            device=np.searchsorted(part.devices, fixes.device).astype(np.int32),
            device_ids=tuple(self.names[code] for code in part.devices.tolist()),
        )
        duties = [booked.duties[code] for code in part.duties.tolist()]
        officers = {duty.officer_id for duty in duties}
        states = [report for report in booked.states if report.officer_id in officers]
        history = AreaHistory(self.versions)
        found = together(mine, booked._replace(duties=duties, states=states), history, self.policies)
        return _Counted(found, list(history.places))


def _assign(batches: Iterable[pa.RecordBatch], own: Broadcast[Any]) -> Iterator[pa.RecordBatch]:
    """Fixes by unit → by task, with the devices' numbers in the whole."""
    import pyarrow as pa

    codes, bin_of = own.value
    bounds = np.cumsum([0, *(len(part) for part in codes)])
    code = np.concatenate([np.empty(0, np.int32), *codes])
    for batch in batches:
        device = code[bounds[np.asarray(batch.column("unit"))] + np.asarray(batch.column("device"))]
        rest = {name: batch.column(name) for name, _ in _COLUMNS[1:]}
        yield pa.record_batch({"bin": pa.array(bin_of[device]), "device": pa.array(device), **rest})


def _count(key: tuple[Any, ...], table: pa.Table, shared: Broadcast[_Job]) -> pa.Table:
    """The fixes of a task → what it counted."""
    import pyarrow as pa

    number = key[0].as_py()
    body = pickle.dumps(shared.value.counted(number, _fixes([table], ())))
    return pa.table({"bin": pa.array([number], pa.int32()), "body": pa.array([body], pa.binary())})


def _near(
    batches: Iterable[pa.RecordBatch], extent: Extent, start: int, end: int
) -> Iterator[pa.RecordBatch]:
    """Whether a batch's positions of a period are all far; nothing where it has none."""
    import pyarrow as pa

    for batch in batches:
        time, lon, lat = (np.asarray(batch.column(name)) for name in ("time", "lon", "lat"))
        if ((time >= start) & (time < end)).any():
            yield pa.record_batch({"far": pa.array([all_far((time, lon, lat), extent, start, end)])})


def _whole(job: _Job, counted: Sequence[_Counted], history: AreaHistory) -> Together:
    """What the tasks counted, in the numbering of the whole."""
    stays, slices, doubts, tracked, devices = [], [], [], [], []
    for part, item in zip(job.parts, counted, strict=True):
        found = item.found
        place = np.array([*(history.number(each) for each in item.places), UNKNOWN], np.int32)
        device = np.append(part.devices, NO_DEVICE).astype(np.int32)
        duty = part.duties.astype(np.int32)
        own = found.tracked
        stays.append(replace(found.stays, device=device[found.stays.device], place=place[found.stays.place]))
        slices.append(
            replace(
                found.slices,
                duty=duty[found.slices.duty],
                place=place[found.slices.place],
                device=device[found.slices.device],
            )
        )
        doubts.append(replace(found.doubts, duty=duty[found.doubts.duty], device=device[found.doubts.device]))
        devices.append(replace(found.devices, device=device[found.devices.device]))
        tracked.append(
            Tracked(
                replace(own.days, device=device[own.days.device]),
                replace(own.misplaced, device=device[own.misplaced.device]),
                own.covered,
                replace(own.gaps, device=device[own.gaps.device]),
            )
        )
    if not counted:
        return together(_fixes([], job.names), job.booked, history, job.policies)
    found_stays, found_slices, found_doubts = (
        Stays.joined(stays),
        Slices.joined(slices),
        Doubts.joined(doubts),
    )
    return Together(
        found_stays.take(np.lexsort((found_stays.start, found_stays.device))),
        found_slices.take(np.lexsort((found_slices.start, found_slices.duty))),
        sorted_doubts(found_doubts),
        Tracked.of_groups(tracked),
        DeviceDoubts.joined(devices),
    )
