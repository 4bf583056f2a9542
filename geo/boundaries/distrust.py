"""Refuses hostile or damaged boundary files, before anything parses them."""

from __future__ import annotations

import re
import stat
import struct
import tempfile
import zipfile
import zlib
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from geo.boundaries.layer import AreaFileError, ReadingLimits

if TYPE_CHECKING:
    from collections.abc import Iterator


# What makes a file in a folder or archive a data set of its own; the rest are its companions.
_DATASETS = (".shp", ".tab", ".mif", ".gpkg", ".geojson", ".json", ".kml", ".fgb", ".gml", ".gdb")
_XML = (".kml", ".gml", ".xml", ".xsd")


@contextmanager
def unpacked_archive(path: Path, limits: ReadingLimits) -> Iterator[Path | None]:
    """A folder with what is inside an archive; None for any other file."""
    if path.is_dir() or path.suffix.lower() not in (".zip", ".kmz"):
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="areas-") as name:
        folder = Path(name)
        try:
            _unpack(path, folder, limits)
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            NotImplementedError,
            struct.error,
            OSError,
        ) as error:
            said = str(error)[:160]  # a name in the archive may be as long as the archive
            raise AreaFileError(f"{path.name}: is a damaged archive ({said}); ask for it again") from error
        yield folder


