"""Names that systems give their columns → our fields, by vocabulary alone; values are looked at elsewhere."""

from __future__ import annotations

import re
import unicodedata
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_BRACKETS: Final = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")
_NO_WORD: Final = re.compile(r"[^a-z0-9]+")


def plain_name(name: str) -> str:
    """A column's name in lower-case words: ``GPS_Lat (°)`` → ``gps lat``, ``fixTime`` → ``fix time``."""
    spread = _CAMEL.sub(" ", name.rpartition(".")[2] if "." in name and " " not in name else name)
    bare = unicodedata.normalize("NFKD", spread.replace("ß", "ss")).encode("ascii", "ignore").decode()
    return " ".join(_NO_WORD.sub(" ", bare.lower()).split())


def _patterns(*lines: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(line) for line in lines)


_UNITS: Final = r"( (utc|gmt|bst|local|wgs ?84|deg|degrees|decimal|dd|m|metres|meters|osgb\d*|epsg \d+))*"
_ID: Final = r"( (id|no|nr|num|number|ref|reference|code|identifier|name))?"

POSITION_NAMES: Final[Mapping[str, tuple[re.Pattern[str], ...]]] = MappingProxyType(
    {
        # Each line is a rank: what stands higher is preferred.
        "device_id": _patterns(
            r"unique ?id|((device|tracker|unit|terminal) )?(imei|serial( (no|number))?)",
            r"(device|tracker|terminal|unit|gps unit) ?(id|identifier|uid|no|number)",
            r"((airwave|radio|tetra) )?(i?ssi|itsi|radio|airwave|handset|mobile)" + _ID,
            r"(vrm|vrn|reg(istration)?( (no|number|plate|mark))?|(number|licen[cs]e) ?plate|kennzeichen)",
            r"(vehicle|fleet|asset|car|fahrzeug)" + _ID + r"|vehicle (reg(istration)?|vrm)",
            r"call ?sign"
            + _ID
            + r"|(device|tracker|unit|terminal|equipment|subscriber|geraet|gerat|entity)"
            + _ID,
            r"tid|uid|id|name|source|driver" + _ID,
        ),
        "lat": _patterns(
            r"(gps |position |pos |geo |wgs ?84 |start |event |last |current )?(lat|latitude|latitud)"
            + _UNITS,
            r"(geografische )?breite(ngrad)?|lat(itude)? .*",
            r"y( coord(inate)?)?|gps y|coord y|geom y|.* lat(itude)?",
        ),
        "lon": _patterns(
            r"(gps |position |pos |geo |wgs ?84 |start |event |last |current )?(lon|lng|long"
            r"|longitude|longitud)" + _UNITS,
            r"(geografische )?(la?enge|lange)(ngrad)?|lon(gitude)? .*|lng .*|long .*",
            r"x( coord(inate)?)?|gps x|coord x|geom x|.* (lon|lng|longitude)",
        ),
        "easting": _patterns(
            r"(.* )?(easting|eastings|osgb e|grid e|bng e|bng x|os x)( .*)?", r"e|east|x .*|x"
        ),
        "northing": _patterns(
            r"(.* )?(northing|northings|osgb n|grid n|bng n|bng y|os y)( .*)?", r"n|north|y .*|y"
        ),
        "point": _patterns(
            r"wkt|geom(etry)?( wkt)?|the geom|shape|point( wkt)?|geo ?point|wkt geom",
            r"(os |national |bng |map |osgb )?grid ?(ref(erence)?|square)|ngr|osgr",
            r"(gps |geo |last )?(coord(inate)?s?|lat ?(long|lon|lng)|latitude longitude|long lat"
            r"|lon lat|position|pos|location)",
        ),
        "time": _patterns(
            # When the position was fixed, rather than when it was sent or stored.
            r"(fix|gps|gnss|position|pos|measurement) ?"
            r"(date ?time|time ?stamp|time|dt|at|date and time)" + _UNITS,
            r"(event|device|sample|report|log|message|msg|record(ed)?|reading|utc) ?"
            r"(date ?time|time ?stamp|time|dt|at|date and time)" + _UNITS,
            r"(date ?time|time ?stamp|tst|ts|date (and )?time|zeitstempel|datum uhrzeit|when|utc"
            r"|recorded|date hour)" + _UNITS,
            r"(time|zeit|uhrzeit|hora)"
            + _UNITS
            + r"|epoch.*|unix.*|(created|captured|occurred|logged)( at)?",
            r".* (date ?time|time ?stamp|time|at)" + _UNITS + r"|date.*|datum.*",
        ),
        "date": _patterns(
            r"((fix|gps|position|event|utc|local|report) )?(date|datum|fecha|day)" + _UNITS,
        ),
        "error_m": _patterns(
            r"((gps|horizontal|position|location|h) )?(accuracy|error|uncertainty|precision|acc"
            r"|hacc|genauigkeit)( m| metres| meters)?"
            r"|error m|radius m|accuracy radius"
        ),
        "speed": _patterns(
            r"((gps|ground|vehicle|travel) )?(speed|velocity|vel|spd|geschwindigkeit|velocidad|sog)"
            r"( (mph|kmh|km h|kph|knots?|kts|kn|mps|m s|ms|over ground))?",
            r"mph|kmh|km h|kph|knots|kts",
        ),
        "heading": _patterns(
            r"((gps|vehicle) )?(heading|course|bearing|direction|cog|azimuth|kurs|richtung|track"
            r"|true course|hdg)"
            r"( (deg|degrees|over ground|true))?"
        ),
        "valid": _patterns(
            r"((gps|fix|position) )?(valid(ity)?|fix( (status|type|valid|quality))?|has fix)|gps status"
        ),
        "lat_side": _patterns(r"(lat(itude)? )?(n s|ns|ns ind.*|hemisphere|lat dir(ection)?)"),
        "lon_side": _patterns(r"(lon(gitude)? )?(e w|ew|ew ind.*|lon dir(ection)?)"),
    }
)

