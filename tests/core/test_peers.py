"""The peers' benchmark: the job of all is ours made simpler, and its check tells when somebody does less."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from geo.areas import Area, AreaSet, Kind
from geo.matching.history import UNKNOWN, AreaHistory
from stream.core.events import UsableLimits, decode_positions
from stream.core.facts import SECOND
from stream.core.policy import Policies
from stream.core.stays import stays, whole_stays
from tests.bench import bench_peers
from tests.bench.bench_peers import UnavailableError, differences, made
from tests.bench.peers import job
from tests.bench.peers.reports import REPEATED, Reports, wrong
from tests.bench.roaming import Size
from tests.strategies import EPOCH, GAPS, fix_columns, many

if TYPE_CHECKING:
    from tests.strategies import Fix

NOW_MS = 1_790_000_000_000
LIMITS = UsableLimits(retention_s=400 * 86_400)
SMALL = Size(100, 12, 9, 0)
PEERS = Path(bench_peers.__file__).parent / "peers"
CELL = 0.02

numbers = st.one_of(
    st.floats(-200, 250, allow_nan=False),
    st.sampled_from([0, 0.0, -0.0, 1, 180, 180.0000001, -180, 90, 90.0001, 200, 200.01, 1e300, -1e-300]),
)
anything: st.SearchStrategy[Any] = st.one_of(
    st.none(), st.booleans(), st.just("51.2"), st.just([1.0]), st.just({})
)
times = st.one_of(
    st.sampled_from(
        [
            "2026-09-21T14:13:20Z",
            "2026-09-21T14:13:20.001Z",
            "2026-09-21T14:13:20.000001Z",
            "2026-09-21T15:13:20+01:00",
            "2026-09-21T14:13:20",
            "2026-09-21 14:13:20Z",
            "2026-02-30T14:13:20Z",
            "2026-09-21T14:18:20Z",
            "2026-09-21T14:18:20.001Z",
            "21/09/2026 14:13",
            "",
        ]
    ),
    anything,
)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """A position as somebody sends it: mostly whole, or with fields missing, wrong or of another type."""
    said: dict[str, Any] = {
        "device_id": draw(
            st.one_of(st.sampled_from(["R1", "R2"]), st.just(""), st.just("é" * 201), anything)
        ),
        "time": draw(times),
        "lon": draw(st.one_of(numbers, anything)),
        "lat": draw(st.one_of(numbers, anything)),
        "error_m": draw(st.one_of(numbers, anything)),
        "received": "2026-09-21T14:13:20Z",
    }
    whole = {"device_id": "R1", "time": "2026-09-21T14:13:20Z", "lon": -1.1, "lat": 52.6, "error_m": 8.0}
    kept = draw(st.sets(st.sampled_from(sorted(whole)), max_size=3))
    said |= {name: value for name, value in whole.items() if name not in kept}
    for name in draw(st.sets(st.sampled_from(sorted(said)), max_size=1)):
        del said[name]
    body = json.dumps(said, ensure_ascii=draw(st.booleans())).encode()
    cut = draw(st.one_of(st.none(), st.integers(0, len(body))))
    return body if cut is None else draw(st.sampled_from([body[:cut], body[:cut] + b"\xff" + body[cut:]]))


@many(60)
@given(st.lists(messages(), min_size=1, max_size=8))
def test_what_the_job_takes_ours_takes_alike(values: list[bytes]) -> None:
    """Every message that the peers' job counts is one that ours counts: the same device, time and point."""
    ours = decode_positions(values, None, limits=LIMITS)
    taken = {
        index: (ours.fixes.device_ids[device], time, lon, lat)
        for index, device, time, lon, lat in zip(
            ours.index.tolist(),
            ours.fixes.device.tolist(),
            ours.fixes.time.tolist(),
            ours.fixes.lon.tolist(),
            ours.fixes.lat.tolist(),
            strict=True,
        )
    }
    for index, value in enumerate(values):
        fix = job.read(value)
        assert fix is None or taken.get(index) == tuple(fix)


@pytest.mark.parametrize("kind", range(REPEATED))
def test_wrong_reports_are_refused_by_both(kind: int) -> None:
    """Each kind of wrong report that the benchmark sends is refused by the job and by ours."""
    value = wrong(kind, "R000001", NOW_MS)
    assert job.read(value) is None
    assert len(decode_positions([value], None, limits=LIMITS).rejects) == 1


