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


_PARTS: Final = {
    "<UNITS>": r"( (utc|gmt|bst|local|wgs ?84|deg|degrees|decimal|dd|m|metres|meters|osgb\d*|epsg \d+))*",
    "<ID>": r"( (id|no|nr|num|number|ref|reference|code|identifier|name))?",
    "<WHEN>": r"(date ?time|time ?stamp|time|dt|at|date and time)",
}
"""Parts that several patterns have."""


def _vocabulary(table: str) -> Mapping[str, tuple[re.Pattern[str], ...]]:
    """Fields and the patterns of their names, each on a line of its own; a line far in belongs to that above.

    The order is a rank: what stands higher is preferred.
    """
    found: dict[str, list[str]] = {}
    field = ""
    for line in table.strip().splitlines():
        if line.startswith(" " * 8):
            found[field][-1] += line.strip()
        elif line.startswith(" "):
            found[field].append(line.strip())
        else:
            field, _, pattern = line.partition(" ")
            found[field] = [pattern]
    for name, part in _PARTS.items():
        found = {field: [each.replace(name, part) for each in lines] for field, lines in found.items()}
    return MappingProxyType({field: tuple(map(re.compile, lines)) for field, lines in found.items()})


# Of several times the one at which the position was fixed is preferred, not when it was sent or stored.
POSITION_NAMES: Final = _vocabulary(r"""
device_id unique ?id|((device|tracker|unit|terminal) )?(imei|serial( (no|number))?)
    (device|tracker|terminal|unit|gps unit) ?(id|identifier|uid|no|number)
    ((airwave|radio|tetra) )?(i?ssi|itsi|radio|airwave|handset|mobile)<ID>
    (vrm|vrn|reg(istration)?( (no|number|plate|mark))?|(number|licen[cs]e) ?plate|kennzeichen)
    (vehicle|fleet|asset|car|fahrzeug)<ID>|vehicle (reg(istration)?|vrm)
    call ?sign<ID>|(device|tracker|unit|terminal|equipment|subscriber|geraet|gerat|entity)<ID>
    tid|uid|id|name|source|driver<ID>
lat (gps |position |pos |geo |wgs ?84 |start |event |last |current )?(lat|latitude|latitud)<UNITS>
    (geografische )?breite(ngrad)?|lat(itude)? .*
    y( coord(inate)?)?|gps y|coord y|geom y|.* lat(itude)?
lon (gps |position |pos |geo |wgs ?84 |start |event |last |current )?(lon|lng|long|longitude
        |longitud)<UNITS>
    (geografische )?(la?enge|lange)(ngrad)?|lon(gitude)? .*|lng .*|long .*
    x( coord(inate)?)?|gps x|coord x|geom x|.* (lon|lng|longitude)
easting (.* )?(easting|eastings|osgb e|grid e|bng e|bng x|os x)( .*)?
    e|east|x .*|x
northing (.* )?(northing|northings|osgb n|grid n|bng n|bng y|os y)( .*)?
    n|north|y .*|y
point wkt|geom(etry)?( wkt)?|the geom|shape|point( wkt)?|geo ?point|wkt geom
    (os |national |bng |map |osgb )?grid ?(ref(erence)?|square)|ngr|osgr
    (gps |geo |last )?(coord(inate)?s?|lat ?(long|lon|lng)|latitude longitude|long lat|lon lat|position|pos
        |location)
time (fix|gps|gnss|position|pos|measurement) ?<WHEN><UNITS>
    (event|device|sample|report|log|message|msg|record(ed)?|reading|utc) ?<WHEN><UNITS>
    (date ?time|time ?stamp|tst|ts|date (and )?time|zeitstempel|datum uhrzeit|when|utc|recorded
        |date hour)<UNITS>
    (time|zeit|uhrzeit|hora)<UNITS>|epoch.*|unix.*|(created|captured|occurred|logged)( at)?
    .* (date ?time|time ?stamp|time|at)<UNITS>|date.*|datum.*
date ((fix|gps|position|event|utc|local|report) )?(date|datum|fecha|day)<UNITS>
error_m ((gps|horizontal|position|location|h) )?(accuracy|error|uncertainty|precision|acc|hacc
        |genauigkeit)( m| metres| meters)?|error m|radius m|accuracy radius
speed ((gps|ground|vehicle|travel) )?(speed|velocity|vel|spd|geschwindigkeit|velocidad|sog)( (mph|kmh|km h
        |kph|knots?|kts|kn|mps|m s|ms|over ground))?
    mph|kmh|km h|kph|knots|kts
heading ((gps|vehicle) )?(heading|course|bearing|direction|cog|azimuth|kurs|richtung|track|true course
        |hdg)( (deg|degrees|over ground|true))?
valid ((gps|fix|position) )?(valid(ity)?|fix( (status|type|valid|quality))?|has fix)|gps status
lat_side (lat(itude)? )?(n s|ns|ns ind.*|hemisphere|lat dir(ection)?)
lon_side (lon(gitude)? )?(e w|ew|ew ind.*|lon dir(ection)?)
""")

