"""Exports in the manners of tracker, radio and duty systems, each with the truth that was written into it.

All of it is made here: devices, officers and times are invented. Only how columns are named and values are
written follows what such systems do.
"""

# ruff: noqa: DTZ001 # what a workbook holds are local times without a zone

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
from convertbng.cutil import convert_bng

from tests.foreign_files import csv_bytes, json_bytes, ods_bytes, xlsx_bytes, zip_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LONDON = ZoneInfo("Europe/London")


@dataclass(frozen=True)
class TrueFix:
    """Where a device was: UTC, degrees, metres a second."""

    device: str
    at: datetime
    lon: float
    lat: float
    speed: float
    heading: float
    error: float

    @property
    def local(self) -> datetime:
        """The local time, without a zone."""
        return self.at.astimezone(LONDON).replace(tzinfo=None)


@dataclass(frozen=True)
class TrueDuty:
    """A duty as booked: local times."""

    officer: str
    name: str
    team: str
    radio: str
    start: datetime
    end: datetime
    cancelled: bool = False


def fixes(
    devices: Sequence[str] = ("LE01", "LE02"),
    start: datetime = datetime(2026, 11, 23, 8, 15, 3, tzinfo=UTC),
    count: int = 40,
    *,
    seed: int = 1,
) -> list[TrueFix]:
    """Two devices that drive about Leicester at changing speeds, in time order."""
    random = np.random.default_rng(seed)
    made: list[TrueFix] = []
    for number, device in enumerate(devices):
        lon, lat, speed, heading = -1.13 - 0.01 * number, 52.67, 9.0, 40.0 + 90 * number
        for step in range(count):
            at = start + timedelta(seconds=15 * step + 4 * number)
            made.append(
                TrueFix(device, at, round(lon, 6), round(lat, 6), speed, round(heading % 360, 1), 8.0)
            )
            # Nearly straight, so that the way between two fixes is what the speed says.
            after = speed if step % 5 else float(random.uniform(6, 14))
            metres = 15 * (speed + after) / 2
            heading += float(random.uniform(-4, 4))
            lat += metres * math.cos(math.radians(heading)) / 111_195
            lon += metres * math.sin(math.radians(heading)) / (111_195 * math.cos(math.radians(lat)))
            speed = after
    return sorted(made, key=lambda fix: fix.at)


def duties(days: int = 4) -> list[TrueDuty]:
    """Six officers of three teams: earlies, lates and nights, one of them cancelled."""
    made = []
    for number in range(6):
        for day in range(days):
            hour = (7, 14, 22)[(number + day) % 3]
            start = datetime(2026, 11, 16 + day, hour)
            made.append(
                TrueDuty(
                    f"{1001 + number:05}",
                    f"PC {('Ash', 'Birch', 'Cedar', 'Elm', 'Fir', 'Hazel')[number]}",
                    f"NC0{1 + number % 3}",
                    f"23456{number:02}",
                    start,
                    start + timedelta(hours=9),
                    cancelled=(number, day) == (2, 1),
                )
            )
    return made


@dataclass(frozen=True)
class Export:
    """A file of the corpus.

    Attributes:
        name: whose manner it has.
        file: the file's name.
        content: its bytes.
        kind: what it holds.
        fixes: the truth of positions.
        duties: the truth of bookings.
        metres: how far a position may be from the truth, for what is written coarsely.
        words: what must be said of it: part of a fault, a doubt or a note.
        as_is: whether it is taken without a mapping.
        columns: our fields that have to be found, with theirs.
    """

    name: str
    file: str
    content: bytes
    kind: str = "positions"
    fixes: list[TrueFix] = field(default_factory=list)
    duties: list[TrueDuty] = field(default_factory=list)
    metres: float = 1.0
    words: tuple[str, ...] = ()
    as_is: bool = False
    columns: dict[str, list[str]] = field(default_factory=dict)


def _dm(value: float, letters: str) -> str:
    """Degrees and minutes with a letter: ``52°38.2140' N``."""
    degrees, minutes = divmod(abs(value) * 60, 60)
    return f"{int(degrees)}°{minutes:07.4f}' {letters[value < 0]}"


def _dms(value: float, letters: str) -> str:
    seconds = abs(value) * 3600
    degrees, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{letters[value < 0]} {int(degrees)} {int(minutes):02} {seconds:06.3f}"


def _nmea(value: float, width: int) -> str:
    degrees, minutes = divmod(abs(value) * 60, 60)
    return f"{int(degrees):0{width}}{minutes:07.4f}"