def _areas() -> AreaSet:
    boxes = [(name, shapely.box(x * CELL, 0, (x + 1) * CELL, CELL)) for x, name in enumerate("ABC")]
    return AreaSet.of(
        Area(Kind.NEIGHBOURHOOD, name, name, shapely.segmentize(box, 0.003)) for name, box in boxes
    )


def _ground(folder: Path) -> job.Ground:
    areas, path = _areas(), folder / "areas"
    rows = zip(areas.area_id, areas.geometry, strict=True)
    path.write_text("".join(f"{name}\t{shape.wkb_hex}\n" for name, shape in rows))
    return job.Ground(path)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> job.Ground:
    """Three neighbourhoods in a row, as the peers read them."""
    return _ground(tmp_path_factory.mktemp("ground"))


spots = st.one_of(
    st.tuples(st.integers(-1, 4), st.integers(-1, 2)).map(lambda at: (at[0] * CELL, at[1] * CELL)),
    st.tuples(st.floats(-0.01, 0.07), st.floats(-0.01, 0.03)),
)


@many(60)
@given(st.lists(spots, min_size=1, max_size=10))
def test_many_points_are_found_as_one_is_and_as_ours(
    ground: job.Ground, points: list[tuple[float, float]]
) -> None:
    """A point's neighbourhood is the same looked up alone, among others, and by ours, on edges too."""
    history = AreaHistory([(-(2**62), _areas())])
    lon, lat = (np.array(column) for column in zip(*points, strict=True))
    index = history.indexes[0]
    ours = [index.place(number).neighbourhood or "" for number in index.locate(lon, lat).tolist()]
    assert ground.places(lon.tolist(), lat.tolist()) == [ground.place(*point) for point in points] == ours


