"""Figures → drawings (SVG): the share's bar, the trend, where the time went, the hours, crewing.

Pure: values in, text out. A drawing has classes for colours and no ids but those made of its own name, so
that a page may hold several; it also says in words what it shows, for readers who cannot see it. The same
drawing stands on the page (colours by the page's variables) and on paper (``standalone``).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from markupsafe import escape

from stream.core.calendar import day_bounds
from stream.core.explaining.wording import DAYS, MONTHS, apportion
from stream.reports.colours import painted
from stream.reports.view import columns_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from stream.core.summaries.model import Hour
    from stream.reports.view import Reading, Step, TimePart

WIDTH = 720
"""Of every drawing, in its own units; about the width of a page in CSS pixels."""

CLASSES = {"met": "met", "missed": "missed", "not proven": "unproven", None: "none"}


@dataclass(frozen=True, slots=True)
class Drawing:
    """A drawing: its height (the width is ``WIDTH``), what is drawn, and the same in words."""

    height: float
    body: str
    words: str

    def inline(self) -> str:
        """For the page."""
        return (
            f'<svg class="chart" viewBox="0 0 {WIDTH} {_n(self.height)}" role="img" '
            f'aria-label="{escape(self.words)}">{self.body}</svg>'
        )

    def standalone(self) -> str:
        """For paper: with its own colours."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {_n(self.height)}" '
            f'width="{WIDTH}" height="{_n(self.height)}" font-family="Inter" font-size="10">'
            f"<style>{painted(variable=False)}</style>{self.body}</svg>"
        )


def _n(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


class _Pen:
    """What is drawn, a shape after the other."""

    def __init__(self, hatched: str = "") -> None:
        """Starts a drawing; with the hatching of what is unknown, under a name, where one is given."""
        self.drawn = [hatch(hatched)] if hatched else []

    def rect(self, x: float, y: float, width: float, height: float, classes: str, further: str = "") -> None:
        self.drawn.append(
            f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}" '
            f'class="{classes}"{further}/>'
        )

    def line(
        self, x1: float, y1: float, x2: float, y2: float, classes: str, width: float = 1.0, dash: str = ""
    ) -> None:
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self.drawn.append(
            f'<line x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}" class="{classes}" '
            f'stroke-width="{_n(width)}"{dashes}/>'
        )

    def text(
        self, x: float, y: float, text: str, classes: str = "f-ink", anchor: str = "start", further: str = ""
    ) -> None:
        place = f'x="{_n(x)}" y="{_n(y)}"'
        self.drawn.append(
            f'<text {place} class="{classes}" text-anchor="{anchor}"{further}>{escape(text)}</text>'
        )

    def mark(self, x: float, y: float, verdict: str | None, size: float = 4.5) -> None:
        """A verdict's shape with its middle at a point."""
        if verdict == "met":
            points = [(x - size, y + size * 0.8), (x + size, y + size * 0.8), (x, y - size)]
        elif verdict == "missed":
            points = [(x - size, y - size * 0.8), (x + size, y - size * 0.8), (x, y + size)]
        else:
            points = [(x - size, y), (x, y - size), (x + size, y), (x, y + size)]
        listed = " ".join(f"{_n(a)},{_n(b)}" for a, b in points)
        classes = f"f-{CLASSES[verdict]} s-panel"
        self.drawn.append(f'<polygon points="{listed}" class="{classes}" stroke-width="0.8"/>')

    def done(self, height: float, words: str) -> Drawing:
        return Drawing(height, "".join(self.drawn), words)


def hatch(name: str) -> str:
    """The hatching of what is unknown, to be filled in by ``url(#NAME-hatch)``."""
    return (
        f'<defs><pattern id="{name}-hatch" width="4" height="4" patternUnits="userSpaceOnUse" '
        f'patternTransform="rotate(45)"><rect width="4" height="4" class="f-unknown"/>'
        f'<rect width="1.3" height="4" class="f-unknown-line"/></pattern></defs>'
    )


