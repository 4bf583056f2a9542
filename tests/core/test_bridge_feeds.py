"""Feeds as devices write them → events, and nothing lost: the bridge's decoders, framing and dating."""

from __future__ import annotations

import json
import math
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.cli.bridge import bridge as command
from stream.core.calendar import parse_time
from stream.core.events import KNOT, UsableLimits, decode_positions
from stream.core.facts import SECOND
from stream.pipeline.bridge import dating, formats, lip
from stream.pipeline.bridge.formats import FORMATS, decoder, framer
from stream.pipeline.bridge.framing import Framer
from stream.pipeline.bridge.outcomes import KMH, MPH, FeedEvent, FeedOther, FeedReject, Origin
from tests import feed_encoders as written

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stream.pipeline.bridge.outcomes import Outcome

NOW = parse_time("2026-11-23T08:15:04Z")
HERE = Origin(None, NOW, NOW, prompt=True)
SAMPLES = Path(__file__).resolve().parents[1] / "samples"
DAY = 86_400 * SECOND

lons = st.floats(-179.9, 179.9)
lats = st.floats(-89.9, 89.9)
whole_seconds = st.integers(0, 86_399).map(lambda second: NOW - DAY // 2 + second * SECOND)
milliseconds = st.integers(0, 86_399_999).map(lambda part: NOW - DAY // 2 + part * 1000)
devices = st.from_regex(r"[A-Z0-9]{1,8}", fullmatch=True)


def decoded(frames: Sequence[str | bytes], format_: str = "auto", origin: Origin = HERE) -> list[Outcome]:
    """What becomes of frames of one sender that then goes."""
    made = decoder(format_)
    found: list[Outcome] = []
    for frame in frames:
        found += made.feed(frame.encode() if isinstance(frame, str) else frame, origin)
    return [*found, *made.flush()]


def only(frames: Sequence[str | bytes], format_: str = "auto", origin: Origin = HERE) -> dict[str, Any]:
    """The fields of the one event that frames make."""
    [found] = decoded(frames, format_, origin)
    assert isinstance(found, FeedEvent), found
    fields: dict[str, Any] = json.loads(found.value())
    return fields


def refused(frames: Sequence[str | bytes], format_: str = "auto", origin: Origin = HERE) -> FeedReject:
    """The one reject that frames make."""
    [found] = decoded(frames, format_, origin)
    assert isinstance(found, FeedReject), found
    return found


def near(fields: dict[str, Any], lon: float, lat: float, lon_step: float, lat_step: float) -> None:
    """The event's position is the one given, to half a step of the format."""
    assert abs(fields["lon"] - lon) <= lon_step / 2 + 1e-9
    assert abs(fields["lat"] - lat) <= lat_step / 2 + 1e-9


# --- Round trips ------------------------------------------------------------------------------------------


@given(milliseconds, lons, lats, st.floats(0, 200), st.floats(0, 359.9), devices, st.booleans())
def test_nmea_comes_back(
    time: int, lon: float, lat: float, knots: float, course: float, device: str, gga_first: bool
) -> None:
    """RMC and GGA of one moment, in either order, make one event with what was written, to the resolution."""
    pair = [written.rmc(time, lon, lat, knots, course), written.gga(time, lon, lat, satellites=7, hdop=1.25)]
    if gga_first:
        pair.reverse()
    fields = only([f"{device},{pair[0]}", pair[1]], "nmea")
    near(fields, lon, lat, 1e-5 / 60, 1e-5 / 60)
    assert parse_time(fields["time"]) == time
    assert fields["device_id"] == device
    assert fields["speed_mps"] == pytest.approx(knots * KNOT, abs=0.0006 * KNOT)
    assert fields["heading_deg"] == pytest.approx(course, abs=0.006)
    assert (fields["satellites"], fields["hdop"]) == (7, 1.25)
    assert "valid" not in fields


@given(whole_seconds, lons, lats, st.integers(0, 200), st.integers(0, 359), devices, st.booleans())
def test_taip_pv_comes_back(
    time: int, lon: float, lat: float, mph: int, heading: int, device: str, check: bool
) -> None:
    """A PV report, with or without a checksum, is the event that was written, on the day of its receipt."""
    fields = only([written.taip(written.pv(time, lon, lat, mph, heading), device, check=check)])
    near(fields, lon, lat, 1e-5, 1e-5)
    assert parse_time(fields["time"]) == time
    assert fields["device_id"] == device
    assert fields["speed_mps"] == pytest.approx(mph * MPH)
    assert fields["heading_deg"] == heading
    assert "valid" not in fields
    assert "outdated" not in fields


@given(milliseconds, lons, lats, st.floats(0, 200), st.floats(0, 359.9), st.integers(1, 12))
def test_taip_ln_comes_back(
    time: int, lon: float, lat: float, mph: float, heading: float, satellites: int
) -> None:
    """An LN report is the event that was written, to the thousandth of a second."""
    fields = only([written.taip(written.ln(time, lon, lat, mph, heading, satellites), "7")])
    near(fields, lon, lat, 1e-7, 1e-7)
    assert parse_time(fields["time"]) == time
    assert fields["speed_mps"] == pytest.approx(mph * MPH, abs=0.051 * MPH)
    assert fields["heading_deg"] == pytest.approx(heading, abs=0.051)
    assert fields["satellites"] == satellites


@given(
    lons,
    lats,
    st.integers(0, 3),
    st.integers(0, 7),
    st.one_of(st.none(), st.floats(0, 1000)),
    st.integers(0, 15),
    st.booleans(),
    st.integers(1, 16_777_215),
)
def test_lip_short_comes_back(
    lon: float,
    lat: float,
    elapsed: int,
    error: int,
    kmh: float | None,
    direction: int,
    protocol: bool,
    issi: int,
) -> None:
    """A short report, with the protocol identifier or bare, is the event that was written, bit by bit."""
    bits = written.lip_short(lon, lat, elapsed=elapsed, error=error, kmh=kmh, direction=direction)
    assert len(bits) == 76
    fields = only([f"{issi} {written.as_hex(bits, protocol=protocol)}"])
    near(fields, lon, lat, 360 / 2**25, 180 / 2**24)
    assert fields["device_id"] == str(issi)
    assert parse_time(fields["time"]) == NOW
    assert fields.get("error_m") == (2, 20, 200, 2000, 20_000, 200_000, 20_000_000, None)[error]
    assert (fields.get("valid") is False) == (error == 7)
    assert (fields.get("outdated") is True) == (elapsed > 0)
    assert fields["reason"] == "max interval"
    if kmh is None:
        assert "speed_mps" not in fields
        assert "heading_deg" not in fields
    else:
        assert fields["speed_mps"] / KMH == pytest.approx(kmh, rel=0.02, abs=0.5)
        assert fields.get("heading_deg") == (direction * 22.5 if fields["speed_mps"] else None)


@st.composite
def long_reports(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A long report of any shape with a point, as bits, and what it says."""
    lon, lat = draw(lons), draw(lats)
    says: dict[str, Any] = {"lon": lon, "lat": lat, "outdated": False, "valid": True, "error_m": None}
    at = draw(st.one_of(st.none(), st.integers(0, 3), whole_seconds))
    if at is None:
        time = "00"
    elif at < 4:
        time = written.packed((1, 2), (at, 2))
        says["outdated"] = at > 0
    else:
        day = written.moment(at)
        time = written.packed((2, 2), (day.day, 5), (day.hour, 5), (day.minute, 6), (day.second, 6))
        says["time"] = at
    shape = draw(st.sampled_from([1, 2, 3, 4, 5, 6, 7, 8, 10]))
    after = {1: 0, 2: 0, 3: 17, 4: 12, 5: 12, 6: 29, 7: 15, 8: 32, 10: 0}[shape]
    where = written.packed((shape, 4)) + written.point(lon, lat)
    if shape == 10:
        code = draw(st.integers(0, 7))
        where += written.packed((code, 3))
        says["error_m"] = (2, 20, 200, 2000, 20_000, 200_000, 20_000_000, None)[code]
        says["valid"] = code != 7
    elif shape not in {1, 4}:
        code = draw(st.integers(0, 63))
        where += written.packed((code, 6))
        says["error_m"] = None if code == 63 else 2 * 1.2**5 * 1.2**code - 4
    where += written.packed((draw(st.integers(0, 2**after - 1)), after)) if after else ""
    velocity = draw(st.integers(0, 7))
    kmh, angle = draw(st.floats(1, 900)), draw(st.integers(0, 255))
    some, turn = draw(st.integers(0, 7)), (angle, 8)
    parts = {
        0: [],
        1: [],
        2: [(some, 3)],
        3: [(some, 8)],
        4: [(some, 3), (9, 8), (some, 3)],
        5: [turn],
        6: [(some, 3), turn, (some, 3)],
        7: [(some, 3), (9, 8), (some, 3), turn, (some, 3)],
    }[velocity]
    motion = written.packed((velocity, 3))
    if velocity:
        motion += written.packed((written.speed_code(kmh), 7), *parts)
        says["kmh"] = kmh
    if velocity >= 5:
        says["heading_deg"] = angle * 360 / 256
    more = draw(st.text("01", max_size=40))  # optional elements
    return written.lip_long(time, where, motion) + more, says


@given(long_reports(), st.booleans())
def test_lip_long_comes_back(report: tuple[str, dict[str, Any]], protocol: bool) -> None:
    """A long report of any time, shape and velocity type is the event that was written."""
    bits, says = report
    fields = only([f"7:{written.as_hex(bits, protocol=protocol)}"])
    near(fields, says["lon"], says["lat"], 360 / 2**25, 180 / 2**24)
    assert parse_time(fields["time"]) == says.get("time", NOW)
    assert fields.get("outdated", False) == says["outdated"]
    assert fields.get("valid", True) == says["valid"]
    assert fields.get("error_m") == (
        None if says["error_m"] is None else pytest.approx(says["error_m"], abs=0.001)
    )
    if "kmh" in says:
        assert fields["speed_mps"] / KMH == pytest.approx(says["kmh"], rel=0.02, abs=0.5)
    else:
        assert "speed_mps" not in fields
    assert fields.get("heading_deg") == says.get("heading_deg")


@given(
    milliseconds,
    lons,
    lats,
    st.floats(0.1, 500),
    st.floats(0, 100),
    st.floats(0, 360),
    st.booleans(),
    st.booleans(),
    st.integers(0, 20),
)
def test_traccar_comes_back(
    time: int,
    lon: float,
    lat: float,
    accuracy: float,
    knots: float,
    course: float,
    valid: bool,
    outdated: bool,
    satellites: int,
) -> None:
    """A forwarded position is the event that was written, with what the tracker says of it."""
    attributes = {"motion": True, "ignition": False, "sat": satellites, "hdop": 1.5, "io": {"9": [1]}}
    line = written.traccar(
        "FX12",
        time,
        lon,
        lat,
        accuracy=accuracy,
        speed=knots,
        course=course,
        valid=valid,
        outdated=outdated,
        attributes=attributes,
    )
    fields = only([line])
    assert (fields["lon"], fields["lat"], fields["error_m"]) == (lon, lat, accuracy)
    assert parse_time(fields["time"]) == time
    assert parse_time(fields["received"]) == min(time, NOW)
    assert fields["speed_mps"] == pytest.approx(knots * KNOT)
    assert fields["heading_deg"] == course
    assert fields["outdated"] is outdated
    assert fields["valid"] is (valid and satellites > 0)
    assert (fields["motion"], fields["ignition"], fields["hdop"]) == (True, False, 1.5)


@given(
    st.integers(946_684_800, 4_102_444_799),
    lons,
    lats,
    st.one_of(st.none(), st.floats(-5, 500)),
    st.one_of(st.none(), st.integers(-1, 300)),
    st.one_of(st.none(), st.integers(-1, 360)),
    st.booleans(),
)
def test_owntracks_comes_back(
    tst: int, lon: float, lat: float, acc: float | None, vel: int | None, cog: int | None, as_text: bool
) -> None:
    """A location is the event that was written, with numbers or text; negative values are unknown."""
    body = {"_type": "location", "tst": tst, "lon": lon, "lat": lat, "acc": acc, "vel": vel, "cog": cog}
    if as_text:
        body = {name: value if value is None else str(value) for name, value in body.items()}
    fields = only([json.dumps({**body, "tid": "p1"})], "owntracks")
    assert (fields["lon"], fields["lat"], fields["device_id"]) == (lon, lat, "p1")
    assert parse_time(fields["time"]) == tst * SECOND
    assert fields.get("error_m") == (acc if acc is not None and acc > 0 else None)
    assert (fields.get("valid") is False) == (acc is not None and acc < 0)
    assert fields.get("speed_mps") == (None if vel is None or vel < 0 else pytest.approx(vel * KMH))
    assert fields.get("heading_deg") == (None if cog is None or cog < 0 else cog)


# --- Nothing is lost, nothing breaks ----------------------------------------------------------------------

LINES = [line for path in sorted(SAMPLES.iterdir()) for line in path.read_bytes().splitlines()]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A line of a sample with some of its bytes changed, taken out, doubled or cut off."""
    line = bytearray(draw(st.sampled_from(LINES)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(line)))
        match draw(st.integers(0, 3)):
            case 0:
                line[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case 1:
                del line[at : at + draw(st.integers(1, 20))]
            case 2:
                line[at:at] = draw(st.sampled_from(LINES))[: draw(st.integers(0, 60))]
            case _:
                del line[at:]
    return bytes(line)


@given(
    st.lists(st.one_of(st.binary(max_size=200), damaged()), max_size=6),
    st.sampled_from(FORMATS),
    st.booleans(),
)
def test_whatever_comes_comes_out_exactly_once(frames: list[bytes], format_: str, live: bool) -> None:
    """Any bytes become events, named rejects or named others that hold each byte once; none breaks."""
    origin = HERE if live else Origin("van")
    made = framer(format_)
    cut = [frame.data for part in frames for frame in (*made.feed(part + b"\n"), *made.close()) if frame.data]
    found = decoded(cut, format_, origin)
    assert Counter(b"".join(part for item in found for part in item.raw)) == Counter(b"".join(cut))
    for item in found:
        if isinstance(item, FeedEvent):
            fields = json.loads(item.value())
            assert parse_time(fields["time"]) is not None
            assert all(math.isfinite(fields[name]) for name in ("lon", "lat"))
            assert fields["device_id"]
        elif isinstance(item, FeedReject):
            assert item.reason
            assert item.detail
        else:
            assert isinstance(item, FeedOther)


@given(
    st.lists(damaged(), max_size=6), st.data(), st.sampled_from(["any", "taip"]), st.sampled_from([40, 9999])
)
def test_frames_do_not_depend_on_how_the_bytes_are_cut(
    lines: list[bytes], data: st.DataObject, ends: str, limit: int
) -> None:
    """The same bytes, cut anywhere, are the same frames; those too long are told with their length."""
    stream = b"\r\n".join(lines)
    whole = Framer(ends, limit)
    expected = [*whole.feed(stream), *whole.close()]
    pieces, at = Framer(ends, limit), 0
    found = []
    while at < len(stream):
        step = data.draw(st.integers(1, 50))
        found += pieces.feed(stream[at : at + step])
        at += step
    assert [*found, *pieces.close()] == expected
    assert all(len(frame.data) <= limit for frame in expected)
    assert all(frame.whole or frame.length > limit for frame in expected)
    if ends == "any":
        kept = b"".join(frame.data for frame in expected if frame.whole)
        assert len(kept) <= len(stream)


def test_a_line_that_never_ends_is_told_and_not_kept() -> None:
    """A frame over the limit comes out cut, with its whole length, and the next one is taken again."""
    made = Framer(limit=10)
    found = [frame for piece in [b"x" * 7] * 5 + [b"\n$GP\n"] for frame in made.feed(piece)]
    assert [(frame.data, frame.length, frame.whole) for frame in found] == [
        (b"x" * 10, 35, False),
        (b"$GP", 3, True),
    ]
    said = formats.too_long("nmea", found[0])
    assert (said.reason, said.raw) == ("bad_value", (b"x" * 10,))
    assert "35 bytes" in said.detail


# --- Dates ------------------------------------------------------------------------------------------------


@given(st.integers(0, 4_000_000_000_000_000), st.integers(-DAY // 2 + 1, DAY // 2 - 1))
def test_a_time_of_day_finds_its_day(time: int, late: int) -> None:
    """The day of a time of day is found wherever midnight lies, while it waited for less than half a day."""
    assert dating.by_time_of_day(time % DAY, time + late) == time


@given(st.integers(0, 4_000_000_000_000_000), st.integers(-13 * DAY, 13 * DAY))
def test_a_day_of_the_month_finds_its_month(time: int, late: int) -> None:
    """The month of a day is found while it waited for less than half of the shortest month."""
    day = written.moment(time).day
    assert dating.by_day_of_month(day, time % DAY, time + late) == time


def test_a_day_that_no_month_near_has_is_told() -> None:
    """The 31st asked about in the middle of short months is still found; the 0th is not there."""
    assert dating.by_day_of_month(0, 0, NOW) is None


@pytest.mark.parametrize(("late", "reason"), [(10, None), (13 * 3600, "in_future"), (20 * 3600, "in_future")])
def test_a_taip_report_that_waited_too_long_is_no_false_fix(late: int, reason: str | None) -> None:
    """A report without a date that waited for over half a day is rejected, not put on a wrong day."""
    sent = parse_time("2026-11-22T23:59:58Z")
    at = sent + late * SECOND
    fields = only(
        [written.taip(written.pv(sent, -1.1, 52.6, 0, 0), "7")], origin=Origin(None, at, at, prompt=True)
    )
    limits = UsableLimits(retention_s=400 * 86_400)
    found = decode_positions([json.dumps(fields).encode()], None, limits=limits)
    assert [str(item.reason) for item in found.rejects] == ([reason] if reason else [])
    if reason is None:
        assert parse_time(fields["time"]) == sent


def test_receivers_that_send_gps_time_are_set_right() -> None:
    """With --gps-ahead 18 a time of day of GPS is that of UTC, across midnight too."""
    midnight = parse_time("2026-11-23T00:00:00Z")
    origin = Origin(None, midnight, midnight, prompt=True)
    line = written.taip(written.pv(midnight + 5 * SECOND, -1.1, 52.6, 0, 0), "7").encode()
    [found] = decoder("taip", gps_ahead_s=18).feed(line, origin)
    assert isinstance(found, FeedEvent)
    assert found.fields["time"] == "2026-11-22T23:59:47.000000Z"


# --- What devices say of themselves -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "doubted"),
    [
        ([written.rmc(NOW, -1.1, 52.6, 3, 90)], False),
        ([written.rmc(NOW, -1.1, 52.6, 3, 90, "V")], True),
        ([written.rmc(NOW, -1.1, 52.6, 3, 90), written.gga(NOW, -1.1, 52.6, quality=0)], True),
        ([written.rmc(NOW, -1.1, 52.6, 3, 90), written.gga(NOW, -1.1, 52.6, quality=6)], True),
        ([written.rmc(NOW, -1.1, 52.6, 3, 90), written.gga(NOW, -1.1, 52.6, satellites=0)], True),
        ([written.gga(NOW, -1.1, 52.6, quality=8), written.rmc(NOW, -1.1, 52.6, 3, 90)], True),
        ([written.rmc(NOW, -1.1, 52.6, 3, 90), written.sentence("GNGGA,081504.000,,,,,0,00,,,M,,M,,")], True),
        ([written.sentence("GNRMC,081504,A,5236.0,N,00106.0,W,3.0,90.0,231126,,,E")], True),
        ([written.sentence("GNGNS,081504,5236.0,N,00106.0,W,NN,09,0.9,80,47,,")], True),
        ([written.sentence("GNGNS,081504,5236.0,N,00106.0,W,AN,09,0.9,80,47,,")], False),
        ([written.sentence("GNGLL,5236.0,N,00106.0,W,081504,V,N")], True),
        ([written.taip(written.pv(NOW, -1.1, 52.6, 0, 0, source=9, age=0))], True),
        ([written.taip(written.pv(NOW, -1.1, 52.6, 0, 0, source=6))], True),
        ([written.taip(written.pv(NOW, -1.1, 52.6, 0, 0, source=3))], False),
        ([written.taip(written.ln(NOW, -1.1, 52.6, 0, 0, satellites=0))], True),
        ([written.traccar("a", NOW, -1.1, 52.6, attributes={"approximate": True})], True),
        ([written.traccar("a", NOW, -1.1, 52.6, attributes=[])], False),
    ],
)
def test_a_device_that_says_it_has_no_fix_is_believed(lines: list[str], doubted: bool) -> None:
    """What a device says of its own validity is a field of the event, for the whole moment."""
    fields = only(lines, origin=Origin("van", NOW, NOW, prompt=True))
    assert (fields.get("valid") is False) is doubted


def test_an_old_report_is_outdated() -> None:
    """A TAIP report older than ten seconds, and a radio that lost its position, say so."""
    origin = Origin("7", NOW, NOW, prompt=True)
    assert only([written.taip(written.pv(NOW, -1.1, 52.6, 0, 0, age=1))], origin=origin)["outdated"] is True
    for code in (21, 30):
        line = written.as_hex(written.lip_short(-1.1, 52.6, code=code))
        assert only([line], origin=origin)["outdated"] is True


@pytest.mark.parametrize(
    ("line", "reason", "words"),
    [
        (written.sentence("GNRMC,,V,,,,,,,,,,N"), "not_a_fix", "no fix"),
        (written.sentence("GNGGA,081504,,,,,0,00,,,M,,M,,"), "not_a_fix", "no fix"),
        (written.sentence("GNRMC,081504,A,,,,,3.0,90.0,231126,,,A"), "missing_field", "no position"),
        (
            written.sentence("GNRMC,081560,A,5236.0,N,00106.0,W,3.0,90.0,231126,,,A"),
            "missing_field",
            "no time",
        ),
        (written.rmc(NOW, -1.1, 52.6, 3, 90)[:-1] + "X", "bad_value", "broken"),
        (written.rmc(NOW, -1.1, 52.6, 3, 90)[:-20], "bad_value", "fields"),
        (written.sentence("GNRMC,081504,A,5236.0,N,00106.0,W,3.0,90.0,231"), "bad_value", "date"),
        ("hello there", "bad_value", "none of the formats"),
        (written.taip("RPV29704+5263690-0011398003527012")[:-3] + "00<", "bad_value", "checksum"),
        (written.taip("RPV99999+5263690-0011398003527012"), "bad_value", "beyond the day's end"),
        (written.taip("RPV29704+5263690-00113980"), "bad_value", "another form"),
        (written.taip("REV001447147509+2578250-0802813901519512"), "bad_value", "have PV or LN sent"),
        ("7 " + written.as_hex(written.lip_long("00", "0000", "000")), "not_a_fix", "no location"),
        ("7 " + written.as_hex(written.lip_long("00", "1001" + "0" * 100, "000")), "bad_value", "arc"),
        ("7 " + written.as_hex(written.lip_long("00", "1011", "000")), "bad_value", "shape 11"),
        ("7 " + written.as_hex(written.lip_long("11", "0000", "000")), "bad_value", "time type 3"),
        ("7 " + written.as_hex(written.lip_long("10" + "0" * 22, "0000", "000")), "bad_value", "day 0"),
        ("7 " + written.as_hex(written.packed((1, 2), (2, 4)) + "0" * 80), "bad_value", "extension 2"),
        ("7 " + written.as_hex(written.packed((3, 2)) + "0" * 80), "bad_value", "type 3"),
        (f"a,{written.sentence('GNRMC,081504,A,5236.0,N,00106.0,,3.0,90,231126,,,A')}", "bad_value", "hem"),
        (f"a,{written.sentence('GNGGA,081504,5236.0,,00106.0,W,1,09,0.9,80,M,47,M,,')}", "bad_value", "hem"),
        (f"a,{written.sentence('GNGLL,5236.0,NS,00106.0,W,081504,A,A')}", "bad_value", "hem"),
        (f"a,{written.sentence('GNRMC,081504,A,5260.0,N,00106.0,W,3.0,90.0,231126,,,A')}", "bad_value", "60"),
        (f"a,{written.sentence('GNGNS,081504,5236.0,N,00199.9,W,AN,09,0.9,80,47,,')}", "bad_value", "60"),
        ("7 " + written.as_hex(written.lip_short(-1.1, 52.6))[:-4], "bad_value", "too early"),
        ("7 " + written.as_hex(written.lip_short(-1.1, 52.6)) + "0000", "bad_value", "more"),
        (
            '{"position": {"fixTime": "soon", "latitude": 1, "longitude": 1}, "device": {"uniqueId": "a"}}',
            "bad_value",
            "soon",
        ),
        ('{"position": {"fixTime": 1, "latitude": "x", "longitude": 1}}', "bad_value", "latitude"),
        ('{"position": {"fixTime": 1, "latitude": 1, "longitude": 1}}', "missing_field", "uniqueId"),
        ('{"position": ', "not_json", "truncated"),
        ('{"_type": "encrypted", "data": "x"}', "bad_value", "encryption"),
        ('{"_type": "location", "tst": 1795421704, "lat": 52.6, "tid": "a"}', "missing_field", "lon"),
        ('{"_type": "location", "tst": "soon", "lat": 52.6, "lon": 1, "tid": "a"}', "bad_value", "soon"),
        ('{"_type": "party", "tst": 1}', "bad_value", "party"),
    ],
)
def test_what_cannot_be_used_is_named(line: str, reason: str, words: str) -> None:
    """A frame that cannot be used is kept whole, with a reason and a line that says what is wrong."""
    found = refused([line], origin=Origin(None, NOW, NOW, prompt=True))
    assert found.reason == reason
    assert words in found.detail
    assert found.raw == (line.encode(),)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (written.sentence("GPGSV,1,1,01,05,45,120,38"), "other sentence"),
        (written.sentence("GPVTG,90.0,T,,M,3.0,N,5.6,K,A"), "other sentence"),
        ("!AIVDM,1,1,,A,13u?etPv2;0n:dDPwUM1U1Cb069D,0*24", "other sentence"),
        (written.taip("RST00000000"), "other message"),
        ('{"_type": "lwt", "tst": 1}', "lwt"),
        ("7 0A50", "acknowledgement"),
    ],
)
def test_what_has_no_position_by_its_nature_is_named(line: str, kind: str) -> None:
    """Satellite lists, wills and acknowledgements are neither events nor rejects."""
    [found] = decoded([line])
    assert isinstance(found, FeedOther)
    assert found.kind == kind


# --- Whose it is, and when --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "prefix", ["FX12,", "imei:FX12,", "id=FX12 ", "FX12: ", r"\s:FX12,c:1795421704*5B\ "]
)
def test_an_id_before_a_sentence_holds_for_those_after_it(prefix: str) -> None:
    """The id may stand before the sentence in several ways, and need not be repeated."""
    lines = [prefix + written.rmc(NOW, -1.1, 52.6, 3, 90), written.rmc(NOW + SECOND, -1.1, 52.6, 3, 90)]
    found = decoded(lines)
    assert [item.device_id for item in found if isinstance(item, FeedEvent)] == ["FX12", "FX12"]


def test_two_devices_on_one_connection_are_two() -> None:
    """Sentences of one moment with different ids before them are of different devices."""
    lines = [f"{name},{written.rmc(NOW, lon, 52.6, 3, 90)}" for name, lon in (("A1", -1.1), ("B2", -1.2))]
    found = decoded(lines, "nmea")
    assert [(item.device_id, item.fields["lon"]) for item in found if isinstance(item, FeedEvent)] == [
        ("A1", -1.1),
        ("B2", -1.2),
    ]


def test_sentences_whose_line_ends_got_lost_are_taken() -> None:
    """Two sentences in one line are two; one that breaks off before the next begins is a reject."""
    first, second = written.rmc(NOW, -1.1, 52.6, 3, 90), written.rmc(NOW + SECOND, -1.1, 52.6, 3, 90)
    origin = Origin("van", NOW, NOW, prompt=True)
    assert [type(item) for item in decoded([first + second], origin=origin)] == [FeedEvent, FeedEvent]
    third = written.rmc(NOW + 2 * SECOND, -1.1, 52.6, 3, 90)
    found = decoded([first, second[:-9] + third], origin=origin)
    assert [type(item) for item in found] == [FeedReject, FeedEvent, FeedEvent]


def test_noise_of_the_line_before_a_taip_message_is_no_harm() -> None:
    """TAIP without line ends, with noise between messages and one broken off, gives the whole ones."""
    good = written.taip(written.pv(NOW, -1.1, 52.6, 0, 0), "7")
    made = framer("taip")
    frames = [frame.data for frame in made.feed(f"~~{good}{good[:9]}{good}".encode())]
    found = decoded(frames, "taip")
    assert [type(item) for item in found] == [FeedEvent, FeedReject, FeedEvent]


def test_the_owntracks_topic_names_the_device() -> None:
    """The MQTT topic tells more than the two letters of tid; the payload's own topic does too."""
    line = written.owntracks(NOW // SECOND, -1.1, 52.6)
    topic = Origin("phone", NOW, NOW, topic="owntracks/pc1001/phone")
    assert only([line], origin=topic)["device_id"] == "pc1001/phone"
    inside = written.owntracks(NOW // SECOND, -1.1, 52.6, topic="owntracks/pc1002/phone")
    assert only([inside])["device_id"] == "pc1002/phone"
    assert only([line])["device_id"] == "p1"


@pytest.mark.parametrize("text", ["7 " + written.as_hex(written.lip_short(-1.1, 52.6))])
def test_a_report_without_a_time_that_may_have_waited_is_not_of_now(text: str) -> None:
    """From an MQTT broker or a file, a report of "now" needs the time that the gateway wrote before it."""
    assert "gateway" in refused([text], origin=Origin(None, NOW, NOW)).detail
    assert refused([text], origin=Origin()).reason == "missing_field"
    stamped = only([f"2026-11-20T10:00:00+01:00 {text}"], origin=Origin(None, NOW, NOW))
    assert stamped["time"] == stamped["received"] == "2026-11-20T09:00:00.000000Z"


def test_the_protocol_identifier_is_told_from_a_longitude_that_looks_like_it() -> None:
    """A bare report from 134.9° west begins with the octet 0A too: the length decides, not the octet."""
    bare = written.as_hex(written.lip_short(-134.9, 52.6))
    assert bare.startswith("0A")
    assert only([f"7 {bare}"])["lon"] == pytest.approx(-134.9, abs=1e-4)
    with_protocol = written.as_hex(written.lip_short(-1.1, 52.6), protocol=True)
    assert only([f"7 {with_protocol}"])["lon"] == pytest.approx(-1.1, abs=1e-4)


def test_a_speed_table_that_the_specification_gives() -> None:
    """Codes 0 to 28 are km/h, 126 and 127 are no speed, and the steps between are 3.8%."""
    speeds = [lip._speed(code) for code in range(128)]
    assert speeds[:29] == list(range(29))
    assert speeds[126:] == [None, None]
    steps = [after / before for before, after in pairwise(speeds[29:126]) if before and after]
    assert steps == pytest.approx([1.038] * len(steps))
    assert speeds[125] == pytest.approx(1043, abs=1)


def test_an_accuracy_table_that_the_specification_gives() -> None:
    """Some of the upper ends of horizontal position accuracy as the specification's table prints them."""
    for code, metres in {0: 1, 1: 2, 2: 3.2, 7: 13.8, 20: 186.8, 40: 7310.5, 62: 403_802.7}.items():
        bits = written.lip_long(
            "00", written.packed((2, 4)) + written.point(1, 52) + written.packed((code, 6)), "000"
        )
        assert only([f"7 {written.as_hex(bits)}"])["error_m"] == pytest.approx(metres, rel=0.03)


@pytest.mark.parametrize("path", sorted(SAMPLES.iterdir()), ids=lambda path: path.name)
def test_each_format_has_a_sample_that_is_recognised(path: Path) -> None:
    """Each line of a sample is recognised by its look, and read as it is when the format is given."""
    lines = path.read_bytes().splitlines()
    origin = Origin()
    found = decoded(lines, "auto", origin)
    assert found == decoded(lines, path.stem, origin)
    kinds = Counter(type(item) for item in found)
    assert kinds[FeedEvent] >= 4
    assert kinds[FeedReject] + kinds[FeedOther] >= 1
    assert any(b'"valid":false' in item.value() for item in found if isinstance(item, FeedEvent))


def test_the_command_knows_the_formats() -> None:
    """What ``--as`` takes are the formats that there are, and each has a sample."""
    assert command.callback is not None
    [option] = [item for item in command.params if item.name == "format_"]
    assert tuple(option.type.to_info_dict()["choices"]) == FORMATS
    assert {path.stem for path in SAMPLES.iterdir()} == set(FORMATS) - {"auto"}
