"""Some days of a few trackers that do whatever trackers do, and of bookings that hold them."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from stream.core.calendar import day_bounds, local_day, rfc3339
from stream.core.facts import SECOND, Allocation, Duty
from tests.shifts import STARTS, micros

if TYPE_CHECKING:
    import random

HOUR = 3600 * SECOND
DAYS = 4
STEPS = (1.0, 0.25, 30.0, 60.0, 240.5, 299.0, 300.0, 300.000001, 301.0, 900.0, 3 * 3600, 11 * 3600, 26 * 3600)
"""Seconds between the reports of a device: steady, at the limit of a silence, in a drawer for a day."""


@dataclass(frozen=True, slots=True)
class Days:
    """Some days of a few trackers: reports as lines in the order in which they come, and bookings."""

    start: int
    lines: tuple[bytes, ...]
    received: tuple[int, ...]
    duties: tuple[Duty, ...]

    @property
    def until(self) -> int:
        """When all is over."""
        return self.start + (DAYS + 2) * 24 * HOUR


def some_days(chance: random.Random) -> Days:
    """Reports at any intervals, far off, faster than anybody drives, twice, better, unusable, late, shuffled.

    A vehicle is booked around the clock, duties overlap, one is open, one was cancelled; one device is
    booked and never heard.
    """
    start = micros(f"{chance.choice(STARTS)}+00:00")
    events: list[dict[str, Any]] = []
    for name in ("R1", "R2", "V1", "spare"):
        evening = day_bounds(local_day(start))[1] - chance.randrange(1, 9) * SECOND
        time = chance.choice([start + chance.randrange(26 * HOUR), evening])
        steps = chance.sample(STEPS, chance.randint(1, 4))
        for _ in range(chance.randint(0, 40)):
            if time >= start + DAYS * 24 * HOUR:
                break
            spot = chance.choice([0.0] * 8 + [0.3, 3.0])
            event = {
                "device_id": name,
                "time": rfc3339(time),
                "lon": -1.16 + spot + chance.uniform(-0.001, 0.001),
                "lat": 52.61,
                "error_m": chance.choice([None, 5.0, 900.0] if chance.random() < 0.1 else [8.0]),
            }
            events.append(event)
            if chance.random() < 0.1:  # the same moment, told twice, once perhaps better
                events.append({**event, "error_m": 1.0, "lon": chance.choice([-1.16, 2.0])})
            time += int(chance.choice(steps) * SECOND)
    if chance.random() < 0.8:
        chance.shuffle(events)
    lines = tuple(json.dumps(event).encode() for event in events)
    received = tuple(micros(event["time"]) + chance.choice([1, 40, 5_000]) * SECOND for event in events)
    booked = [
        Duty("round", 1, "O1", start - 48 * HOUR, start + 60 * HOUR, (), (Allocation("V1", "vehicle"),)),
        Duty("clock", 1, "O2", start + 60 * HOUR, start + 144 * HOUR, (), (Allocation("V1", "vehicle"),)),
    ]
    for number in range(chance.randint(1, 5)):
        begins = start + chance.randrange(DAYS * 24) * HOUR // 2
        ends = None if chance.random() < 0.2 else begins + chance.choice([120 * SECOND, 8 * HOUR, 30 * HOUR])
        held = [
            Allocation(name, "vehicle" if name == "V1" else "radio", None, None)
            for name in chance.sample(["R1", "R2", "V1", "never"], 2)
        ]
        booked.append(Duty(f"D{number}", 1, f"O{number % 3}", begins, ends, ("E05001784",), tuple(held)))
        if chance.random() < 0.3:
            booked.append(
                replace(booked[-1], revision=2, cancelled=chance.random() < 0.5, devices=(held[0],))
            )
    return Days(start, lines, received, tuple(booked))