@st.composite
def walks(draw: st.DrawFn) -> list[Fix]:
    """Fixes of two devices that nobody drove too fast, in time order, some said again."""
    fixes: list[Fix] = []
    for device in ("R1", "R2"):
        time, x = NOW_MS * 1000, draw(st.integers(0, 60))
        gaps = st.one_of(st.sampled_from(GAPS), st.integers(1, 2_000 * SECOND))
        for gap in draw(st.lists(gaps, max_size=8)):
            fixes += [(device, time, x * 0.0001, 0.01, 10.0)] * draw(st.sampled_from([1, 1, 1, 2]))
            most = min(40, gap // SECOND)  # so many times 11 m: nobody drives at 80 m/s
            time, x = time + gap, x + draw(st.integers(-most, most))
    return fixes


@many(60)
@given(walks())
def test_the_job_credits_the_same_time_as_ours(ground: job.Ground, fixes: list[Fix]) -> None:
    """By device the job credits as much time as ours, and by place too but for legs over an edge."""
    tracks: dict[str, job.Track] = {}
    rows: dict[tuple[str, str], int] = {}
    over: dict[str, int] = {}
    last: dict[str, tuple[int, str]] = {}
    for device, time, lon, lat, _ in fixes:
        place = ground.place(lon, lat)
        job.count([(job.Fix(device, time, lon, lat), place)], tracks, rows)
        before, was = last.get(device, (time, place))
        if place != was:
            over[device] = over.get(device, 0) + time - before
        last[device] = (time, place)
    history = AreaHistory([(-(2**62), _areas())])
    columns = fix_columns(fixes)
    found = whole_stays(stays(columns, history, Policies()), history.places)
    ours: dict[tuple[str, str], int] = {}
    for number, start, end, at in zip(
        found.device.tolist(), found.start.tolist(), found.end.tolist(), found.place.tolist(), strict=True
    ):
        if at != UNKNOWN:
            key = columns.device_ids[number], history.places[at].neighbourhood or ""
            ours[key] = ours.get(key, 0) + end - start
    assert differences(ours, rows, over) == []


@pytest.mark.parametrize("turns", [4, 24])
def test_the_job_gives_what_is_right(tmp_path: Path, turns: int) -> None:
    """The job, fed the benchmark's messages, gives the result that the benchmark works out in another way."""
    reports = Reports(SMALL, turns, NOW_MS)
    force = reports.areas().only(Kind.NEIGHBOURHOOD)
    path = tmp_path / "areas"
    rows = zip(force.area_id, force.geometry, strict=True)
    path.write_text("".join(f"{name}\t{shape.wkb_hex}\n" for name, shape in rows))
    ground = job.Ground(path)
    tracks: dict[str, job.Track] = {}
    found: dict[tuple[str, str], int] = {}
    for turn in range(turns):
        for value in reports.said(reports.order, reports.times_ms(turn)[reports.order], turn):
            if (fix := job.read(value)) is not None:
                job.count([(fix, ground.place(fix.lon, fix.lat))], tracks, found)
    right, _ = reports.right()
    assert found == right
    assert differences(found, right, None) == []


@many(60)
@given(st.data())
def test_whoever_does_less_is_found(data: st.DataObject) -> None:
    """A row that is missing, or off by a microsecond, is told; so is a device's whole, whatever its edges."""
    right, over = Reports(SMALL, 6, NOW_MS).right()
    device, place = data.draw(st.sampled_from(sorted(right)))
    less = dict(right)
    less[device, place] -= data.draw(st.sampled_from([1, less[device, place]]))
    assert (device, place) in {row[:2] for row in differences(less, right, None)}
    assert (device, "*") in {row[:2] for row in differences(less, right, over)}


def test_reports_hold_everything_that_the_job_has_to_tell_apart() -> None:
    """Among what is sent there is each kind of wrong report, and silences on both sides of both limits."""
    reports = Reports(SMALL, 24, NOW_MS)
    seen: set[bytes] = set()
    repeated = 0
    for turn in range(24):
        said = reports.said(reports.order, reports.times_ms(turn)[reports.order], turn)
        repeated += len(seen & set(said))
        seen |= set(said)
    refused = [value for value in seen if job.read(value) is None]
    ours = decode_positions(refused, None, limits=LIMITS)
    reasons = {str(reject.reason) for reject in ours.rejects}
    assert reasons == {
        *("not_json", "missing_field", "bad_value", "out_of_range", "zero_position"),
        *("error_too_large", "in_future"),
    }
    assert repeated
    silences = set((reports.times_ms(12) - reports.times_ms(11)).tolist())
    assert silences == {5_000, 304_000, 605_000, 2_005_000}


def test_java_and_python_have_the_same_rules() -> None:
    """The program in Java has the thresholds of the one in Python."""
    source = (PEERS / "kafka_streams" / "src" / "main" / "java" / "peers" / "PlaceTime.java").read_text()
    found = {
        name: float(value.replace("_", "").rstrip("L"))
        for name, value in re.findall(r"static final (?:long|double|int) (\w+) = ([\d_.]+L?);", source)
    }
    assert found == {
        "MAX_GAP_US": job.MAX_GAP_US,
        "PARKED_GAP_US": job.PARKED_GAP_US,
        "MAX_AHEAD_US": job.MAX_AHEAD.total_seconds() * SECOND,
        "PARKED_M": job.PARKED_M,
        "MAX_ERROR_M": job.MAX_ERROR_M,
        "EARTH_RADIUS_M": job.EARTH_RADIUS_M,
        "WRITE_AFTER": job.WRITE_AFTER,
    }
    assert f"Duration.ofSeconds({job.WRITE_S:.0f})" in source


@pytest.mark.parametrize("name", ["bytewax", "quix"])
def test_packages_of_peers_are_pinned(name: str) -> None:
    """Every package of a peer's own environment has its version, and nothing says where it comes from."""
    lines = (PEERS / f"{name}.txt").read_text().splitlines()
    assert all(re.fullmatch(r"#.*|[\w.-]+==[\w.]+", line) for line in lines)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["/nowhere/mvn"], "No such file or directory: /nowhere/mvn"),
        ([sys.executable, "-c", "import sys; sys.exit('x\\nERROR: first\\nERROR: last')"], "ERROR: last"),
        ([sys.executable, "-c", "print('\\x1b[0mERROR: ' + 'y' * 999); raise SystemExit(1)"], "ERROR: yyy"),
        ([sys.executable, "-c", "raise SystemExit(1)"], "no reason given"),
    ],
    ids=["no such program", "the last reason", "a long one", "none"],
)
def test_why_a_peer_cannot_be_had_is_one_short_line(words: list[str], said: str) -> None:
    """Whatever an installer says, the reason that is told is a single line of at most some 200 characters."""
    with pytest.raises(UnavailableError, match=f"^it could not be made: {re.escape(said)}") as told:
        made(words, "it could not be made", -1)
    text = str(told.value)
    assert len(text) < 250
    assert text.isprintable()


def test_every_peer_is_described() -> None:
    """README.md of the benchmarks tells of each peer by the word that is in the last line."""
    told = (PEERS.parent / "README.md").read_text(encoding="utf-8")
    assert [name for name in bench_peers.PEERS if f"`{name}`" not in told] == []


def test_the_epoch_is_the_house_s() -> None:
    """Peers count microseconds from the same moment as everybody."""
    assert job.EPOCH == EPOCH
