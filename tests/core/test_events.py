"""What comes from outside is accepted or rejected with a reason, each message exactly once."""

from __future__ import annotations

import itertools
import json
import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stream.core import times
from stream.core.events import (
    KNOT,
    UNKNOWN,
    Reason,
    UsableLimits,
    decode_duties,
    decode_positions,
    decode_states,
)
from stream.core.facts import MAX_TEXT, SECOND, Allocation, Duty, StateReport
from stream.core.times import parse_time, parse_times
from tests.messages import DUTY, POSITION, STATE, TRACCAR

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stream.core.events import Decoded

LIMITS = UsableLimits(retention_s=400 * 86_400)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

AT = int((datetime(2026, 11, 23, 8, 15, 3, tzinfo=UTC) - EPOCH) / timedelta(microseconds=1))


def _micros(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1)


def _message(**fields: object) -> bytes:
    sound = {"device_id": "r1", "time": AT // 1000, "lon": -1.1, "lat": 52.6}
    return json.dumps({**sound, **fields}).encode()


def _without(name: str) -> bytes:
    whole = json.loads(_message())
    del whole[name]
    return json.dumps(whole).encode()


def _received(*times: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.array(times, np.int64)


def _rows(decoded: Decoded) -> list[tuple[object, ...]]:
    """What was accepted, NaN as None, so that it can be compared."""
    fixes = decoded.fixes
    columns = (fixes.lon, fixes.lat, fixes.error_m, fixes.speed_mps, fixes.heading_deg)
    numbers = [tuple(None if math.isnan(v) else float(v) for v in row) for row in zip(*columns, strict=True)]
    names = [fixes.device_ids[code] for code in fixes.device.tolist()]
    return list(zip(decoded.index.tolist(), names, fixes.time.tolist(), numbers, strict=True))


# --- Properties ------------------------------------------------------------------------------------------

_OFFSETS = st.sampled_from(["Z", "z"]) | st.integers(-1439, 1439).map(
    lambda minutes: f"{'+-'[minutes < 0]}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
)


@st.composite
def _times(draw: st.DrawFn) -> tuple[str, int]:
    """A time as text, and what it means, known from how it was made."""
    second = draw(st.integers(-62_000_000_000, 253_000_000_000))  # the years 5 to 9987
    local = EPOCH + timedelta(seconds=second)
    digits = draw(st.text("0123456789", max_size=12))
    offset = draw(_OFFSETS)
    text = local.strftime("%m-%dT%H:%M:%S").replace("T", draw(st.sampled_from("Tt")))
    text = f"{local.year:04}-{text}{'.' if digits else ''}{digits}{offset}"
    minutes = 0 if offset in "Zz" else int(offset[0] + "1") * (int(offset[1:3]) * 60 + int(offset[4:]))
    at = (second - minutes * 60) * SECOND
    return text, at + int((digits + "000000")[:6])


@given(st.lists(_times(), max_size=12))
@example([("2024-02-29T23:59:59.5Z", _micros(datetime(2024, 2, 29, 23, 59, 59, 500_000, UTC)))])
@example([("0001-01-01T00:00:00Z", _micros(datetime(1, 1, 1, tzinfo=UTC)))])
@example([("9999-12-31T23:59:59.9999999Z", _micros(datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC)))])
def test_times_of_all_layouts_are_read_exactly(times: list[tuple[str, int]]) -> None:
    """A time is read to the microsecond whatever its offset, letters and digits; further digits are cut."""
    read, ok = parse_times([text for text, _ in times])
    assert ok.all()
    assert read.tolist() == [at for _, at in times]


@st.composite
def _spoilt_times(draw: st.DrawFn) -> str:
    text, _ = draw(_times())
    at = draw(st.integers(0, len(text) - 1))
    odd = draw(st.one_of(st.text("0123456789-+:.TtZz ", max_size=2), st.characters()))
    return text[:at] + odd + text[at + 1 :]


_TEXTS = _times().map(lambda time: time[0])


@given(st.lists(st.one_of(_TEXTS, _spoilt_times(), st.integers(), st.none()), max_size=20))
def test_many_times_are_read_like_one(values: list[object]) -> None:
    """The fast reader of many times and the plain reader of one agree; what is no time is 0 and marked so."""
    read, ok = parse_times(values)
    singly = [parse_time(value) for value in values]
    assert ok.tolist() == [one is not None for one in singly]
    assert read.tolist() == [one or 0 for one in singly]


@pytest.mark.parametrize("offset", ["+24:00", "+25:00", "-24:00", "-99:59", "+23:60", "-00:60", "+00:99"])
def test_an_offset_is_less_than_a_day(offset: str) -> None:
    """An offset of 24 hours or more, or with 60 minutes or more, makes no time, in either reader."""
    for text in (f"2026-11-23T08:15:03{offset}", f"2026-11-23T08:15:03.25{offset}"):
        assert parse_time(text) is None
        assert parse_time(text[:-3] + text[-2:]) is None
        assert parse_times([text, text])[1].tolist() == [False, False]


@pytest.mark.parametrize(("offset", "minutes"), [("+23:59", 1439), ("-23:59", -1439), ("+00:59", 59)])
def test_the_largest_offsets_are_taken(offset: str, minutes: int) -> None:
    """An offset may be up to a minute less than a day, either way."""
    at = _micros(datetime(2026, 11, 23, 8, 15, 3, tzinfo=UTC)) - minutes * 60 * SECOND
    assert parse_time(f"2026-11-23T08:15:03{offset}") == at
    assert parse_times([f"2026-11-23T08:15:03{offset}"])[0].tolist() == [at]


def test_usual_times_are_read_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times as trackers write them are read many at once: the reader of one sees only what is rare."""
    usual = [
        f"2026-11-23T{at // 3600:02}:{at // 60 % 60:02}:{at % 60:02}{fraction}{offset}"
        for at in range(0, 86_400, 240)
        for fraction in ("", ".5", ".250", ".123456", ".1234567", ".12345678901234")
        for offset in ("Z", "z", "+00:00", "-01:30", "+23:59")
    ]
    wanted = [parse_time(text) for text in usual]
    singly: list[object] = []

    def one(value: object) -> int | None:
        singly.append(value)
        return parse_time(value)

    monkeypatch.setattr(times, "parse_time", one)
    read, ok = parse_times(usual)
    assert singly == []
    assert ok.all()
    assert read.tolist() == wanted
    rare: list[object] = [AT // 1000, "2026-11-23 08:15:03Z", "2026-11-23T08:15:03+0000", "no time", None]
    parse_times([*usual, *rare])
    assert singly == rare


def test_every_field_is_taken_up_to_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each field is taken up to its limits, and such times are read together; one beyond makes no time."""
    fields = {
        "month": ("00", "01", "02", "04", "12", "13"),
        "day": ("00", "01", "28", "29", "30", "31", "32"),
        "hour": ("00", "23", "24"),
        "minute": ("00", "59", "60"),
        "second": ("00", "59", "60"),
    }
    texts = [
        f"{year}-{month}-{day}T{hour}:{minute}:{second}Z"
        for year in ("1900", "2000", "2024", "2026")
        for month, day, hour, minute, second in itertools.product(*fields.values())
    ]
    wanted = [parse_time(text) for text in texts]
    singly: list[object] = []

    def one(value: object) -> int | None:
        singly.append(value)
        return parse_time(value)

    monkeypatch.setattr(times, "parse_time", one)
    read, ok = parse_times(texts)
    assert [at if good else None for at, good in zip(read.tolist(), ok.tolist(), strict=True)] == wanted
    assert singly == [text for text, at in zip(texts, wanted, strict=True) if at is None]


def test_no_more_blocks_are_read_than_there_are_layouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times of one layout are read in one block, not text by text."""
    blocks: list[int] = []
    read = times._parse_block

    def block(texts: Sequence[str], length: int) -> Any:
        blocks.append(len(texts))
        return read(texts, length)

    monkeypatch.setattr(times, "_parse_block", block)
    parse_times(["2026-11-23T08:15:03Z"] * 3000 + ["2026-11-23T08:15:03.250Z"] * 10)
    assert sorted(blocks) == [10, 3000]


_ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.sampled_from([[], {}, [1, [2]], {"a": {"b": None}}, 10**30, 10**400]),
)
_TRUE = (True, 1, 1.0, "true", "True", "yes", " Y ", "1", "on")
_FALSE = (False, 0, 0.0, "false", "FALSE", "no", "N", "0", "off ")
_FLAGS = st.sampled_from([None, "", *_TRUE, *_FALSE, "A", "V", "3D", "none", "maybe", 2, -1])
_FIELDS: dict[str, st.SearchStrategy[object]] = {
    "device_id": st.sampled_from(["r1", "r2", "ü-3", "", "a\x00b", "x" * (MAX_TEXT + 1)]) | _ANYTHING,
    "time": st.one_of(
        _TEXTS,
        st.integers(-400 * 86_400_000, 301_000).map(lambda ms: AT // 1000 + ms),
        _spoilt_times(),
        _ANYTHING,
    ),
    "lon": st.one_of(st.floats(-181, 181), st.just(0), st.just(-0.0), _ANYTHING),
    "lat": st.one_of(st.floats(-91, 91), st.just(0), _ANYTHING),
    "error_m": st.one_of(st.floats(-1, 300), st.sampled_from([0, 0.0, -0.0]), st.none(), _ANYTHING),
    "valid": _FLAGS | _ANYTHING,
    "outdated": _FLAGS | _ANYTHING,
    "speed_mps": st.one_of(st.floats(-1, 90), st.none(), st.floats(1e5, 1e300), _ANYTHING),
    "heading_deg": st.one_of(st.floats(-10, 400), st.none(), _ANYTHING),
    "received": st.one_of(st.just("2026-11-23T08:15:04.100Z"), st.just(AT // 1000), st.none(), _ANYTHING),
    "reason": _ANYTHING,
}
_SOUND = st.fixed_dictionaries(
    {
        "device_id": st.sampled_from(["r1", "r2"]),
        "time": st.integers(-3_600_000, 400_000).map(lambda ms: AT // 1000 + ms),
        "lon": st.floats(-180, 180),
        "lat": st.floats(-90, 90),
    },
    optional={name: _FIELDS[name] for name in ("error_m", "received", "reason", "valid", "outdated")},
)
_FIELD = st.sampled_from(sorted(_FIELDS)).flatmap(lambda name: st.tuples(st.just(name), _FIELDS[name]))


@st.composite
def _events(draw: st.DrawFn) -> dict[str, object]:
    """A sound event, of which a field or two may be missing or odd."""
    event = {**draw(_SOUND), **dict(draw(st.lists(_FIELD, max_size=2)))}
    if draw(st.integers(0, 9)) == 0:
        del event[draw(st.sampled_from(sorted(event)))]
    return event


def _said(value: object, yes: tuple[str, ...] = (), no: tuple[str, ...] = ()) -> bool | None:
    """What a flag says; None for nothing.

    Raises:
        ValueError: neither yes nor no.
    """
    if value is None or value == "":
        return None
    text = str(value).strip().lower() if isinstance(value, str | bool | int | float) else "?"
    if text in {"true", "t", "yes", "y", "on", "1", "1.0", *yes}:
        return True
    if text in {"false", "f", "no", "n", "off", "0", "0.0", "-0.0", *no}:
        return False
    raise ValueError(text)


def _expected(event: Mapping[str, Any], received: int, limits: UsableLimits) -> Reason | tuple[object, ...]:
    """The rules on one event, as plainly as they can be written (the oracle)."""
    if any(event.get(name) is None for name in ("device_id", "time", "lon", "lat")):
        return Reason.MISSING_FIELD
    numbers: dict[str, float | None] = {}
    for name in ("lon", "lat", "error_m", "speed_mps", "heading_deg"):
        value = event.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float | None):
            return Reason.BAD_VALUE
        try:
            numbers[name] = None if value is None else float(value)
        except OverflowError:
            return Reason.BAD_VALUE
    device, when = event["device_id"], event["time"]
    if not isinstance(device, str) or isinstance(when, bool) or not isinstance(when, int | str):
        return Reason.BAD_VALUE
    at = parse_time(when)
    control = any(ord(sign) < 32 or ord(sign) == 127 for sign in device)
    if at is None or not 1 <= len(device) <= MAX_TEXT or control or at < times.EARLIEST:
        return Reason.BAD_VALUE
    try:
        valid = _said(event.get("valid"), ("a", "3d"), ("v", "none"))
        outdated = _said(event.get("outdated"))
    except ValueError:
        return Reason.BAD_VALUE
    lon, lat, error, speed, heading = numbers.values()
    assert lon is not None
    assert lat is not None
    if valid is False or outdated is True or (error is not None and error < 0):
        return Reason.NOT_A_FIX
    if abs(lon) > 180 or abs(lat) > 90:
        return Reason.OUT_OF_RANGE
    if lon == lat == 0:
        return Reason.ZERO_POSITION
    if error is not None and error > limits.max_error_m:
        return Reason.ERROR_TOO_LARGE
    own = None if isinstance(event.get("received"), bool) else parse_time(event.get("received"))
    known = [
        receipt
        for receipt in (own, received)
        if receipt is not None and times.EARLIEST <= receipt < times.LATEST
    ]
    if at >= 4_102_444_800 * SECOND or (known and at - min(known) > limits.max_ahead_s * SECOND):
        return Reason.IN_FUTURE
    if known and min(known) - at > limits.retention_s * SECOND:
        return Reason.TOO_OLD
    if error == 0:
        error = None
    if speed is not None:
        speed = float(np.float32(speed)) if 0 <= speed < 1e6 else None
    if heading is not None:
        heading = float(np.float32(heading)) if 0 <= heading <= 360 else None
    return device, at, (lon, lat, error, speed, heading)


def _texts_encodable(value: object) -> bool:
    """Whether JSON text of the value is valid UTF-8 (halves of surrogate pairs are not)."""
    return not any("\ud800" <= sign <= "\udfff" for sign in json.dumps(value, ensure_ascii=False))


_RECEIPTS = st.one_of(st.just(-1), st.integers(AT - 401 * 86_400 * SECOND, AT + 401 * 86_400 * SECOND))


@given(st.lists(st.tuples(_events().filter(_texts_encodable), _RECEIPTS), max_size=8))
@settings(max_examples=300)
def test_positions_are_judged_as_the_rules_say(cases: list[tuple[dict[str, Any], int]]) -> None:
    """Every event is accepted with its values, or rejected with the first reason of rule 2 that applies."""
    values = [json.dumps(event, ensure_ascii=False).encode() for event, _ in cases]
    decoded = decode_positions(values, _received(*(at for _, at in cases)), limits=LIMITS)
    found: list[Reason | tuple[object, ...] | None] = [None] * len(cases)
    for reject in decoded.rejects:
        found[reject.index] = reject.reason
    for index, *row in _rows(decoded):
        assert isinstance(index, int)
        found[index] = tuple(row)
    assert found == [_expected(event, at, LIMITS) for event, at in cases]


_NEARLY = st.sampled_from([POSITION, TRACCAR, DUTY, STATE, _message(), _message(time="2026-11-23T08:15:03")])


@st.composite
def _spoilt(draw: st.DrawFn) -> bytes:
    """A sound message with a piece taken out, put in twice, or replaced by any bytes."""
    value = draw(_NEARLY)
    low = draw(st.integers(0, len(value)))
    high = draw(st.integers(low, min(len(value), low + 30)))
    return (
        value[:low] + draw(st.sampled_from([b"", value[low:high] * 2]) | st.binary(max_size=4)) + value[high:]
    )


_NASTY = [
    *(b'{"a":"', b'"}', b'{"a":[{}', b"{}]}", b"{}{}", b"{}\n{}", b"[1]", b"1e999", b"\xef\xbb\xbf{}"),
    *(b'{"lon":1e999}', b'{"device_id":"\xff"}', b'{"x":"\xff"}', b'{"device_id":"\\ud800"}'),
    b'{"device_id":"\\udc00","time":1,"lon":1,"lat":1}',
    *(b"[" * 5000, b'{"x":' * 5000, b"1" * 5000),
    *(b'{"position":1,"device":2}', b'{"position":{},"device":{}}'),
]
_MESSAGES = st.lists(
    st.one_of(_NEARLY, _spoilt(), st.binary(max_size=30), st.none(), st.sampled_from(_NASTY)), max_size=12
)


@given(_MESSAGES, st.booleans())
@settings(max_examples=300)
def test_every_message_comes_out_once(values: list[bytes | None], traccar: bool) -> None:
    """Whatever the bytes, nothing is raised, and each message is accepted or rejected, exactly once."""
    for index, rejects in (
        *((d.index, d.rejects) for d in [decode_positions(values, None, limits=LIMITS, traccar=traccar)]),
        decode_duties(values)[1:],
        decode_states(values)[1:],
    ):
        assert sorted([*index.tolist(), *(reject.index for reject in rejects)]) == list(range(len(values)))
        assert index.tolist() == sorted(index.tolist())
        assert all(reject.detail for reject in rejects)


@given(_MESSAGES, st.booleans())
def test_a_message_is_judged_alike_in_any_company(values: list[bytes | None], traccar: bool) -> None:
    """Decoded in a batch or alone, a message comes to the same fix or the same reject."""
    together = decode_positions(values, None, limits=LIMITS, traccar=traccar)
    rows, rejects = _rows(together), [(r.index, r.reason, r.detail) for r in together.rejects]
    for i, value in enumerate(values):
        alone = decode_positions([value], None, limits=LIMITS, traccar=traccar)
        assert [row[1:] for row in rows if row[0] == i] == [row[1:] for row in _rows(alone)]
        assert [r[1:] for r in rejects if r[0] == i] == [(r.reason, r.detail) for r in alone.rejects]


@given(_MESSAGES)
def test_device_names_are_those_of_the_fixes(values: list[bytes | None]) -> None:
    """The table of names holds each accepted device once, and nothing of what was rejected."""
    fixes = decode_positions(values, None, limits=LIMITS, traccar=True).fixes
    assert set(fixes.device.tolist()) == set(range(len(fixes.device_ids)))
    assert len(set(fixes.device_ids)) == len(fixes.device_ids)


# --- The contract's examples -----------------------------------------------------------------------------


def test_the_contracts_position() -> None:
    """The contract's position event is accepted with all that it says."""
    decoded = decode_positions([POSITION], _received(AT + 60 * SECOND), limits=LIMITS)
    heading, speed = 270.0, float(np.float32(1.3))
    assert _rows(decoded) == [(0, "2345678", AT + 250_000, (-1.1398, 52.6369, 8.0, speed, heading))]
    assert decoded.rejects == []


def test_what_traccar_forwards() -> None:
    """Traccar's form is taken where asked for: knots become metres a second, accuracy 0 means unknown."""
    own = _message(device_id="v2")
    decoded = decode_positions([own, TRACCAR, own, TRACCAR], None, limits=LIMITS, traccar=True)
    speed = float(np.float32(10 * KNOT))
    assert decoded.rejects == []
    assert [row[1] for row in _rows(decoded)] == ["v2", "FX12ABC", "v2", "FX12ABC"]
    assert _rows(decoded)[1][2:] == (AT, (-1.1398, 52.6369, None, speed, 90.0))
    refused = decode_positions([TRACCAR], None, limits=LIMITS).rejects
    assert [(r.reason, r.detail) for r in refused] == [(Reason.MISSING_FIELD, "device_id is missing")]


def test_the_contracts_duty() -> None:
    """The contract's booking is accepted with all that it says."""
    hour = 3600 * SECOND
    seven = _micros(datetime(2026, 11, 23, 7, tzinfo=UTC))
    duties, index, rejects = decode_duties([DUTY])
    assert duties == [
        Duty(
            duty_id="D-1001-20261123",
            revision=1,
            officer_id="1001",
            start=seven,
            end=seven + 10 * hour,
            patch=("E05001784",),
            devices=(
                Allocation("2345678", "radio"),
                Allocation("FX12ABC", "vehicle", seven + 2 * hour, seven + 5 * hour),
            ),
            name="PC 1001",
            role="npt",
            team="NC04",
        )
    ]
    assert (index.tolist(), rejects) == ([0], [])


def test_the_contracts_state() -> None:
    """The contract's radio state is accepted."""
    noon = _micros(datetime(2026, 11, 23, 12, tzinfo=UTC))
    states, index, rejects = decode_states([STATE])
    assert (states, index.tolist(), rejects) == ([StateReport("1001", noon, 4)], [0], [])


# --- Each reason of rule 2 -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "reason", "detail"),
    [
        (None, Reason.NOT_JSON, "no value"),
        (b"", Reason.NOT_JSON, ""),
        (b"lat=52.6&lon=-1.1", Reason.NOT_JSON, "malformed"),
        (b"[" * 100_000, Reason.NOT_JSON, "too deeply"),
        (b'{"device_id": "\xff"}', Reason.NOT_JSON, "UTF-8"),
        (b'["r1"]', Reason.NOT_JSON, "not a JSON object"),
        (_without("device_id"), Reason.MISSING_FIELD, "device_id is missing"),
        (_without("time"), Reason.MISSING_FIELD, "time is missing"),
        (_without("lon"), Reason.MISSING_FIELD, "lon is missing"),
        (_without("lat"), Reason.MISSING_FIELD, "lat is missing"),
        (_message(lon=None), Reason.MISSING_FIELD, "lon is missing"),
        (_message(lon="-1.1"), Reason.BAD_VALUE, "$.lon"),
        (_message(lat=True), Reason.BAD_VALUE, "$.lat"),
        (_message(device_id=5), Reason.BAD_VALUE, "$.device_id"),
        (_message(device_id=""), Reason.BAD_VALUE, "device_id is empty"),
        (_message(device_id="r\x00"), Reason.BAD_VALUE, "not text"),
        (_message(device_id="r" * 201), Reason.BAD_VALUE, "201 characters"),
        (_message(error_m="8"), Reason.BAD_VALUE, "$.error_m"),
        (_message(time="2026-11-23T08:15:03"), Reason.BAD_VALUE, "offset"),
        (_message(time="2026-02-29T08:15:03Z"), Reason.BAD_VALUE, "offset"),
        (_message(time=1.5), Reason.BAD_VALUE, "time 1.5 is neither"),
        (_message(time=AT // SECOND), Reason.BAD_VALUE, "looks like Unix seconds (2026-11-23T08:15:03Z)"),
        (_message(time=46349.34375), Reason.BAD_VALUE, "looks like a spreadsheet's day number (2026-11-23)"),
        (_message(time=str(AT // 1000)), Reason.BAD_VALUE, "looks like milliseconds"),
        (_message(time="2007-04-09T08:15:03Z"), Reason.TOO_OLD, "looks like 1,024 weeks early"),
        (_message(time="1987-08-24T08:15:03Z"), Reason.BAD_VALUE, "looks like 2,048 weeks early"),
        (_message(time="1999-12-31T23:59:59Z"), Reason.BAD_VALUE, "2000 to 2099"),
        (_message(time="2100-01-01T00:00:00Z"), Reason.IN_FUTURE, "after 2099"),
        (_message(valid=False), Reason.NOT_A_FIX, "valid is False: the tracker doubts"),
        (_message(valid="V"), Reason.NOT_A_FIX, "valid is 'V'"),
        (_message(outdated="yes"), Reason.NOT_A_FIX, "outdated is 'yes': the position is repeated"),
        (_message(outdated=1, valid=True), Reason.NOT_A_FIX, "outdated is 1"),
        (_message(valid=False, lon=0, lat=0, error_m=999), Reason.NOT_A_FIX, "valid"),
        (_message(error_m=-1), Reason.NOT_A_FIX, "error_m -1 is negative"),
        (_message(valid="perhaps"), Reason.BAD_VALUE, "valid 'perhaps' is neither true nor false"),
        (_message(valid=False, outdated=[]), Reason.BAD_VALUE, "outdated [] is neither"),
        (_message(outdated="V"), Reason.BAD_VALUE, "outdated 'V'"),
        (_message(time=10**17), Reason.BAD_VALUE, "milliseconds"),
        (b'{"device_id": "r1", "time": 1, "lon": 1e999, "lat": 1}', Reason.BAD_VALUE, "range"),
        (_message(lon=180.1), Reason.OUT_OF_RANGE, "lon 180.1"),
        (_message(lat=-90.5), Reason.OUT_OF_RANGE, "lat -90.5"),
        (_message(lon=0, lat=-0.0), Reason.ZERO_POSITION, "no position"),
        (_message(error_m=200.1), Reason.ERROR_TOO_LARGE, "error_m 200.1 is over 200"),
        (_message(time=AT // 1000 + 300_001), Reason.IN_FUTURE, "300.001 s ahead"),
        (_message(time=AT // 1000 - 400 * 86_400_000 - 1), Reason.TOO_OLD, "before receipt"),
    ],
)
def test_each_reason(value: bytes | None, reason: Reason, detail: str) -> None:
    """An unusable position is rejected with its reason and a line that says what was wrong."""
    decoded = decode_positions([_message(), value, _message()], _received(AT, AT, AT), limits=LIMITS)
    assert [(r.index, r.reason) for r in decoded.rejects] == [(1, reason)]
    assert detail in decoded.rejects[0].detail
    assert decoded.index.tolist() == [0, 2]


@pytest.mark.parametrize(
    "value",
    [
        _message(error_m=200),
        _message(time=AT // 1000 + 300_000),
        _message(time=AT // 1000 - 400 * 86_400_000),
        _message(lon=180, lat=-90),
        _message(lon=0, lat=51.48),
        _message(time="2026-11-23 08:15:03+0000"),
        _message(surprise={"nested": [1, 2]}),
        _message() + b"\n",
    ],
)
def test_what_is_just_within_the_limits(value: bytes) -> None:
    """What lies exactly on a limit is accepted."""
    assert decode_positions([value], _received(AT), limits=LIMITS).rejects == []


@pytest.mark.parametrize("error_m", [None, 0, 0.0, -0.0])
def test_an_error_that_says_nothing_is_missing(error_m: float | None) -> None:
    """A null ``error_m`` counts as not given, and so does 0: no receiver is without error (rule 2b)."""
    decoded = decode_positions([_message(error_m=error_m)], None, limits=LIMITS)
    assert np.isnan(decoded.fixes.error_m).tolist() == [True]


@pytest.mark.parametrize(
    ("own", "record", "ahead_s"),
    [
        (None, AT, 301),
        (AT // 1000, AT + 3600 * SECOND, 301),
        (AT // 1000 + 3_600_000, AT, 301),
        ("2026-11-23T08:15:03Z", -1, 301),
        ("yesterday", AT, 301),
        ({"when": "now"}, -1, 10**9),
        (AT // SECOND, AT, 301),
        ("1999-12-31T23:59:59Z", -1, 10**9),
        ("2100-01-01T00:00:00Z", AT, 301),
        (None, AT // 1000, 10**9),
    ],
)
def test_receipt_is_the_earlier_of_what_is_known(own: object, record: int, ahead_s: int) -> None:
    """The event's own receipt and Kafka's: the earlier counts; nonsense is ignored; with none, no check.

    So in both forms: what ``received`` is to the project's own, ``serverTime`` is to Traccar's.
    """
    time = AT // 1000 + ahead_s * 1000
    for value in (_message(time=time, received=own), _forwarded(fixTime=time, serverTime=own)):
        rejects = decode_positions([value], _received(record), limits=LIMITS, traccar=True).rejects
        known = record >= AT or own in (AT // 1000, "2026-11-23T08:15:03Z")
        assert [r.reason for r in rejects] == ([Reason.IN_FUTURE] if known else [])


@given(st.lists(st.tuples(_FIELDS["received"], st.sampled_from([UNKNOWN, AT - SECOND, AT + 60 * SECOND]))))
def test_traccar_s_server_time_is_its_receipt(cases: list[tuple[object, int]]) -> None:
    """Whatever ``serverTime`` is, it is read as ``received`` would be, and is never why a report is bad."""
    record = np.array([at for _, at in cases], np.int64)
    own, traccar = (
        decode_positions(values, record, limits=LIMITS, traccar=True)
        for values in (
            [_message(time=AT // 1000, received=said) for said, _ in cases],
            [_forwarded(fixTime=AT // 1000, serverTime=said) for said, _ in cases],
        )
    )
    assert traccar.judged.receipt.tolist() == own.judged.receipt.tolist()
    assert [(r.index, r.reason) for r in traccar.rejects] == [(r.index, r.reason) for r in own.rejects]
    assert not any(r.reason is Reason.BAD_VALUE for r in traccar.rejects)


# --- Duties and states -----------------------------------------------------------------------------------


def _booking(**fields: object) -> bytes:
    sound = {"duty_id": "D1", "revision": 0, "officer_id": "1001", "start": AT // 1000}
    return json.dumps({**sound, **fields}).encode()


def test_a_duty_may_leave_out_what_is_usual() -> None:
    """A booking without end, patch and devices is an officer still on duty with an empty patch."""
    duties, _, rejects = decode_duties([_booking(), _booking(end=None, patch=None, devices=None, name="")])
    assert rejects == []
    assert duties == [Duty("D1", 0, "1001", AT, None)] * 2


def test_a_patch_is_sorted_and_each_area_stands_in_it_once() -> None:
    """The patch is a set: its order and repeats in the message do not matter."""
    duties, _, _ = decode_duties([_booking(patch=["b", "a", "b"])])
    assert duties[0].patch == ("a", "b")


@pytest.mark.parametrize(
    ("fields", "reason", "detail"),
    [
        ({"start": None}, Reason.MISSING_FIELD, "start is missing"),
        ({"revision": -1}, Reason.BAD_VALUE, "$.revision"),
        ({"revision": 1.5}, Reason.BAD_VALUE, "$.revision"),
        ({"end": AT // 1000}, Reason.BAD_VALUE, "is not after start"),
        ({"end": "noon"}, Reason.BAD_VALUE, "end 'noon'"),
        ({"patch": ["a", ""]}, Reason.BAD_VALUE, "patch is empty"),
        ({"name": "P\x00C"}, Reason.BAD_VALUE, "name"),
        ({"devices": [{"device_id": "r1", "kind": "boat"}]}, Reason.BAD_VALUE, "boat"),
        ({"devices": [{"device_id": "r1"}]}, Reason.BAD_VALUE, "kind"),
        (
            {"devices": [{"device_id": "r1", "kind": "radio", "start": AT // 1000, "end": AT // 1000}]},
            Reason.BAD_VALUE,
            "is not after start",
        ),
        (
            {"devices": [{"device_id": "r1", "kind": "radio", "end": AT // SECOND}]},
            Reason.BAD_VALUE,
            "devices.end 1795421703 is not of the years 2000 to 2099; it looks like Unix seconds",
        ),
        ({"start": AT // SECOND, "end": AT // SECOND + 9}, Reason.BAD_VALUE, "it looks like Unix seconds"),
        ({"start": AT}, Reason.BAD_VALUE, "it looks like microseconds"),
        ({"start": 46349.34}, Reason.BAD_VALUE, "it looks like a spreadsheet's day number"),
        ({"end": "46349,34"}, Reason.BAD_VALUE, "it looks like a spreadsheet's day number"),
    ],
)
def test_a_duty_that_cannot_be_is_rejected(fields: dict[str, object], reason: Reason, detail: str) -> None:
    """A booking that contradicts itself or the contract is rejected with the reason, and no other suffers."""
    duties, index, rejects = decode_duties([_booking(), _booking(**fields), _booking()])
    assert [(r.index, r.reason) for r in rejects] == [(1, reason)]
    assert detail in rejects[0].detail
    assert (len(duties), index.tolist()) == (2, [0, 2])


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"state": 256}, Reason.BAD_VALUE),
        ({"state": -1}, Reason.BAD_VALUE),
        ({"state": "4"}, Reason.BAD_VALUE),
        ({"state": None}, Reason.MISSING_FIELD),
        ({"time": "12:00"}, Reason.BAD_VALUE),
        ({"time": AT // SECOND}, Reason.BAD_VALUE),
        ({"officer_id": ""}, Reason.BAD_VALUE),
    ],
)
def test_a_state_that_cannot_be_is_rejected(fields: Mapping[str, object], reason: Reason) -> None:
    """A radio state outside 0 to 255, or without officer or time, is rejected with the reason."""
    sound = {"officer_id": "1001", "time": AT // 1000, "state": 0}
    values: Sequence[bytes] = [
        json.dumps({**sound, **more}).encode() for more in ({}, fields, {"state": 255})
    ]
    states, _, rejects = decode_states(values)
    assert [(r.index, r.reason) for r in rejects] == [(1, reason)]
    assert [state.state for state in states] == [0, 255]


@pytest.mark.parametrize(
    "start", ["0001-01-01T00:00:00Z", "9999-01-01T00:00:00Z", -1, 946_684_799_999, 4_102_444_800_000]
)
def test_a_booking_of_another_age_is_refused(start: object) -> None:
    """A duty that would begin before 2000 or after 2099 is a mistyped year: one such would drown a figure."""
    duties, _, rejects = decode_duties(
        [json.dumps({"duty_id": "D", "revision": 1, "officer_id": "O", "start": start, "end": None}).encode()]
    )
    assert duties == []
    assert [reject.reason for reject in rejects] == [Reason.BAD_VALUE]


# --- What the tracker itself doubts (rule 2a) ------------------------------------------------------------


def _forwarded(attributes: object = None, **position: object) -> bytes:
    """A message of Traccar's form."""
    whole = json.loads(TRACCAR)
    whole["position"] |= {"attributes": {"ignition": True} if attributes is None else attributes, **position}
    return json.dumps(whole).encode()


_ATTRIBUTES = st.one_of(
    _ANYTHING.filter(lambda value: not isinstance(value, dict)),
    st.dictionaries(
        st.sampled_from(["sat", "satVisible", "approximate", "note", "ignition"]),
        st.sampled_from([0, 0.0, 1, 9, "0", "00", "9", "", True, False, None, '"sat":0', {"sat": 0}, [0]]),
    ),
)


@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.just({"sat": 9}), _ATTRIBUTES),
            st.sampled_from([True, True, True, False]),
            st.sampled_from([False, False, None, True]),
            st.sampled_from([0.0, 8.0, -1.0]),
        ),
        max_size=8,
    )
)
def test_traccar_s_own_doubt_is_heard(cases: list[tuple[object, bool, bool | None, float]]) -> None:
    """Not valid, outdated, without satellites or of negative accuracy: no fix, by name; all others are taken.

    Attributes of any type, texts in them that look like doubt, and inner ones, make no difference.
    """
    values = [
        _forwarded(attributes, valid=valid, outdated=outdated, accuracy=accuracy)
        for attributes, valid, outdated, accuracy in cases
    ]
    decoded = decode_positions(values, None, limits=LIMITS, traccar=True)
    doubted = []
    for i, (attributes, valid, outdated, accuracy) in enumerate(cases):
        told = attributes if isinstance(attributes, dict) else {}
        count, approximate = told.get("sat"), told.get("approximate")
        zero = count in {"0", "00"} if isinstance(count, str) else type(count) in {int, float} and count == 0
        near = type(approximate) in {bool, int} and approximate == 1
        if not valid or outdated or zero or near or accuracy < 0:
            doubted.append(i)
    assert [(r.index, r.reason) for r in decoded.rejects] == [(i, Reason.NOT_A_FIX) for i in doubted]
    assert decoded.index.tolist() == [i for i in range(len(cases)) if i not in doubted]


def test_a_doubted_position_proves_that_the_device_was_heard() -> None:
    """A reject of a position says which device it was, and when, wherever the message does."""
    values = [
        _message(valid=False),
        _message(device_id=""),
        _message(time=1),
        _message(lon=200),
        _forwarded(outdated=True),
        b"{}",
        _message(lat=None),
        _message(lon="-1,14"),
        _message(time=45_000.5),
        _message(device_id=17),
        _forwarded(latitude="52.6"),
    ]
    found = decode_positions(values, None, limits=LIMITS, traccar=True)
    rejects = found.rejects
    second = AT - AT % SECOND
    assert sorted(found.judged_index.tolist()) == [0, 1, 2, 3, 4, 6, 7, 8, 10]
    assert [(r.device_id, r.time) for r in rejects] == [
        ("r1", AT),
        (None, AT),
        ("r1", None),
        ("r1", AT),
        ("FX12ABC", second),
        (None, None),
        ("r1", AT),
        ("r1", AT),
        ("r1", None),
        (None, None),
        ("FX12ABC", second),
    ]
