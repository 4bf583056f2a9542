"""Writers of feeds as devices write them, independent of the decoders: for tests and samples.

Everything is put together from text and bits by the specifications, by other means than it is read.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import xor

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(time_us: int) -> datetime:
    """Microseconds since 1970 as a time in UTC."""
    return EPOCH + timedelta(microseconds=time_us)


def checked(text: str) -> str:
    """The exclusive or of a text's characters as two hex digits."""
    return f"{reduce(xor, map(ord, text), 0):02X}"


# --- NMEA -------------------------------------------------------------------------------------------------


def sentence(text: str) -> str:
    """An NMEA sentence with its checksum."""
    return f"${text}*{checked(text)}"


def angle(value: float, digits: int, sides: str) -> str:
    """Degrees as ``dddmm.mmmmm`` and a letter."""
    minutes = round(abs(value) * 60 * 100_000)
    degrees, rest = divmod(minutes, 6_000_000)
    return f"{degrees:0{digits}}{rest / 100_000:08.5f},{sides[value < 0]}"


def rmc(time_us: int, lon: float, lat: float, knots: float, course: float, status: str = "A") -> str:
    """An RMC sentence; milliseconds are kept."""
    at = moment(time_us)
    clock = f"{at:%H%M%S}.{at.microsecond // 1000:03}"
    where = f"{angle(lat, 2, 'NS')},{angle(lon, 3, 'EW')}"
    mode = "A" if status == "A" else "N"
    return sentence(f"GNRMC,{clock},{status},{where},{knots:.3f},{course:.2f},{at:%d%m%y},,,{mode}")


def gga(
    time_us: int, lon: float, lat: float, quality: int = 1, satellites: int = 9, hdop: float = 0.9
) -> str:
    """A GGA sentence."""
    at = moment(time_us)
    clock = f"{at:%H%M%S}.{at.microsecond // 1000:03}"
    where = f"{angle(lat, 2, 'NS')},{angle(lon, 3, 'EW')}"
    return sentence(f"GNGGA,{clock},{where},{quality},{satellites:02},{hdop:.2f},80.0,M,47.0,M,,")


# --- TAIP -------------------------------------------------------------------------------------------------


def taip(message: str, device: str | None = None, *, check: bool = True) -> str:
    """A TAIP message between its brackets."""
    text = f">{message}" + (f";ID={device}" if device else "")
    if check:
        text += ";*"
        text += checked(text)
    return text + "<"


def fixed(value: float, digits: int, places: int, *, signed: bool = True) -> str:
    """A number without its point: sign, digits before it, digits after it."""
    scaled = round(abs(value) * 10**places)
    sign = "-" if value < 0 else "+"
    return (sign if signed else "") + f"{scaled:0{digits + places}}"


def pv(time_us: int, lon: float, lat: float, mph: int, heading: int, source: int = 1, age: int = 2) -> str:
    """A PV report: whole seconds, five places."""
    seconds = time_us // 1_000_000 % 86_400
    where = f"{fixed(lat, 2, 5)}{fixed(lon, 3, 5)}"
    return f"RPV{seconds:05}{where}{mph:03}{heading:03}{source}{age}"


def ln(
    time_us: int, lon: float, lat: float, mph: float, heading: float, satellites: int = 5, source: int = 1
) -> str:
    """An LN report: milliseconds, seven places."""
    thousandths = time_us // 1000 % 86_400_000
    where = f"{fixed(lat, 2, 7)}{fixed(lon, 3, 7)}"
    motion = f"{fixed(mph, 3, 1, signed=False)}+0000{fixed(heading, 3, 1, signed=False)}"
    listed = "".join(f"{number:02}00" for number in range(1, satellites + 1))
    return f"RLN{thousandths:08}{where}+00012300{motion}{satellites:02}{listed}{'0' * 10}{source}2"


# --- TETRA LIP --------------------------------------------------------------------------------------------


def packed(*fields: tuple[int, int]) -> str:
    """Values and their widths as bits, most significant first."""
    return "".join(f"{value % 2**width:0{width}b}" for value, width in fields)


def as_hex(bits: str, *, protocol: bool = False) -> str:
    """Bits as hex digits, filled up to whole octets; with the protocol identifier before them."""
    bits = ("00001010" if protocol else "") + bits
    bits += "0" * (-len(bits) % 8)
    return "".join(f"{int(bits[at : at + 4], 2):X}" for at in range(0, len(bits), 4))


def point(lon: float, lat: float) -> str:
    """Longitude in 25 bits, latitude in 24."""
    return packed((round(lon / 360 * 2**25), 25), (round(lat / 180 * 2**24), 24))


def speed_code(kmh: float | None) -> int:
    """The nearest code of a horizontal speed."""
    if kmh is None:
        return 127
    return round(kmh) if kmh <= 28 else min(125, 13 + round(math.log(kmh / 16, 1.038)))


def lip_short(
    lon: float,
    lat: float,
    *,
    elapsed: int = 0,
    error: int = 1,
    kmh: float | None = 0.0,
    direction: int = 0,
    user: int = 0,
    code: int = 129,
) -> str:
    """A short location report's 76 bits."""
    return (
        packed((0, 2), (elapsed, 2))
        + point(lon, lat)
        + packed((error, 3), (speed_code(kmh), 7), (direction, 4), (user, 1), (code, 8))
    )


def lip_long(time: str, shape: str, velocity: str, *, user: int = 0, code: int = 129) -> str:
    """A long location report: its time, location and velocity data already as bits."""
    return packed((1, 2), (3, 4)) + time + shape + velocity + packed((0, 1), (user, 1), (code, 8))


# --- JSON -------------------------------------------------------------------------------------------------


def traccar(device: str, time_us: int, lon: float, lat: float, **position: object) -> str:
    """What Traccar forwards, with some of what else it says."""
    at = moment(time_us).isoformat(timespec="milliseconds")
    body = {
        "id": 7,
        "deviceId": 3,
        "protocol": "teltonika",
        "serverTime": at,
        "deviceTime": at,
        "fixTime": at,
        "outdated": False,
        "valid": True,
        "latitude": lat,
        "longitude": lon,
        "altitude": 80.0,
        "speed": 0.0,
        "course": 0.0,
        "address": None,
        "accuracy": 0.0,
        "attributes": {"motion": False, "ignition": True, "sat": 9, "hdop": 0.8},
    }
    device_body = {"id": 3, "name": device, "uniqueId": device, "status": "online"}
    return json.dumps({"position": {**body, **position}, "device": device_body})


def owntracks(time_s: int, lon: float, lat: float, **more: object) -> str:
    """An OwnTracks location."""
    return json.dumps({"_type": "location", "tst": time_s, "lon": lon, "lat": lat, "tid": "p1", **more})
