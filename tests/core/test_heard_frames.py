"""Heard frames give back what was put in; whatever comes again in other cuts, each message counts once."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.events import REASONS, decode_positions
from stream.core.frames import FrameError
from stream.core.heard_frames import HeardFrame, HeardSpan, decode, encode, fresh, of_partitions, split
from stream.core.policy import Policies, limits
from stream.core.quality.heard import NO_DAY, NO_DELAY, Heard, HeardRows, counted, heard
from tests.strategies import many

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

NAMES = ("r1", "r2", "FX12ABC", "ü-3", "x" * 200, "4")
Row = tuple[int, int, int, int]

ROWS = st.tuples(
    st.integers(-1, len(NAMES) - 1),
    st.sampled_from([NO_DAY, 20_000]) | st.integers(19_990, 20_600),
    st.integers(-1, len(REASONS) - 1),
    st.sampled_from([NO_DELAY, 0]) | st.integers(-(2**30), 2**30),
)


def as_rows(rows: Sequence[Row]) -> HeardRows:
    """Rows → columns."""
    device, day, verdict, delay = zip(*rows, strict=True) if rows else ([],) * 4
    return HeardRows(
        np.array(device, np.int32),
        np.array(day, np.int32),
        np.array(verdict, np.int8),
        np.array(delay, np.int32),
        NAMES,
    )


def told(frame: HeardFrame) -> list[tuple[object, ...]]:
    """What a frame says, report by report, with the names of devices."""
    rows = frame.rows
    names = (*rows.device_ids, None)
    return [
        (offset, names[device], *rest)
        for offset, device, *rest in zip(
            *(column.tolist() for column in (frame.offset, rows.device, rows.day, rows.verdict, rows.delay)),
            strict=True,
        )
    ]


@st.composite
def heard_frames(draw: st.DrawFn) -> HeardFrame:
    """A frame of some spans; not every message is a report, and offsets may have holes."""
    spans, offsets, rows = [], [], []
    for number in range(draw(st.integers(0, 3))):
        start = draw(st.sampled_from([0, 7, 2**40]))
        own = sorted(draw(st.sets(st.integers(0, 12) | st.integers(0, 2**20), max_size=8)))
        rows += draw(st.lists(ROWS, min_size=len(own), max_size=len(own)))
        end = start + (own[-1] + 1 if own else 0) + draw(st.integers(0, 3))
        offsets += [start + each for each in own]
        spans.append(
            HeardSpan(draw(st.sampled_from(["a.positions", "b"])), number, "id", start, end, len(own))
        )
    return HeardFrame(tuple(spans), np.array(offsets, np.int64), as_rows(rows))


@many(150)
@given(heard_frames())
def test_a_frame_gives_back_what_was_put_in(frame: HeardFrame) -> None:
    """Spans, offsets, names, days, verdicts and delays come out as they went in."""
    found = decode(encode(frame))
    assert found.spans == frame.spans
    assert told(found) == told(frame)


@many(60)
@given(heard_frames(), st.integers(1, 5))
def test_a_divided_frame_says_the_same(frame: HeardFrame, most: int) -> None:
    """Frames of at most so many reports cover the same messages and say the same, in the same order."""
    parts = split(frame, most)
    assert [row for part in parts for row in told(part)] == told(frame)
    assert all(len(part) <= most for part in parts)
    for span in frame.spans:
        pieces = [piece for part in parts for piece in part.spans if piece.source == span.source]
        assert [piece.start for piece in pieces] == [span.start, *(piece.end for piece in pieces[:-1])]
        assert pieces[-1].end == span.end


@many(100)
@given(heard_frames(), st.data())
def test_a_damaged_frame_is_told(frame: HeardFrame, data: st.DataObject) -> None:
    """A frame that is cut short, or in which any bit is another, is no frame, and says so."""
    good = encode(frame)
    cut = data.draw(st.integers(0, len(good) - 1))
    with pytest.raises(FrameError, match="heard frame"):
        decode(good[:cut])
    bad = bytearray(good)
    bad[data.draw(st.integers(0, len(good) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    if bytes(bad[8:12]) != good[8:12]:  # the header's length is not under the checksum
        with pytest.raises(FrameError):
            decode(bytes(bad))
    else:
        with pytest.raises(FrameError, match="heard frame"):
            decode(bytes(bad))


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ([[["t", 0, "i", 0, 1, 2]], ["r"], [[0, 0]] * 5], "more reports than messages"),
        ([[["t", 0, "i", 2**63, 2**63, 0]], ["r"], [[0, 0]] * 5], "more reports than messages"),
        ([[["t", 0, "i", 0, 2**62, 0]], ["r"], [[0, 0]] * 5], "more reports than messages"),
        ([[["t", 0, "i", -1, 1, 0]], ["r"], [[0, 0]] * 5], "more reports than messages"),
        ([[["t", 0, "i", 3, 4, -1]], ["r"], [[0, 0]] * 5], "more reports than messages"),
        ([[["t", 0, "i", 0, 1, 1]], ["r"], [[0, 0]] * 4], "other columns"),
        ([[["t", 0, "i", 0, 1, 1]], ["r"], [[0, 3]] * 5], "other columns"),
        ([[["t", 0, "i", 0, 1, 1]], ["r"], [[0, 1]] * 5], "bytes of columns"),
        ([[["t", 0, "i", 0, 1, 1]], ["r"], [[0, 0], [1, 0], *[[0, 0]] * 3]], "beyond its 1 device names"),
        ([[["t", 0, "i", 0, 1, 1]], ["r"], [[0, 0], [-2, 0], *[[0, 0]] * 3]], "beyond its 1 device names"),
        ([[["t", 0, "i", 0, 1, 1]], ["r"], [[0, 0], [2**63, 0], *[[0, 0]] * 3]], "too large"),
        ([[["t", 0, "i", 0, 1, 1]], ["r"], [[0, 0], [0, 0], [2**40, 0], *[[0, 0]] * 2]], "too large"),
        ("nothing", "unreadable header"),
    ],
)
def test_a_frame_written_wrongly_is_told(header: object, why: str) -> None:
    """What matches its checksum and makes no sense is refused by what is wrong with it."""
    body = msgspec.msgpack.encode(header)
    prefix = b"PVHD" + b"".join(n.to_bytes(4, "little") for n in (1, len(body), zlib.crc32(body)))
    with pytest.raises(FrameError, match=why):
        decode(prefix + body)


def test_offsets_as_large_as_any_are_kept() -> None:
    """Spans up to the largest offset that is taken come back, with a report at their end, and without any."""
    last = 2**62 - 1
    spans = (HeardSpan("a", 0, "id", last - 1, last, 1), HeardSpan("a", 1, "id", 0, last, 0))
    frame = HeardFrame(spans, np.array([last - 1], np.int64), as_rows([(-1, NO_DAY, 0, NO_DELAY)]))
    found = decode(encode(frame))
    assert found.spans == spans
    assert told(found) == told(frame) == [(last - 1, None, NO_DAY, 0, NO_DELAY)]


def test_a_frame_cut_to_its_prefix_is_cut_short() -> None:
    """Fewer bytes than a prefix are no heard frame; a prefix with nothing behind it is one cut short."""
    good = encode(HeardFrame((), np.empty(0, np.int64), as_rows([])))
    with pytest.raises(FrameError, match="does not begin with PVHD"):
        decode(good[:15])
    with pytest.raises(FrameError, match="cut short or damaged: its 0 bytes"):
        decode(good[:16])


def test_a_frame_of_another_version_is_told() -> None:
    """A frame of a version to come is not guessed at."""
    good = encode(HeardFrame((), np.empty(0, np.int64), as_rows([])))
    with pytest.raises(FrameError, match="update the reader first"):
        decode(good[:4] + (2).to_bytes(4, "little") + good[8:])


NATIVE = {"device_id": "R1", "time": 1795421703250, "lon": -1.1, "lat": 52.6}
TRACCAR = {
    "position": {"fixTime": "2026-11-23T08:15:03Z", "latitude": 52.6, "longitude": -1.1},
    "device": {"uniqueId": "T1"},
}


@many(100)
@given(
    kinds=st.lists(
        st.sampled_from(["native", "traccar", "zero", "broken", "nameless"]), min_size=1, max_size=12
    ),
    data=st.data(),
)
def test_each_report_has_the_offset_of_its_message(kinds: list[str], data: st.DataObject) -> None:
    """Reports of both forms among others, with offsets that Kafka removed in between: each has its own.

    Messages of several partitions, read as one batch, have a span for each.
    """
    gaps = data.draw(st.lists(st.integers(1, 3), min_size=len(kinds), max_size=len(kinds)))
    offset = np.cumsum(np.array(gaps, np.int64)) + 40
    events = {
        "native": NATIVE,
        "traccar": TRACCAR,
        "zero": {**NATIVE, "device_id": "Z", "lon": 0, "lat": 0},
        "nameless": {**NATIVE, "device_id": ""},
    }
    lines = [json.dumps(events[kind]).encode() if kind in events else b"{" for kind in kinds]
    decoded = decode_positions(lines, None, limits=limits(Policies()), traccar=True)
    cut = data.draw(st.integers(1, len(kinds)))
    offsets = {2: offset[:cut], 5: offset[cut:]} if cut < len(kinds) else {2: offset}
    found = decode(encode(of_partitions(decoded, "vehicle.positions", offsets)))
    names = {"native": "R1", "traccar": "T1", "zero": "Z", "nameless": None}
    assert [row[:2] for row in told(found)] == [
        (at, names[kind]) for at, kind in zip(offset.tolist(), kinds, strict=True) if kind != "broken"
    ]
    reports = [sum(kind != "broken" for kind in part) for part in (kinds[:cut], kinds[cut:])]
    assert [(span.partition, span.start, span.end, span.rows) for span in found.spans] == [
        (partition, part[0], part[-1] + 1, count)
        for (partition, part), count in zip(offsets.items(), reports, strict=False)
    ]


# ── exactly once ──────────────────────────────────────────────────────────────────────────────────────────


class Readers:
    """Processes that read one raw partition and send heard frames, and may be killed or outlive their turn.

    As ingest does: a process begins at the committed offset, sends what it has read in order, and commits
    only then. One that has lost its turn goes on sending for a while, and commits nothing.
    """

    def __init__(self, messages: list[bytes], source: tuple[str, int, str]) -> None:
        self.messages = messages
        self.source = source
        self.committed = 0
        self.places: list[int] = []  # how far each process has sent; the last one has the turn

    def begin(self) -> None:
        """Another process takes over."""
        self.places.append(self.committed)

    def send(self, which: int, count: int, commits: bool) -> HeardFrame:
        """A process sends its next messages, and commits them where it may."""
        start = self.places[which]
        end = min(start + count, len(self.messages))
        self.places[which] = end
        if commits and which == len(self.places) - 1:
            self.committed = end
        decoded = decode_positions(self.messages[start:end], None, limits=limits(Policies()))
        if start == end:
            return HeardFrame((), np.empty(0, np.int64), as_rows([]))
        topic, partition, incarnation = self.source
        found = of_partitions(decoded, topic, {partition: np.arange(start, end)})
        return replace(found, spans=(msgspec.structs.replace(found.spans[0], incarnation=incarnation),))


MESSAGES = st.sampled_from(["R1", "R2", "R3"]).flatmap(
    lambda name: st.sampled_from(
        [
            {"device_id": name, "time": 1795421703250, "lon": -1.1, "lat": 52.6, "received": 1795421704250},
            {"device_id": name, "time": 1795421703250, "lon": 0, "lat": 0},
            {"device_id": name, "time": "soon", "lon": -1.1, "lat": 52.6},
            {"device_id": "", "time": 1795421703250, "lon": -1.1, "lat": 52.6},
            {"device_id": name},
        ]
    )
)


@many(150)
@given(
    sent=st.lists(st.lists(MESSAGES, max_size=12), min_size=1, max_size=3),
    random=st.randoms(use_true_random=False),
)
def test_each_message_counts_once_however_it_comes_again(
    sent: list[list[dict[str, Any]]], random: random.Random
) -> None:
    """Processes killed or cut off at any moment read again in other cuts; a topic made again is another one.

    Whoever counts may be killed too: what it had not committed it takes again.
    """
    every = [[json.dumps(event).encode() for event in part] for part in sent]
    readers = [Readers(part, ("positions", 0, f"life {at}")) for at, part in enumerate(every)]
    log: list[HeardFrame] = []
    for reader in readers:  # one life of the topic after another
        reader.begin()
        while reader.committed < len(reader.messages):
            if random.random() < 0.3:
                reader.begin()
            which = random.choice([-1, -1, random.randrange(len(reader.places))]) % len(reader.places)
            log += split(
                reader.send(which, random.randint(0, 4), random.random() < 0.7), random.choice([1, 99])
            )
        others = random.choice(readers)  # somebody of another life who has noticed nothing yet
        if others.places:
            log.append(others.send(0, random.randint(0, 4), commits=False))

    passed: dict[tuple[str, int, str], int] = {}
    parts, at = [], 0
    while at < len(log):
        end = random.randint(at + 1, len(log))
        found, reached = fresh([decode(encode(frame)) for frame in log[at:end]], passed)
        if random.random() < 0.7:  # or killed before the commit
            parts.append(found)
            passed |= reached
            at = end
    wanted = Heard.joined(
        [heard(decode_positions(part, None, limits=limits(Policies())).judged) for part in every]
    )
    got = Heard.joined(parts)
    assert [
        (got.device_ids[row[0]], *row[1:])
        for row in zip(
            *(c.tolist() for c in (got.device, got.day, got.verdict, got.delay, got.count)), strict=True
        )
    ] == [
        (wanted.device_ids[row[0]], *row[1:])
        for row in zip(
            *(c.tolist() for c in (wanted.device, wanted.day, wanted.verdict, wanted.delay, wanted.count)),
            strict=True,
        )
    ]


@many(60)
@given(st.lists(ROWS, max_size=30))
def test_reports_are_counted_as_a_multiset(rows: list[Row]) -> None:
    """Each device, day, verdict and delay is there once, in order, with how many reports there were."""
    found = counted(as_rows(rows))
    listed = [
        ((found.device_ids[device], *rest), count)
        for device, *rest, count in zip(
            *(c.tolist() for c in (found.device, found.day, found.verdict, found.delay, found.count)),
            strict=True,
        )
    ]
    named = [(NAMES[device], *rest) for device, *rest in rows if device >= 0]
    assert listed == [(row, named.count(row)) for row in sorted(set(named))]
