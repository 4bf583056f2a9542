"""Types of what is said as JSON, and the functions that make it of the core's values.

Of structs with fields of these types the HTTP API, its OpenAPI document and the page's types are all made.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Annotated, TypeVar, get_args

import msgspec
from msgspec import Meta

from geo.matching.history import FOREVER
from stream.core.calendar import rfc3339
from stream.core.facts import SECOND

if TYPE_CHECKING:
    from collections.abc import Callable

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
    for field, attribute, is_time in _fields(kind):
        if field not in given:
            source = next((item for item in sources if hasattr(item, attribute)), None)
            value = getattr(source, attribute)
            if is_time:
                value = when(value)
            elif field.endswith("_s") and value is not None:
                value = value / SECOND if digits is None else round(value / SECOND, digits)
            given[field] = value
    return kind(**given)


@cache
def _fields(kind: type[msgspec.Struct]) -> list[tuple[str, str, bool]]:
    """Each field's name, the attribute that it is made of, and whether it is an instant."""
    return [
        (
            item.name,
            ATTRIBUTES.get(item.name, item.name.removesuffix("_s")),
            Time in (item.type, *get_args(item.type)),
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