def share_bar(reading: Reading) -> Drawing:
    """The share as a bar, its bounds as whiskers, the target as a line."""
    left, right, top, height = 1.0, WIDTH - 1.0, 16.0, 16.0

    def x(share: Fraction) -> float:
        return left + float(share) * (right - left)

    at = x(reading.target)
    # Where the target stands near an end, its name stands on the inner side.
    anchor = "end" if at > WIDTH * 0.8 else "start" if at < WIDTH * 0.2 else "middle"
    pen = _Pen()
    pen.rect(left, top, right - left, height, "f-sunk s-line")
    if reading.share is not None and reading.low is not None and reading.high is not None:
        low, high = x(reading.low), x(reading.high)
        pen.rect(left, top, x(reading.share) - left, height, f"f-{CLASSES[reading.verdict]}")
        middle = top + height / 2
        for colour, width in (("s-panel", 4.0), ("s-ink", 1.6)):
            pen.line(low, middle, high, middle, colour, width)
            for end in (low, high):
                pen.line(end, middle - 5, end, middle + 5, colour, width)
    pen.line(at, top - 4, at, top + height + 4, "s-panel", 5)
    pen.line(at, top - 4, at, top + height + 4, "s-ink", 2)
    pen.text(at, 9, f"target {reading.target_words}", anchor=anchor)
    pen.text(left, top + height + 13, "0%", "f-quiet")
    pen.text(right, top + height + 13, "100%", "f-quiet", "end")
    return pen.done(top + height + 17, f"Bar of the share. {reading.sentence}")