ROSTER_NAMES: Final = _vocabulary(r"""
officer_id (officer|off|ofcr|ofr|p) ?(id|no|num|number|nr|ref)|(collar|coll|shoulder|shldr|shld|shdr
        |warrant|warr|wrnt|epaulette|epaul|force)( (id|no|num|number|nr))?
    (staff|employee|emp|payroll|person(nel)?|personal|resource|user|member|pers) ?(id|no|num|number|ref
        |code)
    pid|pin|fin|emp|officer|employee|resource|staff|personalnummer|dienstnummer|who|user ?name|login
duty_id (duty|dty|booking|bkg|shift|roster|assignment|rota|tour|event|record) ?(id|ref|reference|no|number
        |uid|key)
revision revision( (no|number))?|rev|version|seq(uence)?( (no|number))?|change (no|number)
name (officer|employee|full|staff|display|person|resource|known as) ?names?|rank (and )?name|name and rank
    names?|surname|last name|nachname
role role( type)?|job( title| role)?|post( title)?|position title
    rank|grade|skill
team (team|shift team|npt|snt|neighbourhood team|team (code|name|id))
    (unit|section|relief|department|dept|group|squad|org(anisation)? ?unit|ou|bcu|station|district
        |division)<ID>
patch (home )?(patch|beat|neighbourhood|ward|sector|area)( ?(id|ids|code|codes|name))?|(patch|beat)es|beats
date ((duty|shift|roster|tour) ?)?(start|begin|from|work|duty|shift|roster|tour|working|rostered) ?(date
        |day)|date( of duty)?|datum|day
start (actual|act|booked|bkd|worked) ?(start|on|from)( (date ?time|time|dt))?|(book(ed)?
        |bkd?) ?on( (date ?time|time))?
    (duty|dty|shift|tour|planned|plan|sched(uled)?|roster(ed)?)? ?(start|begin|from|commence|on duty
        |starts)s?( (date ?time|time|dt|at|date and time))?|(duty|time|clock) (on|from)|beginn|dienstbeginn
        |on
end (actual|act|booked|bkd|worked) ?(end|finish|off|to)( (date ?time|time|dt))?|(book(ed)?
        |bkd?) ?off( (date ?time|time))?
    (duty|dty|shift|tour|planned|plan|sched(uled)?|roster(ed)?)? ?(end|finish|to|until|off duty|ends
        |conclude)(es|s)?( (date ?time|time|dt|at|date and time))?|(duty|time|clock) (off|to)|ende
        |dienstende|off
end_date ((duty|shift|roster|tour) ?)?(end|finish|off|to) ?(date|day)
duration duration.*|(paid |worked |total |shift )?hours( worked)?|length|hrs|dauer
times (duty|shift|tour|rostered|working) ?(times?|hours)|times|shift|duty|tour( of duty)?|rota
        |hours of duty|(start|on|from) (and )?(end|finish|off|to)( times?)?
cancelled (is )?(cancel+ed|canx?|cxl|cncl)|cancel+ation|deleted|is deleted|void
    ((duty|dty|booking|bkg|shift|roster|rota|record) )?(status|stat|sts|state)( code)?|active
radio ((airwave|radio|tetra) )?(i?ssi|itsi|airwave|radio|handset|pr)( (id|no|num|number|issi|ssi|set))?
vehicle (vehicle|veh|car|fleet|asset)( (id|no|num|number|reg(istration)?|vrm|allocated|fleet no))?|vrm|vrn
        |reg(istration)?( (no|number|mark))?
call_sign call ?sign.*|c ?s(ign)?|collar sign|unit call ?sign
time (status|state|event|update|change|changed|keyed|message|log)( change)? ?(date ?time|time ?stamp|time
        |at|dt)
    date ?time|time ?stamp|when|changed( at)?|keyed( at)?|utc|zeitstempel|date and time
    time|zeit|uhrzeit
state (radio|officer|resource|unit|availability|duty|new|to|current)? ?(status|state)( (code|no|num|number
        |id|key|value))?
    availability|code|status .*|state .*|activity( code)?
""")

VEHICLE_WORDS: Final = frozenset(
    "vehicle vehicles vrm vrn reg registration fleet car plate asset kennzeichen fahrzeug".split()  # noqa: SIM905
)
RADIO_WORDS: Final = frozenset({"radio", "radios", "issi", "ssi", "airwave", "handset"})
"""Words in the names of columns and files that tell what devices are."""


def rank_of(field: str, name: str, vocabulary: Mapping[str, tuple[re.Pattern[str], ...]]) -> int | None:
    """How well a column's name fits a field: 0 is best, None not at all.

    What stands in brackets is left out where the whole name fits nothing: ``Bkd On (local)``.
    """
    for plain in dict.fromkeys((plain_name(name), plain_name(_BRACKETS.sub(" ", name)))):
        for rank, pattern in enumerate(vocabulary[field]):
            if pattern.fullmatch(plain):
                return rank
    return None