def _unpack(path: Path, folder: Path, limits: ReadingLimits) -> None:
    """Unpack into a folder what may be unpacked, counting the bytes that really come out."""
    bad = f"{path.name}: will not be opened, "
    packed = path.stat().st_size
    refuse_big(path, path.name, limits)
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if len(entries) > limits.entries:
            raise AreaFileError(f"{bad}it holds {len(entries)} files; zip only the boundary file")
        allowed = min(limits.unpacked_bytes, max(10 << 20, packed * limits.ratio))
        claimed = sum(entry.file_size for entry in entries)
        if claimed > allowed:
            raise AreaFileError(
                f"{bad}it would grow from {size_words(packed)} to {size_words(claimed)}; "
                "zip only the boundary file"
            )
        seen: set[str] = set()
        for entry in entries:
            inside = PurePosixPath(entry.filename.replace("\\", "/"))
            if inside.is_absolute() or ".." in inside.parts or re.match(r"[A-Za-z]:", entry.filename):
                raise AreaFileError(
                    f"{bad}{entry.filename!r} would be written outside its folder; zip it again"
                )
            if stat.S_ISLNK(entry.external_attr >> 16):
                raise AreaFileError(f"{bad}{entry.filename!r} is a link to another file; zip the file itself")
            if entry.flag_bits & 1:
                raise AreaFileError(f"{bad}it has a password; zip it again without one")
            if entry.is_dir() or inside.parts[0] == "__MACOSX" or inside.name.startswith("."):
                continue
            if str(inside).lower() in seen:
                raise AreaFileError(f"{bad}{entry.filename!r} is in it twice; zip it again")
            seen.add(str(inside).lower())
            target = folder.joinpath(*inside.parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as source, target.open("wb") as sink:
                while chunk := source.read(1 << 20):
                    allowed -= len(chunk)
                    if allowed < 0:
                        raise AreaFileError(f"{bad}it grows without end; zip only the boundary file")
                    sink.write(chunk)


def dataset_in(place: Path, source: str, layer: str | None) -> tuple[Path, str | None]:
    """The data set in a folder, and the layer to ask it for."""
    if not place.is_dir() or place.suffix.lower() == ".gdb":
        return place, layer
    found = sorted(
        file
        for file in place.rglob("*")
        if file.suffix.lower() in _DATASETS and not any(up.suffix.lower() == ".gdb" for up in file.parents)
    )
    if len(found) > 1 and layer is not None:
        chosen = [file for file in found if layer.lower() in (file.stem.lower(), file.name.lower())]
        if chosen:
            return chosen[0], None
    if len(found) > 1 and any(file.name.lower() == "doc.kml" for file in found):
        found = [file for file in found if file.name.lower() == "doc.kml"]
    if not found:
        names = ", ".join(sorted(file.name for file in place.rglob("*") if file.is_file())[:8]) or "nothing"
        raise AreaFileError(f"{source}: contains no recognised boundary file, only: {names}")
    if len(found) > 1:
        raise AreaFileError(
            f"{source}: has several layers; choose with --layer: {names_words(f.stem for f in found)}"
        )
    return found[0], layer


def names_words(names: Any) -> str:
    """Names in a sentence: the first twelve, and how many more."""
    listed = list(names)
    return ", ".join(listed[:12]) + (f" and {len(listed) - 12} more" if len(listed) > 12 else "")


def size_words(size: int) -> str:
    """Bytes in words."""
    return f"{size / (1 << 20):,.0f} MB" if size >= 10 << 20 else f"{size:,} bytes"


def _part(file: Path, source: str) -> str:
    """The start of a message about a file that may be the source itself or a part of it."""
    return f"{source}:" if file.name == source else f"{source}: {file.name}"


def refuse_big(file: Path, source: str, limits: ReadingLimits) -> None:
    """Raise where a file has no bytes, or more than the limit.

    Raises:
        AreaFileError: it does.
    """
    size = file.stat().st_size
    if size == 0:
        raise AreaFileError(f"{_part(file, source)} is empty (0 bytes); ask for it again")
    if size > limits.file_bytes:
        raise AreaFileError(
            f"{_part(file, source)} has {size_words(size)}, more than {size_words(limits.file_bytes)}; "
            "export only the areas needed, or simplify them"
        )


def refuse_damaged(dataset: Path, source: str, limits: ReadingLimits) -> None:
    """Raise where a header claims more than there is, a companion is missing, or XML brings entities."""
    if dataset.is_dir():
        for file in dataset.rglob("*"):
            if file.is_file() and file.stat().st_size > limits.file_bytes:
                refuse_big(file, source, limits)
        return
    refuse_big(dataset, source, limits)
    suffix = dataset.suffix.lower()
    beside = {file.suffix.lower(): file for file in dataset.parent.iterdir() if file.stem == dataset.stem}
    needed = {".shp": (".shx", ".dbf"), ".tab": (".dat", ".map", ".id"), ".mif": (".mid",)}.get(suffix, ())
    if suffix == ".tab":
        head = dataset.read_bytes()[: 1 << 20].lower()
        if b"type native" not in head or re.search(rb'isseamless"\s*=\s*"true', head):
            raise AreaFileError(
                f"{source}: is a table over other files or servers; save a copy as a native table"
            )
    missing = [part for part in needed if part not in beside]
    if missing:
        raise AreaFileError(
            f"{_part(dataset, source)} comes without its {' and '.join(missing)}; zip all parts together"
        )
    for part in needed:
        refuse_big(beside[part], source, limits)
    cut = ""
    if suffix == ".shp":
        index = beside[".shx"]
        cut = (
            _shape_cut(dataset)
            or _shape_cut(index)
            or _table_cut(beside[".dbf"])
            or _records_cut(dataset, index)
        )
    elif suffix == ".tab" and b"fields" in head:
        cut = _table_cut(beside[".dat"])
    elif suffix == ".gpkg":
        cut = _sqlite_cut(dataset)
    elif suffix in _XML or _begins_as_xml(dataset):
        _refuse_entities(dataset, source)
    if cut:
        cut = cut.removeprefix(f"{source} ")
        raise AreaFileError(f"{source}: {cut}; it was cut short or is damaged, ask for it again")


def _head(file: Path, size: int) -> bytes:
    with file.open("rb") as stream:
        return stream.read(size)


def _short(file: Path, claimed: int) -> str:
    """What is wrong with a file whose header claims so many bytes; nothing where it has them."""
    size = file.stat().st_size
    return "" if claimed <= size else f"{file.name} claims {size_words(claimed)} but has {size_words(size)}"


def _shape_cut(file: Path) -> str:
    """ESRI's whitepaper of 1998, main file header: code 9994, length in 16-bit words, version 1000."""
    head = _head(file, 100)
    if (
        len(head) < 100
        or struct.unpack(">i", head[:4])[0] != 9994
        or struct.unpack("<i", head[28:32])[0] != 1000
    ):
        return f"{file.name} does not begin as a Shapefile does"
    return _short(file, struct.unpack(">I", head[24:28])[0] * 2)


def _records_cut(file: Path, index: Path) -> str:
    """Each record's place and length in words, in the index and before the record itself, big-endian."""
    records = np.frombuffer(index.read_bytes()[100:], dtype=">u4")
    places, lengths = records[: len(records) // 2 * 2].reshape(-1, 2).astype(np.int64).T * 2
    content = np.frombuffer(file.read_bytes(), dtype=np.uint8)
    used = lengths > 0
    whole = places + 8 + lengths <= len(content)
    if not whole[used].all():
        at = int(np.flatnonzero(used & ~whole)[0])
        return f"record {at + 1} of {file.name} lies beyond its end"
    heads = content[places[used, None] + np.arange(4, 8)].astype(np.int64) @ [1 << 24, 1 << 16, 1 << 8, 1]
    if (heads * 2 != lengths[used]).any():
        at = int(np.flatnonzero(used)[np.flatnonzero(heads * 2 != lengths[used])[0]])
        return f"record {at + 1} of {file.name} has another length than its index says"
    return ""


def _table_cut(file: Path) -> str:
    """The dBASE header: number of records, length of the header and of a record."""
    head = _head(file, 32)
    if len(head) < 32:
        return f"{file.name} does not begin as a table does"
    records, header, record = struct.unpack("<IHH", head[4:12])
    return _short(file, header + records * record)


def _sqlite_cut(file: Path) -> str:
    """The SQLite header: page size at 16, number of pages at 28, valid where 24 and 92 agree."""
    head = _head(file, 100)
    if len(head) < 100 or not head.startswith(b"SQLite format 3\0"):
        return f"{file.name} does not begin as a GeoPackage does"
    page = struct.unpack(">H", head[16:18])[0]
    claimed = (65_536 if page == 1 else page) * struct.unpack(">I", head[28:32])[0]
    return _short(file, claimed) if head[24:28] == head[92:96] else ""


def _begins_as_xml(file: Path) -> bool:
    return _head(file, 256).replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").startswith(b"<")


def _refuse_entities(file: Path, source: str) -> None:
    """No document type, hence no entities of its own: the ways to make XML grow or read other files."""
    # NUL bytes are dropped so that UTF-16 cannot hide the words.
    text = file.read_bytes().replace(b"\0", b"").upper()
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise AreaFileError(
            f"{source}: brings a document type with entities, which boundaries never need; export it again"
        )
