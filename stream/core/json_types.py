"""Types of what is said as JSON, and the functions that make it of the core's values.

Of structs with fields of these types the HTTP API, its OpenAPI document and the page's types are all made.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args

import msgspec
import numpy as np
from msgspec import Meta

from geo.matching.history import FOREVER
from stream.core.calendar import rfc3339
from stream.core.facts import SECOND

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Made = TypeVar("Made", bound=msgspec.Struct)

Time = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
"""RFC 3339 in UTC."""

Date = Annotated[str, Meta(extra_json_schema={"format": "date"})]
"""A day of the calendar, local."""

Seconds = Annotated[float, Meta(ge=0)]
Part = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0)]


def when(time: int | None) -> Time | None:
    """Microseconds since 1970 as RFC 3339; None for none, and for a time that never comes."""
    return None if time is None or abs(time) >= FOREVER else rfc3339(time)


def seconds_ms(time: int) -> Seconds:
    """Microseconds as seconds, to the millisecond."""
    return round(time / SECOND, 3)


def rounded(part: float | None) -> Part | None:
    """A part of one, to six decimals."""
    return None if part is None else round(part, 6)


def rounded_all(parts: NDArray[np.float64]) -> list[float]:
    """What ``rounded`` gives of each of ``float64[n]``, 0 to 1."""
    scaled = parts * 1e6
    nearest = np.rint(scaled)
    found = nearest / 1e6
    # What lies between two is rounded as its decimals say, not as the product does.
    for at in np.flatnonzero(np.abs(np.abs(scaled - nearest) - 0.5) < 1e-3).tolist():
        found[at] = round(float(parts[at]), 6)
    same: list[float] = found.tolist()
    return same


def told(kind: type[Made], /, *sources: object, digits: int | None = None, **given: object) -> Made:
    """A struct of values of the core, of their attributes in the units of JSON.

    A field that is not given is the attribute of its name, of the first source that has one. Instants become
    RFC 3339; a length of time, whose field's name has ``_s`` at its end, becomes seconds.

    Args:
        kind: of the struct wanted.
        sources: values whose times are whole microseconds.
        digits: decimals of the seconds; None: exact.
        given: fields that are no such attribute.

    Raises:
        AttributeError: no source has a field.
    """
    for field, attribute, is_time, is_length in _fields(kind):
        if field not in given:
            value = _attribute(sources, attribute)
            if is_time:
                value = when(value)
            elif is_length and value is not None:
                value = value / SECOND if digits is None else round(value / SECOND, digits)
            given[field] = value
    return kind(**given)


def _attribute(sources: tuple[object, ...], name: str) -> Any:
    """That of the first source that has it; asked for once, for it may be worked out."""
    for source in sources:
        value = getattr(source, name, _NOTHING)
        if value is not _NOTHING:
            return value
    raise AttributeError(f"nothing has {name}")


_NOTHING = object()


@cache
def _fields(kind: type[msgspec.Struct]) -> list[tuple[str, str, bool, bool]]:
    """Each field's name, the attribute that it is made of, whether it is an instant, and a length of time."""
    return [
        (
            item.name,
            ATTRIBUTES.get(item.name, item.name.removesuffix("_s")),
            Time in (item.type, *get_args(item.type)),
            item.name.endswith("_s"),
        )
        for item in msgspec.structs.fields(kind)
    ]


ATTRIBUTES = {"break_s": "on_break"}
"""Attributes that are called otherwise than their fields."""


def extended(kind: Callable[..., Made], base: msgspec.Struct, **more: object) -> Made:
    """A struct that has all the fields of another, whose kind its own extends, and more.

    Args:
        kind: of the struct wanted.
        base: the other one.
        more: the further fields.
    """
    return kind(**msgspec.structs.asdict(base), **more)