def trend(steps: Sequence[Step]) -> Drawing:
    """The last periods: each share as its verdict's shape on the span of its bounds; the targets as steps."""
    height, top, bottom = 98.0, 6.0, 68.0
    known = [value for step in steps for value in (step.reading.low, step.reading.high) if value is not None]
    known += [step.reading.target for step in steps]
    # From a round figure below the lowest to a round one above the highest, so that small changes show.
    floor = Fraction(int(min(known, default=Fraction(0)) * 10), 10)
    ceiling = min(Fraction(-int(-max(known, default=Fraction(1)) * 10 // 1), 10), Fraction(1))
    ceiling = max(ceiling, floor + Fraction(1, 10))
    left, right = 34.0, WIDTH - 2.0
    pitch = (right - left) / max(len(steps), 1)

    def y(share: Fraction) -> float:
        return bottom - float((share - floor) / (ceiling - floor)) * (bottom - top)

    pen = _Pen()
    for value in (floor, ceiling):
        pen.line(left, y(value), right, y(value), "s-line")
        pen.text(left - 5, y(value) + 3.5, f"{float(value * 100):.0f}%", "f-quiet", "end")
    for at, step in enumerate(steps):
        middle, reading = left + (at + 0.5) * pitch, step.reading
        if floor <= reading.target <= ceiling:
            aim = y(reading.target)
            pen.line(middle - pitch / 2, aim, middle + pitch / 2, aim, "s-ink", 1.2, "4 2")
        if reading.share is not None and reading.low is not None and reading.high is not None:
            pen.line(middle, y(reading.low), middle, y(reading.high), "s-edge", 1.5)
            for end in (reading.low, reading.high):
                pen.line(middle - 4, y(end), middle + 4, y(end), "s-edge", 1.5)
            pen.mark(middle, y(reading.share), reading.verdict)
        bold = ' font-weight="650"' if at == len(steps) - 1 else ""
        pen.text(middle, bottom + 13, reading.share_words, "f-ink", "middle", bold)
        pen.text(middle, bottom + 26, step.label, "f-quiet", "middle", bold)
    said = "; ".join(f"{step.name}: {step.reading.sentence}" for step in steps)
    return pen.done(height, f"The last {len(steps)} periods, oldest first. {said}")


def time_bar(parts: Sequence[TimePart]) -> Drawing:
    """Where the duty time went as one bar; breaks, which are not duty time, as a bar beside it."""
    duty = [part for part in parts if part.key != "break"]
    rest = sum(part.time for part in parts if part.key == "break")
    whole = sum(part.time for part in duty)
    left, right, height = 0.5, WIDTH - 0.5, 22.0
    total = whole + rest
    gap = 8.0 if whole and rest else 0.0
    scale = (right - left - gap) / total if total else 0.0
    pen, at = _Pen("time"), left
    for part in [*duty, *(part for part in parts if part.key == "break")]:
        if part.key == "break":
            at += gap
        width = part.time * scale
        if width:
            further = ' fill="url(#time-hatch)"' if part.key == "unknown" else ""
            classes = "s-unknown-line" if part.key == "unknown" else f"f-{part.key} s-panel"
            pen.rect(at, 1, width, height, classes, further)
        at += width
    if not total:
        pen.rect(left, 1, right - left, height, "f-sunk s-line")
        pen.text(WIDTH / 2, 16, "no duty time", "f-quiet", "middle")
    said = ", ".join(f"{part.label} {part.words}" for part in parts)
    return pen.done(height + 2, f"Where the time went: {said}.")


def swatch(key: str) -> str:
    """A small piece of a part's colour, for keys."""
    inside = f'<rect width="12" height="12" class="f-{key}"/>'
    if key == "unknown":
        place = 'x="0.5" y="0.5" width="11" height="11" class="s-unknown-line"'
        inside = f'{hatch("key")}<rect {place} fill="url(#key-hatch)"/>'
    return f'<svg class="swatch" viewBox="0 0 12 12" aria-hidden="true">{inside}</svg>'


def heat_class(hour: Hour, target: Fraction) -> str:
    """The colour of an hour: by its share; neutral where unknown time could decide it either way."""
    if not hour.duty:
        return "heat-none"
    share = Fraction(hour.on_patch, hour.duty)
    high = Fraction(hour.on_patch + hour.unknown, hour.duty)
    if share < target <= high:
        return "heat-open"
    if share >= target:
        return "heat-5" if share >= (1 + target) / 2 else "heat-4"
    return "heat-1" if share < target / 2 else "heat-2" if share < target * Fraction(4, 5) else "heat-3"


def heat(hours: Sequence[Hour], days: Sequence[date], target: Fraction) -> Drawing:
    """Day by hour: the colour is the share on patch, the number officer-minutes on patch.

    An hour that a day does not have is hatched: the one that is left out when the clocks go forward, and on
    all other days the second of the two when they go back.
    """
    columns = columns_of(hours)
    left, top = 62.0, 14.0
    month = len(days) > 7
    pitch = (WIDTH - left) / len(columns)
    height = 9.5 if month else 17.0
    known = {(hour.day, hour.hour, hour.again): hour for hour in hours}
    pen = _Pen("heat")
    for at, (number, again) in enumerate(columns):
        words = f"{number:02d}+" if again else f"{number:02d}"
        pen.text(left + (at + 0.5) * pitch, 9, words, "f-quiet", "middle")
    for row, day in enumerate(days):
        y = top + row * height
        words = f"{DAYS[day.weekday()]} {day.day} {MONTHS[day.month - 1]}"
        small = ' font-size="8"' if month else ""
        pen.text(0, y + height - (2 if month else 4.5), words, further=small)
        for at, (number, again) in enumerate(columns):
            hour = known.get((day.isoformat(), number, again))
            x = left + at * pitch
            if hour is None:
                pen.rect(x + 0.5, y + 0.5, pitch - 1, height - 1, "gone", ' fill="url(#heat-hatch)"')
                continue
            pen.rect(x + 0.5, y + 0.5, pitch - 1, height - 1, f"f-{heat_class(hour, target)}")
            if hour.wanted:
                around = ' fill="none" stroke-width="1.6"'
                pen.rect(x + 1.5, y + 1.5, pitch - 3, height - 3, "s-wanted", around)
            if hour.duty:
                [minutes] = apportion([hour.on_patch])
                size = ' font-size="7"' if month else ' font-size="8.5"'
                line = y + height - (2.2 if month else 5.3)
                pen.text(x + pitch / 2, line, str(minutes), "f-heat-ink", "middle", size)
    odd = [day for day in days if day_bounds(day)[1] - day_bounds(day)[0] != 86_400_000_000]
    said = f"{len(hours)} hours of {len(days)} days"
    if odd:
        said += f"; the clocks change on {DAYS[odd[0].weekday()]} {odd[0].day} {MONTHS[odd[0].month - 1]}"
    quiet = sum(1 for hour in hours if hour.wanted and not hour.on_patch)
    wanted = sum(1 for hour in hours if hour.wanted)
    if wanted:
        said += f"; of {wanted} hours in which a priority area is due, {quiet} had nobody on patch"
    words = f"Officer time on patch by day and hour: {said}. The table has every hour."
    return pen.done(top + height * len(days) + 1, words)


def crewing(single: Sequence[int], double: Sequence[int]) -> Drawing:
    """Vehicle time by hour of the day: with one officer below, with two or more above."""
    top, bottom, left = 4.0, 74.0, 34.0
    most = max((one + two for one, two in zip(single, double, strict=True)), default=0)
    pitch = (WIDTH - left) / 24
    pen = _Pen()
    pen.line(left, bottom, WIDTH, bottom, "s-edge")
    for hour, (one, two) in enumerate(zip(single, double, strict=True)):
        x, y = left + hour * pitch + 2, bottom
        for time, colour in ((one, "f-unproven"), (two, "f-on")):
            height = (bottom - top) * time / most if most else 0.0
            if height:
                pen.rect(x, y - height, pitch - 4, height, colour)
            y -= height
        pen.text(x + pitch / 2 - 2, bottom + 12, f"{hour:02d}", "f-quiet", "middle")
    if most:
        pen.text(left - 4, top + 8, f"{most / 3_600_000_000:.1f} h", "f-quiet", "end")
    words = (
        "Vehicle time by hour of the day, with one officer and with two or more; the table has the figures."
    )
    return pen.done(92.0, words)


def floor_of(steps: Sequence[Step]) -> Fraction:
    """A round figure below every bound and target."""
    known = [step.reading.target for step in steps]
    known += [step.reading.low for step in steps if step.reading.low is not None]
    return Fraction(max(int(min(known, default=Fraction(0)) * 10 - Fraction(1, 10)), 0), 10)


def spark(steps: Sequence[Step], floor: Fraction) -> str:
    """A small multiple for the force view: shares with bounds over the periods, and the targets.

    Args:
        steps: the periods.
        floor: where the scale begins, up to 100%; the same in all, so that they can be compared.
    """
    width, height = 168.0, 34.0
    pitch = width / max(len(steps), 1)

    def y(share: Fraction) -> float:
        return height - 3.5 - float((share - floor) / (1 - floor)) * (height - 7)

    pen = _Pen()
    for at, step in enumerate(steps):
        x, reading = (at + 0.5) * pitch, step.reading
        pen.line(x - pitch / 2, y(reading.target), x + pitch / 2, y(reading.target), "s-ink", 1, "2 2")
        if reading.share is not None and reading.low is not None and reading.high is not None:
            pen.line(x, y(reading.low), x, y(reading.high), "s-edge", 1.4)
            pen.mark(x, y(reading.share), reading.verdict, 3.6)
    said = "; ".join(
        f"{step.label} {reading.share_words}" + (f" {reading.verdict}" if reading.verdict else "")
        for step in steps
        for reading in (step.reading,)
    )
    return (
        f'<svg class="spark" viewBox="0 0 {_n(width)} {_n(height)}" role="img" '
        f'aria-label="{escape(said)}">{"".join(pen.drawn)}</svg>'
    )
