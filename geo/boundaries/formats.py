"""Which files are boundary files, and what may stand in one, before GDAL sees it.

A format is told by its bytes where they have a mark, and by its ending else. Each has its drivers, its parts
and its options; nothing is tried out. A file is copied into a folder of its own first, so that what is judged
is what is read, and what reads it can be shut in there.
"""

from __future__ import annotations

import json
import os
import re
import stat
import struct
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO
from xml.parsers import expat

from geo.boundaries.distrust import refuse_big
from geo.boundaries.layer import AreaFileError, ReadingLimits
from geo.boundaries.references import is_code_or_wkt

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SAFE = "GeoPackage or GeoJSON"
"""The formats to export as."""

_TO_WGS84 = "name its coordinate system by a number, as EPSG:27700, or as WKT, and export it again"


@dataclass(frozen=True, slots=True)
class Format:
    """A format that boundaries come in.

    Attributes:
        name: what people call it.
        drivers: GDAL's words for what may read it, no others.
        parts: endings of the files beside it that belong to it.
        options: how GDAL opens it.
    """

    name: str
    drivers: tuple[str, ...]
    parts: tuple[str, ...] = ()
    options: dict[str, str] = field(default_factory=dict)


SHAPEFILE = Format("Shapefile", ("ESRI Shapefile",), (".shx", ".dbf", ".prj", ".cpg"))
TABLE = Format("MapInfo table", ("MapInfo File",), (".dat", ".map", ".id"))
INTERCHANGE = Format("MapInfo interchange file", ("MapInfo File",), (".mid",))
GEOPACKAGE = Format("GeoPackage", ("GPKG",), ("-wal", "-journal"), {"LIST_ALL_TABLES": "NO"})
FLATGEOBUF = Format("FlatGeobuf", ("FlatGeobuf",))
GEODATABASE = Format("file geodatabase", ("OpenFileGDB",))
KML = Format("KML", ("LIBKML", "KML"))
GML = Format("GML", ("GML",), (".xsd",))
GEOJSON = Format("GeoJSON", ("GeoJSON", "GeoJSONSeq", "TopoJSON", "ESRIJSON", "JSONFG"))

OPENSTREETMAP = Format("OpenStreetMap extract", ("OSM",))
"""Streets for the simulation; no boundaries come in it."""

_BY_ENDING = {
    ".shp": SHAPEFILE,
    ".tab": TABLE,
    ".mif": INTERCHANGE,
    ".gpkg": GEOPACKAGE,
    ".fgb": FLATGEOBUF,
    ".gdb": GEODATABASE,
}
_IN_GEODATABASE = {
    *(".gdbtable", ".gdbtablx", ".gdbindexes", ".atx", ".spx", ".freelist", ".horizon", ".cdf", ".loc", ""),
}


def format_of(dataset: Path, source: str) -> Format:
    """The format of a file, or of a geodatabase's folder.

    Raises:
        AreaFileError: it is in none of them.
    """
    ending = dataset.suffix.lower()
    if dataset.is_dir():
        if ending == ".gdb":
            return GEODATABASE
    elif ending in (".shp", ".tab", ".mif"):
        return _BY_ENDING[ending]
    else:
        with _opened(dataset, source, follow=True) as stream:
            head = stream.read(4096)
        if not head:
            refuse_big(dataset, source, ReadingLimits())
        start = head.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")
        if head.startswith(b"SQLite format 3\0") or ending == ".gpkg":
            return GEOPACKAGE
        if head.startswith(b"fgb"):
            return FLATGEOBUF
        if start.startswith((b"{", b"\x1e")):
            return GEOJSON
        if start.startswith(b"<"):
            if re.search(rb"<(?:\w+:)?kml[\s>/]", start):
                return KML
            if b"opengis.net/gml" in start:
                return GML
            if b"<!DOCTYPE" in start.upper():  # refused for that
                return KML
    raise AreaFileError(f"{source}: is in no recognised format; export it as {SAFE}")


# A copy of its own ----------------------------------------------------------------------------------------


