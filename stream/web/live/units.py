"""Devices on the map: as columns for the stream, and as GeoJSON.

Values in, structs out. Times are RFC 3339 in UTC, but in columns, where they are whole milliseconds since
1970. A device has a position here only while it is allocated to an officer on duty, and only one reported
since then: of any other it is said that it was heard, and not where.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import numpy as np
from msgspec import UNSET, Meta, UnsetType

from geo.matching.history import UNKNOWN
from stream.core.calendar import rfc3339
from stream.core.json_types import Seconds, Time, seconds_ms, told
from stream.core.live.overview import SIGNED_OFF
from stream.core.slices import ACTIVITIES, NO_STATE
from stream.web.live.figures import place_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from stream.core.explaining.wording import Named
    from stream.core.facts import Duty
    from stream.core.live.overview import Picture, Presence
    from stream.core.policy import Policies

HEARD_ONLY: Final = "off duty: heard, not where"
"""In the place of where a device is while nobody on duty has it."""

DIGITS = 6
"""Decimals of degrees: a tenth of a metre."""

DeviceKind = Annotated[str, Meta(extra_json_schema={"enum": ["radio", "vehicle"]})]
Doing = Annotated[str, Meta(extra_json_schema={"enum": [*ACTIVITIES, "off_duty"]})]
"""An activity, or that of an officer who is booked on and signed off."""


class UnitColumnsJson(msgspec.Struct, frozen=True):
    """Devices as columns: the same row of every column is one device."""

    ids: list[str]
    lon: Annotated[list[float | None], Meta(description="null: off duty, so heard, and not said where.")]
    lat: list[float | None]
    t_ms: list[int]
    heading: list[int | None]
    activity: list[Doing | None]
    kind: list[DeviceKind] | UnsetType = UNSET
    officers: list[tuple[str, ...]] | UnsetType = UNSET
    names: Annotated[
        list[str | None] | UnsetType,
        Meta(description="What the officers are called, in one line. Seldom changes, as kind and officers."),
    ] = UNSET
    gone: list[str] | UnsetType = UNSET


class PointJson(msgspec.Struct, frozen=True, tag_field="type", tag="Point"):
    """A position, degrees."""

    coordinates: tuple[float, float]


class HolderJson(msgspec.Struct, frozen=True):
    """An officer who has a device."""

    officer_id: str
    name: str


class UnitJson(msgspec.Struct, frozen=True):
    """A device: its last position and who has it; off duty it is said to be heard, and not where."""

    device_id: str
    kind: DeviceKind
    officers: list[HolderJson]
    time: Time
    age_s: Annotated[
        Seconds | None,
        Meta(description="Since it was last heard; null: its position is dated ahead, nobody saw it come."),
    ]
    ahead_s: Annotated[
        Seconds | None, Meta(description="How far its position is dated ahead; null where it is not.")
    ]
    heading_deg: float | None
    speed_mps: float | None
    error_m: float | None
    neighbourhood: str | None
    premises: str | None
    priorities: list[str]
    where: str
    activity: Doing | None
    state: str | None


class UnitFeatureJson(msgspec.Struct, frozen=True, tag_field="type", tag="Feature"):
    """A device as GeoJSON."""

    id: str
    geometry: Annotated[
        PointJson | None,
        Meta(description="null: in no duty now, or nothing reported in it: heard, not where."),
    ]
    properties: UnitJson


class UnitsJson(msgspec.Struct, frozen=True, tag_field="type", tag="FeatureCollection"):
    """All devices heard of late, as GeoJSON."""

    time_stamp: Time = msgspec.field(name="timeStamp")
    features: list[UnitFeatureJson]


@dataclass(frozen=True, slots=True)
class Holder:
    """An officer who has a device now, and what they do.

    Attributes:
        name: what they are called.
        patch: of the duty that has it.
        kind: what kind of device the duty says it is.
        activity: as the API calls it.
        state: the radio status in force.
    """

    officer_id: str
    name: str
    patch: tuple[str, ...]
    kind: str
    activity: str
    state: int


@dataclass(frozen=True, slots=True)
class ShownUnit:
    """A device on the map, as far as it is compared with what it was.

    Attributes:
        lon, lat: degrees; None where it is off duty: then it is not said where it is.
        holders: those who have it now, by duty's number.
    """

    device_id: str
    time: int
    lon: float | None
    lat: float | None
    error_m: float | None
    speed_mps: float | None
    heading_deg: float | None
    place: int
    holders: tuple[Holder, ...]

    @property
    def kind(self) -> str:
        """What kind of device it is; a radio where nobody has it."""
        return self.holders[0].kind if self.holders else "radio"

    @property
    def officers(self) -> tuple[str, ...]:
        """The ids of those who have it."""
        return tuple(item.officer_id for item in self.holders)

    @property
    def names(self) -> str | None:
        """What they are called, in one line; None where nobody has it."""
        return ", ".join(item.name for item in self.holders) or None

    @property
    def activity(self) -> str | None:
        """Of the first of them, None where nobody has it."""
        return self.holders[0].activity if self.holders else None

    @property
    def state(self) -> int:
        """The radio status of the first of them."""
        return self.holders[0].state if self.holders else NO_STATE


def state_words(policies: Policies, start: int, state: int) -> str:
    """A radio status in words, under the policy at a duty's start."""
    return "" if state == NO_STATE else policies.at(start).state(state).name.replace("_", " ")