def _grid(fix: TrueFix) -> tuple[float, float]:
    east, north = convert_bng(np.array([fix.lon]), np.array([fix.lat]))
    return float(east[0]), float(north[0])


def _square(fix: TrueFix, digits: int = 5) -> str:
    east, north = _grid(fix)
    size = 10 ** (5 - digits)
    return f"SK {int(east - 400_000) // size:0{digits}} {int(north - 300_000) // size:0{digits}}"


def position_exports() -> list[Export]:
    """Exports of positions."""
    true = fixes()
    found: list[Export] = []

    def add(name: str, file: str, content: bytes, **more: Any) -> None:
        found.append(Export(name, file, content, fixes=more.pop("fixes", true), **more))

    def rows(
        header: Sequence[str], row: Callable[[TrueFix], Sequence[Any]], of: list[TrueFix] = true
    ) -> list[Any]:
        return [list(header), *(list(row(fix)) for fix in of)]

    add(
        "tracking server's route report",
        "route.csv",
        csv_bytes(
            rows(
                (
                    "deviceId",
                    "Name",
                    "Fix Time",
                    "Valid",
                    "Latitude",
                    "Longitude",
                    "Altitude",
                    "Speed",
                    "Course",
                    "Address",
                ),
                lambda fix: (
                    *(fix.device, "Car", f"{fix.at:%Y-%m-%dT%H:%M:%S.000+00:00}", "true", fix.lat, fix.lon),
                    *(80, f"{fix.speed / 0.514444:.4f}", fix.heading, "High Street, Leicester"),
                ),
            )
        ),
        columns={"device_id": ["deviceId"], "time": ["Fix Time"], "valid": ["Valid"], "heading": ["Course"]},
    )
    add(
        "the same as a workbook with lines above",
        "route.xlsx",
        xlsx_bytes(
            {
                "Car": [
                    ["Report type:", "Route"],
                    ["Period:", "2026-11-23 00:00", "2026-11-24 00:00"],
                    [],
                    *rows(
                        ("Device", "Time", "Latitude", "Longitude", "Speed (kn)", "Course"),
                        lambda fix: (
                            fix.device,
                            fix.local,
                            fix.lat,
                            fix.lon,
                            fix.speed / 0.514444,
                            fix.heading,
                        ),
                    ),
                ]
            }
        ),
        words=("have no offset",),
    )
    add(
        "fleet portal in UK local time, mph",
        "VehicleHistory.csv",
        csv_bytes(
            rows(
                ("Registration", "Date/Time", "Latitude", "Longitude", "Speed (mph)", "Heading", "Location"),
                lambda fix: (
                    *(fix.device, f"{fix.local:%d/%m/%Y %H:%M:%S}", fix.lat, fix.lon),
                    *(f"{fix.speed / 0.44704:.1f}", fix.heading, "Leicester, LE1"),
                ),
            ),
            encoding="utf-8-sig",
        ),
        words=("have no offset",),
        columns={"device_id": ["Registration"], "speed": ["Speed (mph)"]},
    )
    add(
        "telematics log, dates and times apart, day-first with a two-digit year",
        "log.csv",
        csv_bytes(
            rows(
                ("Device", "Date", "Time", "GPS_Lat", "GPS_Long", "Speed km/h"),
                lambda fix: (
                    *(fix.device, f"{fix.local:%d/%m/%y}", f"{fix.local:%H:%M:%S}", fix.lat, fix.lon),
                    f"{fix.speed * 3.6:.0f}",
                ),
            )
        ),
    )
    add(
        "fleet portal in the American order",
        "trips.csv",
        csv_bytes(
            rows(
                ("Asset Name", "Event Time (UTC)", "Lat", "Lng", "Speed (mph)", "Bearing"),
                lambda fix: (
                    *(fix.device, f"{fix.at:%m/%d/%Y %I:%M:%S %p}", fix.lat, fix.lon),
                    *(f"{fix.speed / 0.44704:.2f}", fix.heading),
                ),
            )
        ),
    )
    add(
        "German fleet software",
        "Fahrten.csv",
        csv_bytes(
            rows(
                ("Kennzeichen", "Zeitstempel", "Breitengrad", "Längengrad", "Geschwindigkeit", "Richtung"),
                lambda fix: (
                    *(fix.device, f"{fix.local:%d.%m.%Y %H:%M:%S}"),
                    *(f"{value:.6f}".replace(".", ",") for value in (fix.lat, fix.lon)),
                    *(f"{fix.speed * 3.6:.1f}".replace(".", ","), fix.heading),
                ),
            ),
            delimiter=";",
            encoding="cp1252",
        ),
        words=("Windows-1252",),
    )
    add(
        "digital radio location log, semicolons with sep=",
        "avl.csv",
        csv_bytes(
            rows(
                (
                    "ISSI",
                    "TimeStamp",
                    "Longitude",
                    "Latitude",
                    "HorizontalUncertainty",
                    "Velocity kmh",
                    "Direction of Travel",
                ),
                lambda fix: (
                    *(fix.device, f"{fix.at:%Y-%m-%d %H:%M:%SZ}", fix.lon, fix.lat, fix.error),
                    *(f"{fix.speed * 3.6:.0f}", fix.heading),
                ),
            ),
            delimiter=";",
            sep_line=True,
        ),
        columns={"device_id": ["ISSI"]},
    )
    add(
        "control room's extract in eastings and northings",
        "avls.csv",
        csv_bytes(
            rows(
                ("Callsign", "Radio ID", "Date Time", "Easting", "Northing"),
                lambda fix: (
                    *(f"N{fix.device}", fix.device, f"{fix.local:%d-%b-%Y %H:%M:%S}"),
                    *(f"{value:.0f}" for value in _grid(fix)),
                ),
            )
        ),
        metres=2,
        columns={"device_id": ["Radio ID"], "lon": ["Easting"], "lat": ["Northing"]},
    )
    add(
        "X and Y that are grid metres, with groups of thousands",
        "xy.csv",
        csv_bytes(
            rows(
                ("Unit", "Timestamp", "X", "Y"),
                lambda fix: (fix.device, fix.at.isoformat(), *(f"{value:,.1f}" for value in _grid(fix))),
            )
        ),
    )
    add(
        "grid references of ten figures",
        "refs.csv",
        csv_bytes(
            rows(
                ("Radio", "Time", "Grid Ref"),
                lambda fix: (fix.device, f"{fix.at:%Y-%m-%dT%H:%M:%SZ}", _square(fix)),
            )
        ),
        metres=2,
    )
    add(
        "grid references of four figures",
        "coarse.csv",
        csv_bytes(
            rows(
                ("Radio", "Time", "Map Reference".replace("Map ", "Grid ")),
                lambda fix: (fix.device, f"{fix.at:%Y-%m-%dT%H:%M:%SZ}", _square(fix, 2)),
            )
        ),
        metres=800,
        words=("too coarse",),
    )
    add(
        "Unix seconds",
        "unix.csv",
        csv_bytes(
            rows(
                ("imei", "timestamp", "lat", "lng"),
                lambda fix: (fix.device, int(fix.at.timestamp()), fix.lat, fix.lon),
            )
        ),
    )
    add(
        "Unix milliseconds in a JSON array, camel case",
        "positions.json",
        json.dumps(
            [
                {
                    "vehicleId": fix.device,
                    "gpsTimestamp": int(fix.at.timestamp() * 1000),
                    "position": {"latitude": fix.lat, "longitude": fix.lon},
                    "speedKmh": fix.speed * 3.6,
                }
                for fix in true
            ]
        ).encode(),
    )
    add(
        "phone application's JSON lines",
        "owner.jsonl",
        b"".join(
            json.dumps(
                {"_type": "location", "tid": fix.device, "tst": int(fix.at.timestamp()), "lat": fix.lat}
                | {"lon": fix.lon, "acc": fix.error, "vel": round(fix.speed * 3.6), "cog": fix.heading}
            ).encode()
            + b"\n"
            for fix in true
        ),
        words=("is taken for the device's id",),
    )
    add(
        "a wrapper around the list",
        "api.json",
        json_bytes(
            ("deviceId", "recordedAt", "latitude", "longitude"),
            [(fix.device, fix.at.isoformat(), fix.lat, fix.lon) for fix in true],
            "wrapped",
        ),
    )
    add(
        "GeoJSON points",
        "points.geojson",
        json.dumps(
            {
                "type": "FeatureCollection",
                "features": [
                    {
                        "type": "Feature",
                        "geometry": {"type": "Point", "coordinates": [fix.lon, fix.lat]},
                        "properties": {"callsign": fix.device, "time": fix.at.isoformat()},
                    }
                    for fix in true
                ],
            }
        ).encode(),
        words=("by their values",),
    )
    add(
        "database dump with WKT",
        "gps.csv",
        csv_bytes(
            rows(
                ("unit_id", "recorded_at", "geom"),
                lambda fix: (fix.device, f"{fix.at:%Y-%m-%d %H:%M:%S+00}", f"POINT({fix.lon} {fix.lat})"),
            )
        ),
    )
    add(
        "latitude and longitude in one cell",
        "pair.csv",
        csv_bytes(
            rows(
                ("Vehicle", "When", "Coordinates"),
                lambda fix: (fix.device, fix.at.isoformat(), f"{fix.lat}, {fix.lon}"),
            )
        ),
    )
    add(
        "degrees and minutes",
        "dm.csv",
        csv_bytes(
            rows(
                ("Device ID", "UTC Time", "Latitude", "Longitude"),
                lambda fix: (
                    fix.device,
                    f"{fix.at:%Y-%m-%d %H:%M:%S}",
                    _dm(fix.lat, "NS"),
                    _dm(fix.lon, "EW"),
                ),
            )
        ),
    )
    add(
        "degrees, minutes and seconds",
        "dms.csv",
        csv_bytes(
            rows(
                ("Device ID", "UTC Time", "Latitude", "Longitude"),
                lambda fix: (
                    fix.device,
                    f"{fix.at:%Y-%m-%d %H:%M:%S}",
                    _dms(fix.lat, "NS"),
                    _dms(fix.lon, "EW"),
                ),
            )
        ),
    )
    add(
        "a receiver's own numbers, with letters beside them",
        "tk.csv",
        csv_bytes(
            rows(
                ("imei", "date", "utc time", "lat", "N/S", "lon", "E/W", "speed knots"),
                lambda fix: (
                    *(fix.device, f"{fix.at:%Y-%m-%d}", f"{fix.at:%H%M%S}", _nmea(fix.lat, 2), "N"),
                    *(_nmea(fix.lon, 3), "W", f"{fix.speed / 0.514444:.2f}"),
                ),
            )
        ),
    )
    add(
        "whole numbers of 1e-7 degrees",
        "e7.csv",
        csv_bytes(
            rows(
                ("device", "timestamp", "latitude", "longitude"),
                lambda fix: (
                    *(fix.device, int(fix.at.timestamp() * 1000)),
                    *(round(fix.lat * 1e7), round(fix.lon * 1e7)),
                ),
            )
        ),
    )
    add(
        "exchanged coordinates",
        "swapped.csv",
        csv_bytes(
            rows(
                ("device", "time", "lat", "lon"),
                lambda fix: (fix.device, fix.at.isoformat(), fix.lon, fix.lat),
            )
        ),
        words=("exchanged",),
    )
    east = [
        TrueFix(fix.device, fix.at, fix.lon - 1.5, fix.lat, fix.speed, fix.heading, fix.error) for fix in true
    ]
    add(
        "lost signs",
        "unsigned.csv",
        csv_bytes(
            rows(
                ("device", "time", "lat", "lon"),
                lambda fix: (fix.device, fix.at.isoformat(), fix.lat, abs(fix.lon)),
                east,
            )
        ),
        fixes=east,
        words=("lost their sign",),
    )
    add(
        "Excel's day numbers in a CSV",
        "days.csv",
        csv_bytes(
            rows(
                ("Vehicle Reg", "Date and Time", "Latitude", "Longitude"),
                lambda fix: (
                    fix.device,
                    f"{(fix.local - datetime(1899, 12, 30)) / timedelta(days=1):.8f}",
                    *(fix.lat, fix.lon),
                ),
            )
        ),
    )
    add(
        "spreadsheet with typed dates, an empty sheet and a total",
        "AVL November.xlsx",
        xlsx_bytes(
            {
                "Summary": [["AVL positions"], ["Total", len(true)]],
                "Data": [
                    *rows(
                        ("Radio ISSI", "Date", "Time", "Latitude", "Longitude", "Accuracy (m)"),
                        lambda fix: (
                            fix.device,
                            fix.local.date(),
                            fix.local.time(),
                            fix.lat,
                            fix.lon,
                            fix.error,
                        ),
                    ),
                    ["Total", None, None, len(true)],
                ],
            }
        ),
        words=("have no offset", "of totals"),
    )
    add(
        "OpenDocument sheet",
        "positions.ods",
        ods_bytes(
            rows(
                ("device", "time", "latitude", "longitude"),
                lambda fix: (fix.device, fix.at.isoformat(), fix.lat, fix.lon),
            )
        ),
    )
    add(
        "UTF-16 with tabs, as a desktop database exports",
        "units.txt",
        csv_bytes(
            rows(
                ("UnitID", "EventDateTime", "Lat", "Long", "Speed"),
                lambda fix: (
                    *(
                        fix.device,
                        f"{fix.at:%Y-%m-%d %H:%M:%S.%f} +00:00",
                        fix.lat,
                        fix.lon,
                        f"{fix.speed * 3.6:.2f}",
                    ),
                ),
            ),
            delimiter="\t",
            encoding="utf-16",
        ),
    )
    autumn = fixes(start=datetime(2026, 10, 25, 0, 40, tzinfo=UTC))
    add(
        "local times in the night of the change of clocks",
        "october.csv",
        csv_bytes(
            rows(
                ("radio", "local time", "lat", "lon"),
                lambda fix: (fix.device, f"{fix.local:%Y-%m-%d %H:%M:%S}", fix.lat, fix.lon),
                autumn,
            )
        ),
        fixes=[],
        words=("comes twice",),
    )
    spring = fixes(start=datetime(2026, 3, 29, 1, 10, tzinfo=UTC))
    add(
        "UTC without saying so, seen by an hour that is not there",
        "march.csv",
        csv_bytes(
            rows(
                ("radio", "time stamp", "lat", "lon"),
                lambda fix: (fix.device, f"{fix.at:%Y-%m-%d %H:%M:%S}", fix.lat, fix.lon),
                spring,
            )
        ),
        fixes=spring,
        words=("UTC is taken",),
    )
    add(
        "no header at all",
        "raw.csv",
        csv_bytes([[fix.device, fix.at.isoformat(), fix.lat, fix.lon] for fix in true]),
        words=("no header line",),
    )
    add(
        "a zip of a file for each device",
        "devices.zip",
        zip_bytes(
            {
                f"{device}.csv": csv_bytes(
                    rows(
                        ("device", "time", "lat", "lon"),
                        lambda fix: (fix.device, fix.at.isoformat(), fix.lat, fix.lon),
                        [fix for fix in true if fix.device == device],
                    )
                )
                for device in ("LE01", "LE02")
            }
        ),
    )
    add(
        "our own form",
        "own.csv",
        csv_bytes(
            rows(
                ("device_id", "time", "lon", "lat", "error_m"),
                lambda fix: (fix.device, fix.at.isoformat(), fix.lon, fix.lat, fix.error),
            )
        ),
        as_is=True,
    )
    return found


