"""The account on Apache Spark is the account of this process, to the byte.

The worlds are counted in one local session, and once by a cluster of workers in processes of their own.
"""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from stream.cli import patrol
from stream.core.policy import Policies, limits
from stream.files.account import AccountError, Facts, account, positions_of
from stream.files.sheets.arrow import write
from tests.doubtful_worlds import doubtful_world
from tests.strategies import world_fixes
from tests.worlds import busy_world, history_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from stream.core.facts import Fixes
    from stream.files.account import Positions

LEFT_OUT = (
    "needs Java 17 or newer"
    if shutil.which("java") is None
    else "needs PySpark: pip install 'patrol-visibility[all,spark]'"
    if find_spec("pyspark") is None
    else None
)
pytestmark = [
    pytest.mark.skipif(LEFT_OUT is not None, reason=LEFT_OUT or ""),
    pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
]
POLICIES = Policies()


@pytest.fixture(autouse=True, scope="module")
def quick_java() -> Iterator[None]:
    """Java for a short life on a shared machine: the quick compiler, and the collector without threads."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
        yield


@pytest.fixture(scope="module")
def session(quick_java: None) -> Iterator[Any]:
    """Spark in this process, with two workers."""
    from stream.files import spark

    with spark.session("local[2]") as found:
        yield found


def written(fixes: Fixes, folder: Path, random: Random) -> list[Path]:
    """Fixes as two Parquet files of small row groups, the second in texts, with rows that cannot be used."""
    order = list(range(len(fixes)))
    random.shuffle(order)
    names = np.array(fixes.device_ids or [""], object)
    cut, paths = random.randint(0, len(order)), []
    for number, rows in enumerate((order[:cut], order[cut:])):
        at = np.array(rows, np.int64)
        columns = {
            "device_id": pa.array(names[fixes.device[at]], pa.string()),
            "time": pa.array(fixes.time[at], pa.timestamp("us", "UTC")),
            "received": pa.array(fixes.time[at] + 2_000_000, pa.timestamp("us", "UTC")),
            **{
                name: pa.array(
                    [None if np.isnan(x) else float(x) for x in getattr(fixes, name)[at]], pa.float64()
                )
                for name in ("lon", "lat", "error_m", "speed_mps", "heading_deg")
            },
        }
        table = pa.table(columns)
        if len(at) and random.random() < 0.7:
            odd = table.slice(0, 1).set_column(
                3, "lon", pa.array([random.choice([200.0, 0.0, float("nan")])])
            )
            table = pa.concat_tables([table.slice(0, len(at) // 2), odd, table.slice(len(at) // 2)])
        path = folder / f"part{number}.parquet"
        parquet.write_table(table, path, row_group_size=random.choice([7, 100, 1000]))
        paths.append(path)
    return paths


def in_bytes(
    read: Callable[[Sequence[Path]], Positions], paths: Sequence[Path], rest: Facts, out: Path
) -> dict[str, bytes]:
    """The files of an account whose positions are read in some way, and what is said."""
    tracks = read(paths)
    facts = replace(
        rest, fixes=tracks.fixes, rejects=tracks.rejects, heard=tracks.heard, elsewhere=tracks.elsewhere
    )
    found = account(facts, POLICIES, by="day")
    write(found.tables(POLICIES), out)
    files = {path.name: path.read_bytes() for path in sorted(out.iterdir())}
    return files | {"unmatched": repr(found.unmatched()).encode(), "rejects": repr(facts.rejects).encode()}


def path_of_csv(path: Path) -> Path:
    """The CSV file that was written here."""
    return Path("here") / f"{path.stem}.csv"


def compare(session: Any, rest: Facts, fixes: Fixes, folder: Path, random: Random) -> None:
    """Counts both ways."""
    from stream.files import spark

    folder.mkdir()
    paths = written(fixes, folder, random)
    usable = limits(POLICIES)
    here = in_bytes(lambda some: positions_of(some, usable), paths, rest, folder / "here")
    there = in_bytes(
        lambda some: spark.read(
            session, some, usable, rows=random.choice([1, 50, 10_000]), least=random.choice([1, 200])
        ),
        paths,
        rest,
        folder / "spark",
    )
    assert len(here) == 13
    assert there == here


@pytest.mark.parametrize("seed", range(3))
def test_spark_counts_what_this_process_counts(session: Any, tmp_path: Path, seed: int) -> None:
    """Boundaries that change, revised duties, shared vehicles, states, repeated and unusable positions."""
    world = busy_world(seed)
    (_, first), *later = history_of(world).versions
    rest = Facts(first, world_fixes(world), list(world.duties), list(world.states), later=tuple(later))
    compare(session, rest, world_fixes(world), tmp_path / "world", Random(seed))


@pytest.mark.parametrize("seed", range(3))
def test_spark_finds_the_same_doubts(session: Any, tmp_path: Path, seed: int) -> None:
    """Frozen receivers, two devices on one id, a radio of two officers, radio and vehicle apart."""
    world = doubtful_world(seed, frozenset({"frozen", "two_devices", "shared_radio", "apart"}))
    (_, areas), *_ = world.history.versions
    compare(
        session,
        Facts(areas, world.fixes, list(world.booked), list(world.keyed)),
        world.fixes,
        tmp_path / "doubts",
        Random(seed),
    )


def test_positions_far_away_are_told_in_the_same_words(session: Any, tmp_path: Path) -> None:
    """Where nothing matches, the reason and its causes are those of this process."""
    world = doubtful_world(4)
    (_, areas), *_ = world.history.versions
    far = replace(world.fixes, lon=world.fixes.lon + 20)
    compare(session, Facts(areas, far, list(world.booked), []), far, tmp_path / "far", Random(4))


def test_a_damaged_file_is_named(session: Any, tmp_path: Path) -> None:
    """A Parquet file that breaks off is refused with its name and what to do, and nothing is counted."""
    from stream.files import spark

    path = tmp_path / "broken.parquet"
    count = 5000
    columns = {name: pa.array(np.random.default_rng(1).random(count)) for name in ("lon", "lat")}
    names = {"device_id": pa.array(["R1"] * count), "time": pa.array(["2026-11-23T08:00:00Z"] * count)}
    parquet.write_table(pa.table(names | columns), path, row_group_size=1000, compression="zstd")
    data = bytearray(path.read_bytes())
    data[len(data) // 3 : len(data) // 2] = b"\xff" * (len(data) // 2 - len(data) // 3)
    path.write_bytes(data)
    with pytest.raises(AccountError, match=r"broken\.parquet: row .*not readable.*copy the file again"):
        spark.read(session, [path], limits(POLICIES), rows=1000)


@given(
    st.lists(st.tuples(st.sampled_from("abcde"), st.lists(st.integers(0, 7), max_size=3)), max_size=8),
    st.lists(st.integers(0, 50), min_size=8, max_size=8),
    st.integers(1, 100),
)
def test_what_shares_a_device_or_an_officer_is_in_one_task(
    duties: list[tuple[str, list[int]]], fixes: list[int], at_once: int
) -> None:
    """Every duty and device is in one task, and in that of all that it shares an officer or device with."""
    from stream.files.spark import belonging, bins

    of_duty, of_device = belonging([name for name, _ in duties], [mine for _, mine in duties], 8)
    found = bins(of_duty, of_device, np.array(fixes, np.int64), at_once)
    duty_bin = {duty: number for number, part in enumerate(found) for duty in part.duties.tolist()}
    device_bin = {device: number for number, part in enumerate(found) for device in part.devices.tolist()}
    assert sum(len(part.duties) for part in found) == len(duty_bin) == len(duties)
    assert sum(len(part.devices) for part in found) == len(device_bin) == 8
    for one, (officer, mine) in enumerate(duties):
        for other, (name, _) in enumerate(duties):
            assert officer != name or duty_bin[one] == duty_bin[other]
        assert all(device_bin[device] == duty_bin[one] for device in mine)
    for part in found:  # as much as fits, or one whole that does not
        size = sum(fixes[device] for device in part.devices.tolist())
        filled = {of_device[d] for d in part.devices.tolist() if fixes[d]}
        assert size <= at_once or len(filled) == 1


def test_a_cluster_counts_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`patrol account --engine spark:MASTER`, workers in processes of their own: equal Parquet files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    shift = ["--officers", "12", "--hours", "1", "--interval", "10", "--seed", "3", "--format", "parquet"]
    files = ["--areas", "s/areas.geojson", "--positions", "s/positions.parquet", "--duties", "s/duties.jsonl"]
    for words in (
        ["simulate", *shift, "--out", "s"],
        ["account", *files, "--states", "s/states.jsonl", "--out", "here"],
        ["account", *files, "--states", "s/states.jsonl", "--out", "here", "--format", "parquet"],
    ):
        assert CliRunner().invoke(patrol, words).exit_code == 0
    # A session ends with its command, so another process has the cluster.
    words = ["--engine", "spark:local-cluster[2,1,1024]", "--format", "parquet", "--out", "there"]
    done = subprocess.run(
        [Path(sys.executable).with_name("patrol"), "account", *files, "--states", "s/states.jsonl", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert {path.name: path.read_bytes() for path in Path("there").iterdir()} == {
        path.name: path.read_bytes() for path in Path("here").glob("*.parquet")
    }
    for path in Path("there").iterdir():  # typed, and nothing else than the CSV says
        assert (
            parquet.read_table(path).num_rows
            == len(list(csv.reader(path_of_csv(path).read_text().splitlines()))) - 1
        )


def test_an_engine_that_is_none_is_refused(tmp_path: Path) -> None:
    """Another word than spark is wrong use, said in one line."""
    for name in ("a", "d"):
        (tmp_path / name).write_text("")
    words = ["--areas", "x", "--positions", str(tmp_path / "a"), "--duties", str(tmp_path / "d")]
    done = CliRunner().invoke(patrol, ["account", *words, "--engine", "sparks", "--out", str(tmp_path)])
    assert done.exit_code == 2
    assert "'sparks' is no engine; write spark, or spark:MASTER" in done.output