def activity_name(activity: int) -> str:
    """The name of an activity; ``off_duty`` for an officer who is booked on and signed off."""
    return "off_duty" if activity == SIGNED_OFF else ACTIVITIES[activity]


def called(duty: Duty) -> str:
    """What the officer of a duty is called."""
    return duty.name or duty.officer_id


def holders(duties: Sequence[Duty], now: int) -> dict[str, list[tuple[int, str, int]]]:
    """By device: the duties to which it is allocated now, with what kind it is and since when."""
    found: dict[str, list[tuple[int, str, int]]] = {}
    for number, duty in enumerate(duties):
        for item in duty.devices:
            if (item.start is None or item.start <= now) and (item.end is None or item.end > now):
                since = duty.start if item.start is None else max(duty.start, item.start)
                found.setdefault(item.device_id, []).append((number, item.kind, since))
    return found


def units_of(picture: Picture, shown: Presence) -> dict[str, ShownUnit]:
    """Every device heard of late.

    Args:
        picture: the state of things.
        shown: what the officers of its duties do.
    """
    held = holders(picture.duties, picture.as_of)
    units = picture.units
    activity, state = shown.activity.tolist(), shown.state.tolist()
    found = {}
    for device_id, time, lon, lat, error, speed, heading, place in zip(
        units.device_id,
        units.time.tolist(),
        np.round(units.lon, DIGITS).tolist(),
        np.round(units.lat, DIGITS).tolist(),
        known_numbers(units.error_m, 1),
        known_numbers(units.speed_mps, 1),
        known_numbers(units.heading_deg, 0),
        units.place.tolist(),
        strict=True,
    ):
        own = held.get(device_id, ())
        # Where somebody is outside a duty is nobody's business, a moment before it begins and signed off too.
        on_duty = any(activity[number] != SIGNED_OFF and time >= since for number, _, since in own)
        found[device_id] = ShownUnit(
            device_id,
            time,
            lon if on_duty else None,
            lat if on_duty else None,
            error if on_duty else None,
            speed if on_duty else None,
            heading if on_duty else None,
            place if on_duty else UNKNOWN,
            tuple(
                Holder(
                    (duty := picture.duties[number]).officer_id,
                    called(duty),
                    duty.patch,
                    kind,
                    activity_name(activity[number]),
                    state[number],
                )
                for number, kind, _ in own
            ),
        )
    return found


def known_numbers(column: NDArray[np.float64], decimals: int) -> list[float | None]:
    """Numbers rounded, those that are missing as None."""
    missing = np.isnan(column).tolist()
    values = np.round(column, decimals).tolist()
    return [None if gone else value for value, gone in zip(values, missing, strict=True)]


def columns_of(
    units: Sequence[ShownUnit], gone: list[str] | UnsetType = UNSET, *, whole: bool
) -> UnitColumnsJson:
    """Units as columns.

    Args:
        units: which.
        gone: devices that are to be shown no more.
        whole: with what seldom changes: the kind of device, who has it, and what they are called.
    """
    return UnitColumnsJson(
        ids=[item.device_id for item in units],
        lon=[item.lon for item in units],
        lat=[item.lat for item in units],
        t_ms=[item.time // 1000 for item in units],
        heading=[None if item.heading_deg is None else int(item.heading_deg) for item in units],
        activity=[item.activity for item in units],
        kind=[item.kind for item in units] if whole else UNSET,
        officers=[item.officers for item in units] if whole else UNSET,
        names=[item.names for item in units] if whole else UNSET,
        gone=gone,
    )


def units_json(
    units: Mapping[str, ShownUnit], picture: Picture, policies: Policies, names: Named
) -> UnitsJson:
    """Units as GeoJSON."""
    duties = {duty.officer_id: duty for duty in picture.duties}
    features = []
    for item in units.values():
        place = None if item.place == UNKNOWN else picture.places[item.place]
        owners = [duties[officer] for officer in item.officers]
        heard = picture.last_fix.get(item.device_id, item.time)
        at = None if item.lon is None or item.lat is None else PointJson((item.lon, item.lat))
        unit = told(
            UnitJson,
            item,
            officers=[HolderJson(duty.officer_id, called(duty)) for duty in owners],
            age_s=None if item.device_id in picture.unseen else seconds_ms(max(0, picture.as_of - heard)),
            ahead_s=seconds_ms(item.time - picture.as_of) if item.time > picture.as_of else None,
            neighbourhood=None if place is None else place.neighbourhood,
            premises=None if place is None else place.premises,
            priorities=[] if place is None else list(place.priorities),
            where=HEARD_ONLY if at is None else place_words(place, names),
            state=state_words(policies, owners[0].start, item.state) if owners else None,
        )
        features.append(UnitFeatureJson(item.device_id, at, unit))
    return UnitsJson(rfc3339(picture.as_of), features)