ROSTER_NAMES: Final[Mapping[str, tuple[re.Pattern[str], ...]]] = MappingProxyType(
    {
        "officer_id": _patterns(
            r"(officer|off|ofcr|ofr|p) ?(id|no|num|number|nr|ref)"
            r"|(collar|coll|shoulder|shldr|shld|shdr|warrant|warr|wrnt|epaulette|epaul|force)"
            r"( (id|no|num|number|nr))?",
            r"(staff|employee|emp|payroll|person(nel)?|personal|resource|user|member|pers)"
            r" ?(id|no|num|number|ref|code)",
            r"pid|pin|fin|emp|officer|employee|resource|staff|personalnummer|dienstnummer|who"
            r"|user ?name|login",
        ),
        "duty_id": _patterns(
            r"(duty|dty|booking|bkg|shift|roster|assignment|rota|tour|event|record)"
            r" ?(id|ref|reference|no|number|uid|key)"
        ),
        "revision": _patterns(
            r"revision( (no|number))?|rev|version|seq(uence)?( (no|number))?|change (no|number)"
        ),
        "name": _patterns(
            r"(officer|employee|full|staff|display|person|resource|known as) ?names?"
            r"|rank (and )?name|name and rank",
            r"names?|surname|last name|nachname",
        ),
        "role": _patterns(
            r"role( type)?|job( title| role)?|post( title)?|position title", r"rank|grade|skill"
        ),
        "team": _patterns(
            r"(team|shift team|npt|snt|neighbourhood team|team (code|name|id))",
            r"(unit|section|relief|department|dept|group|squad|org(anisation)? ?unit|ou|bcu|station"
            r"|district|division)" + _ID,
        ),
        "patch": _patterns(
            r"(home )?(patch|beat|neighbourhood|ward|sector|area)( ?(id|ids|code|codes|name))?"
            r"|(patch|beat)es|beats"
        ),
        "date": _patterns(
            r"((duty|shift|roster|tour) ?)?(start|begin|from|work|duty|shift|roster|tour|working"
            r"|rostered) ?(date|day)"
            r"|date( of duty)?|datum|day",
        ),
        "start": _patterns(
            r"(actual|act|booked|bkd|worked) ?(start|on|from)( (date ?time|time|dt))?"
            r"|(book(ed)?|bkd?) ?on( (date ?time|time))?",
            r"(duty|dty|shift|tour|planned|plan|sched(uled)?|roster(ed)?)? ?(start|begin|from|commence"
            r"|on duty|starts)"
            r"s?( (date ?time|time|dt|at|date and time))?|(duty|time|clock) (on|from)|beginn|dienstbeginn|on",
        ),
        "end": _patterns(
            r"(actual|act|booked|bkd|worked) ?(end|finish|off|to)( (date ?time|time|dt))?"
            r"|(book(ed)?|bkd?) ?off( (date ?time|time))?",
            r"(duty|dty|shift|tour|planned|plan|sched(uled)?|roster(ed)?)? ?(end|finish|to|until"
            r"|off duty|ends|conclude)"
            r"(es|s)?( (date ?time|time|dt|at|date and time))?|(duty|time|clock) (off|to)|ende"
            r"|dienstende|off",
        ),
        "end_date": _patterns(r"((duty|shift|roster|tour) ?)?(end|finish|off|to) ?(date|day)"),
        "duration": _patterns(r"duration.*|(paid |worked |total |shift )?hours( worked)?|length|hrs|dauer"),
        "times": _patterns(
            r"(duty|shift|tour|rostered|working) ?(times?|hours)|times|shift|duty|tour( of duty)?"
            r"|rota|hours of duty|(start|on|from) (and )?(end|finish|off|to)( times?)?"
        ),
        "cancelled": _patterns(
            r"(is )?(cancel+ed|canx?|cxl|cncl)|cancel+ation|deleted|is deleted|void",
            r"((duty|dty|booking|bkg|shift|roster|rota|record) )?(status|stat|sts|state)( code)?|active",
        ),
        "radio": _patterns(
            r"((airwave|radio|tetra) )?(i?ssi|itsi|airwave|radio|handset|pr)"
            r"( (id|no|num|number|issi|ssi|set))?"
        ),
        "vehicle": _patterns(
            r"(vehicle|veh|car|fleet|asset)( (id|no|num|number|reg(istration)?|vrm|allocated|fleet no))?"
            r"|vrm|vrn|reg(istration)?( (no|number|mark))?"
        ),
        "call_sign": _patterns(r"call ?sign.*|c ?s(ign)?|collar sign|unit call ?sign"),
        "time": _patterns(
            r"(status|state|event|update|change|changed|keyed|message|log)( change)? ?(date ?time"
            r"|time ?stamp|time|at|dt)",
            r"date ?time|time ?stamp|when|changed( at)?|keyed( at)?|utc|zeitstempel|date and time",
            r"time|zeit|uhrzeit",
        ),
        "state": _patterns(
            r"(radio|officer|resource|unit|availability|duty|new|to|current)? ?(status"
            r"|state)( (code|no|num|number|id|key|value))?",
            r"availability|code|status .*|state .*|activity( code)?",
        ),
    }
)


def rank_of(field: str, name: str, vocabulary: Mapping[str, tuple[re.Pattern[str], ...]]) -> int | None:
    """How well a column's name fits a field: 0 is best, None not at all.

    What stands in brackets is left out where the whole name fits nothing: ``Bkd On (local)``.
    """
    for plain in dict.fromkeys((plain_name(name), plain_name(_BRACKETS.sub(" ", name)))):
        for rank, pattern in enumerate(vocabulary[field]):
            if pattern.fullmatch(plain):
                return rank
    return None