@contextmanager
def _opened(file: Path, source: str, *, follow: bool) -> Iterator[BinaryIO]:
    """A regular file for reading. Whatever else stands there is refused, and never waited for."""
    named = f"{source}:" if file.name == source else f"{source}: {file.name}"
    if not follow and file.is_symlink():
        raise AreaFileError(f"{named} is a link to another file; put the file itself there")
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    if not stat.S_ISREG(file.stat().st_mode):
        raise AreaFileError(f"{named} is a folder, pipe or device, not a file; give a boundary file")
    with open(os.open(file, flags | (0 if follow else getattr(os, "O_NOFOLLOW", 0))), "rb") as stream:  # noqa: PTH123
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):  # it was changed meanwhile
            raise AreaFileError(f"{named} is a folder, pipe or device, not a file; give a boundary file")
        yield stream


def refuse_pipes(path: Path, source: str) -> None:
    """Raise for what is neither a file nor a folder: a pipe would be waited for without end.

    Raises:
        AreaFileError: a pipe, socket or device.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise AreaFileError(f"{source}: is a pipe or device, not a file; give a boundary file")


def refuse_no_extract(path: Path, source: str) -> None:
    """Raise for what is no extract of OpenStreetMap, as ``.osm.pbf`` or ``.osm``, by its bytes.

    Raises:
        AreaFileError: it is something else, or its XML brings entities.
    """
    with _opened(path, source, follow=True) as stream:
        head = stream.read(4096)
    if b"OSMHeader" in head[:32]:
        return
    if not re.match(
        rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*\?>\s*)?(?:<!--.*?-->\s*)*<osm[\s>]", head, re.DOTALL
    ):
        raise AreaFileError(f"{source}: not an OpenStreetMap extract; give an .osm.pbf or .osm file")
    _refuse_xml(path, OPENSTREETMAP, source)


def copied(dataset: Path, form: Format, folder: Path, source: str, limits: ReadingLimits) -> Path:
    """A copy of a boundary file, with the parts that its format has and nothing else, in a folder of its own.

    Raises:
        AreaFileError: it or a part of it is too big, or no plain file.
    """
    # What GDAL or its wrapper would read as more than a name.
    stem = re.sub(r"[^\w .()&,'+-]", "_", dataset.name).lstrip(". ") or "areas"
    target = folder / stem
    if dataset.is_dir():
        target.mkdir()
        room = limits.unpacked_bytes
        for file in sorted(dataset.iterdir()):
            if file.suffix.lower() in _IN_GEODATABASE and not file.is_dir():
                room -= _copy(file, target / file.name, source, limits, follow=False)
                if room < 0:
                    raise AreaFileError(f"{source}: is too big to be boundaries; export only the areas")
        return target
    _copy(dataset, target, source, limits, follow=True)
    for file in sorted(dataset.parent.iterdir()):
        same = file.stem == dataset.stem and file.suffix.lower() in form.parts
        if same or file.name in [dataset.name + part for part in form.parts]:
            part = (
                target.with_suffix(file.suffix) if same else folder / (stem + file.name[len(dataset.name) :])
            )
            _copy(file, part, source, limits, follow=False)
    log = folder / f"{stem}-wal"
    if form is GEOPACKAGE and log.exists():
        if log.stat().st_size:
            # SQLite reads a log in a folder that it cannot write to only where its index is there already.
            (folder / f"{stem}-shm").touch()
        else:
            log.unlink()
    return target


def _copy(file: Path, target: Path, source: str, limits: ReadingLimits, *, follow: bool) -> int:
    with _opened(file, source, follow=follow) as stream:
        if os.fstat(stream.fileno()).st_size > limits.file_bytes:
            refuse_big(file, source, limits)
        with target.open("xb") as sink:
            room = limits.file_bytes
            while chunk := stream.read(1 << 20):
                room -= len(chunk)
                if room < 0:
                    raise AreaFileError(f"{source}: grows while it is read; copy it elsewhere first")
                sink.write(chunk)
    return limits.file_bytes - room


# What may stand in it -------------------------------------------------------------------------------------


def refuse_references(dataset: Path, form: Format, source: str) -> None:
    """Raise where a file refers to anything outside of it, or names its coordinate system by a PROJ string.

    A GeoPackage is judged where it is read: see :mod:`geo.boundaries.geopackage`.

    Raises:
        AreaFileError: it does; the line says what and where.
    """
    if form is SHAPEFILE:
        _refuse_prj(dataset, source)
    elif form is TABLE:
        _refuse_table(dataset, source)
    elif form is GEOPACKAGE:
        _refuse_journal(dataset, source)
    elif form is FLATGEOBUF:
        _refuse_header(dataset, source)
    elif form is GEOJSON:
        _refuse_json(dataset, source)
    elif form in (KML, GML):
        _refuse_xml(dataset, form, source)
        for part in dataset.parent.iterdir():
            if part.suffix.lower() == ".xsd" and part != dataset:
                _refuse_xml(part, form, source)


def _refuse_prj(dataset: Path, source: str) -> None:
    for part in dataset.parent.iterdir():
        text = part.read_bytes()[:100_000].decode("utf-8-sig", "replace").strip("\0 \t\r\n")
        ending = part.suffix.lower()
        if ending == ".prj" and text and not is_code_or_wkt(text):
            raise AreaFileError(
                f"{source}: its .prj is no plain WKT; take it out, and give --crs, as --crs EPSG:27700"
            )
        if ending == ".cpg" and not re.fullmatch(r"(?:LDID/\d{1,3}|[A-Za-z0-9 ._:-]{0,40})", text):
            raise AreaFileError(
                f"{source}: its .cpg names no encoding; take it out, and give --encoding utf-8"
            )


_TABLE_LINE = re.compile(
    r"""(?x) !table | !version\ \d+ | !edit_version\ \d+ | !charset\ \w+ | definition\ table |
    type\ native(\ charset\ "\w+")? | fields\ \d+ | [^;"!]+; | readonly | description\ "[^"]*" |
    begin_metadata | end_metadata | "[^"]*"\ ?=\ ?"[^"]*" |""",
    re.IGNORECASE,
)


def _refuse_table(dataset: Path, source: str) -> None:
    """A native table is a list of fields; lines that say more open other tables, pictures or servers."""
    for line in re.split(r"[\r\n]+", dataset.read_bytes().decode("latin-1")):
        said = " ".join(line.split())
        beyond = re.search(r"isseamless.*true|open table|create view", said.lower())
        if beyond or not _TABLE_LINE.fullmatch(said):
            raise AreaFileError(
                f"{source}: is a table over other files or servers ({said[:40]!r}); "
                "save a copy as a native table"
            )


def _refuse_journal(dataset: Path, source: str) -> None:
    journal = dataset.parent / f"{dataset.name}-journal"
    if journal.exists() and journal.read_bytes()[:8] == b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7":
        raise AreaFileError(
            f"{source}: was being written when it was copied (a -journal lies beside it); "
            "open and close it in your GIS, and try again"
        )


def _refuse_header(dataset: Path, source: str) -> None:
    """FlatGeobuf's header is a table of FlatBuffers; its field 10 is the reference system, again a table."""
    with dataset.open("rb") as stream:
        whole = stream.read(1 << 20)
    try:
        (length,) = struct.unpack_from("<I", whole, 8)
        head = whole[12 : 12 + length]
        crs = _field(head, struct.unpack_from("<I", head, 0)[0], 10)
        if crs is None:
            return
        place = crs + struct.unpack_from("<I", head, crs)[0]
        texts = []
        for number in (0, 4, 5):  # organisation, WKT, its code as text
            at = _field(head, place, number)
            text = b""
            if at is not None:
                start = at + struct.unpack_from("<I", head, at)[0]
                (size,) = struct.unpack_from("<I", head, start)
                text = head[start + 4 : start + 4 + size]
            texts.append(text.decode("utf-8", "replace"))
    except struct.error:
        raise AreaFileError(
            f"{source}: its header is damaged or too long; export it again as {SAFE}"
        ) from None
    organisation, wkt, code = texts
    if (
        not re.fullmatch(r"\w{0,20}", organisation)
        or not re.fullmatch(r"\w{0,20}", code)
        or not (wkt == "" or is_code_or_wkt(wkt))
    ):
        raise AreaFileError(f"{source}: {_system_words(wkt or organisation or code)}")


def _field(table: bytes, place: int, number: int) -> int | None:
    """Where a field of a table of FlatBuffers stands; None where the table has none."""
    layout = place - struct.unpack_from("<i", table, place)[0]
    (size,) = struct.unpack_from("<H", table, layout)
    if 4 + 2 * number >= size:
        return None
    (offset,) = struct.unpack_from("<H", table, layout + 4 + 2 * number)
    return place + offset if offset else None


def _system_words(text: object) -> str:
    return f"does not say in plain words where on earth it is ({str(text)[:40]!r}); {_TO_WGS84}"


_SYSTEM_KEY = re.compile(
    rb'"(%s|%s|%s)"\s*:\s*'
    % tuple(
        b"".join(rb"(?:%c|\\u00%02x|\\u00%02X)" % (letter, letter, letter) for letter in name)
        for name in (b"crs", b"spatialReference", b"coordRefSys")
    )
)


def _refuse_json(dataset: Path, source: str) -> None:
    """Members with which GeoJSON and its relatives name a reference system may hold a code or WKT only."""
    content = dataset.read_bytes()
    decoder = json.JSONDecoder()
    for found in _SYSTEM_KEY.finditer(content):
        # A value is far shorter than this; the rest of the file need not be text for it.
        text = content[found.end() : found.end() + 20_000].decode("utf-8", "replace")
        if not text.startswith(("{", "[", '"')):
            continue
        try:
            value, _ = decoder.raw_decode(text)
        except (ValueError, RecursionError):
            raise AreaFileError(
                f"{source}: cannot be read: where it names its coordinate system it is damaged; "
                f"export it again as {SAFE}"
            ) from None
        # Only JSON-FG names one by a plain text; a column may be called as the other two.
        column = isinstance(value, str) and not found[1].endswith(b"coordRefSys")
        for said in [] if column else _systems(value):
            if not is_code_or_wkt(said):
                raise AreaFileError(f"{source}: {_system_words(said)}")


def _systems(value: object) -> Iterator[str]:
    """Texts in the value of a member that names a reference system."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from _systems(each)
    elif isinstance(value, dict):
        if str(value.get("type")).lower() == "link":
            yield str(value.get("properties"))
        for key, each in value.items():
            if key not in ("type", "epoch"):
                yield from _systems(each)


_NO_PART_OF_KML = {"networklink", "networklinkcontrol", "model"}
_PICTURES = {"icon", "itemicon"}
"""What names a picture for a map: Google Earth writes such into every file, and nothing here opens them."""


class _RefusedError(Exception):
    """Leaves the parser from within."""


def _refuse_xml(file: Path, form: Format, source: str) -> None:
    """No document type, no links that are followed, no schemas that lead to others; whole to its end."""
    parser = expat.ParserCreate()
    parser.buffer_text = True
    path: list[str] = []
    said: list[str] = []

    def doctype(*_: object) -> None:
        raise _RefusedError(
            "brings a document type with entities, which boundaries never need; export it again"
        )

    def begin(tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition(":")[2].lower()
        path.append(name)
        said.clear()
        if len(path) > 256:
            raise _RefusedError(f"is nested too deeply to be boundaries; export it again as {SAFE}")
        if form is KML and name in _NO_PART_OF_KML:
            raise _RefusedError(f"refers to other files or servers ({tag}); save the areas alone as KML")
        if name in ("include", "redefine", "override") and file.suffix.lower() == ".xsd":
            raise _RefusedError(f"its schema refers to other files ({tag}); export it again as {SAFE}")
        for key, value in attributes.items():
            which = key.rpartition(":")[2].lower() if form is GML else ""
            # Ordnance Survey's own GML calls the National Grid so.
            if which == "srsname" and value != "osgb:BNG" and not is_code_or_wkt(value):
                raise _RefusedError(_system_words(value))
            # An element of the sender's own may name an entry of a code list, which nobody looks up.
            entry = not tag.startswith("gml:") and re.match(r"(?:https?:|urn:)", value, re.IGNORECASE)
            if which == "href" and not value.startswith("#") and not entry:
                raise _RefusedError(f"refers to other files ({value[:40]!r}); export it again as {SAFE}")

    def end(_: str) -> None:
        name = path.pop()
        text = "".join(said).strip()
        said.clear()
        if form is not KML:
            return
        if name == "href" and not (path and path[-1] in _PICTURES) and text:
            raise _RefusedError(
                f"refers to other files or servers ({text[:40]!r}); save the areas alone as KML"
            )
        if name == "styleurl" and re.search(r"[:/\\]", text.partition("#")[0]):
            raise _RefusedError(
                f"takes its colours from elsewhere ({text[:40]!r}); save the areas alone as KML"
            )

    parser.StartDoctypeDeclHandler = doctype
    parser.EntityDeclHandler = doctype
    parser.StartElementHandler = begin
    parser.EndElementHandler = end
    parser.CharacterDataHandler = said.append
    try:
        with file.open("rb") as stream:
            parser.ParseFile(stream)
    except _RefusedError as error:
        raise AreaFileError(f"{source}: {error}") from None
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise AreaFileError(f"{source}: cannot be read ({error}); export it again as {SAFE}") from None