def roster_exports() -> list[Export]:
    """Exports of bookings."""
    true = duties()
    found: list[Export] = []

    def add(name: str, file: str, content: bytes, **more: Any) -> None:
        found.append(Export(name, file, content, "duties", duties=true, **more))

    def rows(header: Sequence[str], row: Callable[[TrueDuty], Sequence[Any]]) -> list[Any]:
        return [list(header), *(list(row(duty)) for duty in true)]

    add(
        "duty management, a day and two times",
        "duties.csv",
        csv_bytes(
            rows(
                (
                    "Collar No",
                    "Name",
                    "Team",
                    "Duty Date",
                    "Start Time",
                    "End Time",
                    "Status",
                    "Airwave ISSI",
                ),
                lambda duty: (
                    *(duty.officer, duty.name, duty.team, f"{duty.start:%d/%m/%Y}"),
                    *(
                        f"{duty.start:%H:%M}",
                        f"{duty.end:%H:%M}",
                        "Cancelled" if duty.cancelled else "Published",
                    ),
                    duty.radio,
                ),
            )
        ),
        words=("NC01", "Published"),
        columns={
            "officer_id": ["Collar No"],
            "date": ["Duty Date"],
            "cancelled": ["Status"],
            "radio": ["Airwave ISSI"],
        },
    )
    add(
        "duty management as a workbook with a title",
        "week47.xlsx",
        xlsx_bytes(
            {
                "Duties": [
                    ["Duties for week 47"],
                    ["Printed", date(2026, 11, 15)],
                    [],
                    *rows(
                        (
                            "Employee Number",
                            "Employee Name",
                            "Org Unit",
                            "Shift Start",
                            "Shift End",
                            "Deleted",
                        ),
                        lambda duty: (
                            duty.officer,
                            duty.name,
                            duty.team,
                            duty.start,
                            duty.end,
                            "Y" if duty.cancelled else "N",
                        ),
                    ),
                ],
                "Lookups": [["Code", "Meaning"], ["E", "Early"], ["L", "Late"]],
            }
        ),
        words=("no column has radios or vehicles",),
    )
    add(
        "times in one cell",
        "rota.csv",
        csv_bytes(
            rows(
                (
                    "Officer ID",
                    "Shift Date",
                    "Duty Times",
                    "Neighbourhood Team".replace("Neighbourhood ", ""),
                    "Vehicle",
                    "Cancelled",
                ),
                lambda duty: (
                    *(duty.officer, f"{duty.start:%d-%b-%y}", f"{duty.start:%H%M}-{duty.end:%H%M}"),
                    *(duty.team, f"FX{duty.radio[-2:]}ABC", "yes" if duty.cancelled else "no"),
                ),
            ),
            delimiter=";",
            encoding="cp1252",
        ),
        columns={"times": ["Duty Times"], "vehicle": ["Vehicle"]},
    )
    add(
        "times and rest days, with a call sign",
        "briefing.csv",
        csv_bytes(
            [
                *rows(
                    ("Shoulder Number", "Date", "From", "To", "Section", "Call Sign", "Duty Status"),
                    lambda duty: (
                        *(duty.officer, f"{duty.start:%d.%m.%Y}", f"{duty.start:%H.%M}", f"{duty.end:%H.%M}"),
                        *(duty.team, f"NA{duty.officer[-2:]}", "CANCELLED" if duty.cancelled else "OK"),
                    ),
                ),
                ["01001", "20.11.2026", "", "", "NC01", "", "Rest Day"],
            ]
        ),
        words=("Rest Day", "call signs"),
    )
    add(
        "a start and hours",
        "hours.csv",
        csv_bytes(
            rows(
                ("StaffID", "DutyStart", "DurationHours", "Cancelled", "Patch"),
                lambda duty: (
                    *(duty.officer, f"{duty.start:%Y-%m-%d %H:%M}", "9", str(duty.cancelled).lower()),
                    "E05001784",
                ),
            )
        ),
        columns={"duration": ["DurationHours"], "patch": ["Patch"]},
    )
    add(
        "typed days and times apart, numbers that ate their zeros",
        "typed.xlsx",
        xlsx_bytes(
            {
                "Sheet1": rows(
                    ("Warrant No", "Work Date", "Time On", "Time Off", "Department", "Cancelled"),
                    lambda duty: (
                        *(int(duty.officer), duty.start.date(), duty.start.time(), duty.end.time()),
                        *(duty.team, duty.cancelled),
                    ),
                )
            }
        ),
        words=("leading zeros",),
    )
    add(
        "planned and worked times",
        "worked.csv",
        csv_bytes(
            rows(
                (
                    "Resource ID",
                    "Planned Start",
                    "Planned End",
                    "Actual Start",
                    "Actual End",
                    "Team Code",
                    "Voided",
                ),
                lambda duty: (
                    *(duty.officer, f"{duty.start - timedelta(minutes=15):%d/%m/%Y %H:%M}"),
                    *(
                        f"{duty.end:%d/%m/%Y %H:%M}",
                        f"{duty.start:%d/%m/%Y %H:%M}",
                        f"{duty.end:%d/%m/%Y %H:%M}",
                    ),
                    *(duty.team, ""),
                ),
            )
        ),
        words=("Planned Start",),
        columns={"start": ["Actual Start"], "end": ["Actual End"]},
    )
    return found


def state_exports() -> list[Export]:
    """Exports of radio states: one state of each officer at the start of each duty."""
    true = duties()

    def rows(header: Sequence[str], row: Callable[[TrueDuty], Sequence[Any]]) -> list[Any]:
        return [list(header), *(list(row(duty)) for duty in true)]

    words = ("Available", "At Scene", "Refreshments", "En Route", "Unavailable")
    return [
        Export(
            "control room's status log in codes",
            "status.csv",
            csv_bytes(
                rows(
                    ("Collar Number", "Status Time", "Status Code"),
                    lambda duty: (duty.officer, f"{duty.start:%d/%m/%Y %H:%M:%S}", f"0{duty.start.day % 9}"),
                )
            ),
            "states",
            duties=true,
        ),
        Export(
            "control room's status log in words",
            "activity.xlsx",
            xlsx_bytes(
                {
                    "Log": rows(
                        ("Officer", "Changed At", "Status"),
                        lambda duty: (duty.officer, duty.start, words[duty.start.day % 5]),
                    )
                }
            ),
            "states",
            duties=true,
            words=("states are words",),
        ),
    ]
