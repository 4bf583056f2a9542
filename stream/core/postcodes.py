"""Postcodes → neighbourhoods: where a resident's postcode lies, however it is typed.

A file's bytes and boundaries in, answers out; no Kafka, no database, no clock. Which area a postcode lies
in is rule 5's answer for the point published for it: on an edge the smallest ``area_id``. Nothing is guessed:
an unknown postcode gets suggestions, not an answer.
"""

from __future__ import annotations

import gzip
import io
import re
import unicodedata
import zlib
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from geo.areas import Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from geo.matching.places import PlaceIndex

COLUMNS = {
    "postcode": ("pcds", "pcd", "pcd7", "pcd8", "pcd2", "postcode"),
    "latitude": ("lat", "latitude"),
    "longitude": ("long", "lon", "lng", "longitude"),
}
"""Accepted names of a file's columns, in any case; where several occur, the first is used."""

WHOLE = re.compile(r"(?:[A-Z]{1,2}[0-9][A-Z0-9]?|GIR)[0-9][A-Z]{2}")
PARTIAL = re.compile(r"[A-Z]{1,2}(?:[0-9][A-Z0-9]?(?:[0-9][A-Z]?)?)?")
"""What postcodes, and beginnings of them, look like without the space."""

ALIKE = ("O0", "I1L", "S5", "Z2", "B8", "G6")
"""Characters that are easily confused."""

LONGEST = 64
"""Characters; anything longer is not a postcode."""

SUGGESTIONS = 5
"""How many postcodes are suggested at most."""

LARGEST = 1 << 30
"""The most bytes of a file, unpacked; the national file has less than half of that."""


class PostcodesError(ValueError):
    """A file of postcodes that cannot be used; the message says what to do."""


class LookupOutcome(StrEnum):
    """The outcome of a question.

    ``found`` in a neighbourhood; ``outside`` all of them; ``no_position`` published for the postcode;
    ``unknown``: it looks like a postcode, but is not in the file; ``partial``: the beginning of some;
    ``no_postcode``: it does not look like one; ``empty``: nothing was typed.
    """

    FOUND = "found"
    OUTSIDE = "outside"
    NO_POSITION = "no_position"
    UNKNOWN = "unknown"
    PARTIAL = "partial"
    NO_POSTCODE = "no_postcode"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """A neighbourhood in an answer."""

    area_id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """The answer to what somebody typed.

    Attributes:
        asked: what was typed, without unprintable characters, not longer than ``LONGEST``.
        postcode: as it is written, ``LE1 1AA``; of a partial one its known part; empty where it is none.
        neighbourhood: where it lies; None unless ``found``.
        neighbourhoods: where postcodes that begin like a partial one lie, by name.
        suggestions: known postcodes that look alike.
    """

    asked: str
    outcome: LookupOutcome
    postcode: str = ""
    neighbourhood: Neighbourhood | None = None
    neighbourhoods: tuple[Neighbourhood, ...] = ()
    suggestions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Postcodes:
    """Postcodes and where they lie, sorted.

    Attributes:
        key: ``S7[n]``, without the space, unique.
        lon: ``float64[n]``, WGS84 degrees, NaN where no position was published.
        lat: ``float64[n]``, likewise.
        left_out: rows of the file that hold no postcode.
    """

    key: NDArray[np.bytes_]
    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.key)

    @classmethod
    def of_csv(cls, data: bytes, name: str = "the postcode file") -> Postcodes:
        """Postcodes from a CSV file with a header, packed with gzip or not.

        A row without numbers for both coordinates, with coordinates that are no degrees (99.999999 in the
        national files), or at exactly (0, 0), has no position. Where a postcode has several rows, the first
        with a position counts, else the first.

        Args:
            data: the file, UTF-8.
            name: what messages call it.

        Raises:
            PostcodesError: it cannot be read, lacks a column, or holds no postcode.
        """
        table = _table(_unpacked(data, name), name)
        chosen = _chosen(table.column_names, name)
        text = pc.utf8_upper(pc.replace_substring_regex(table[chosen["postcode"]], r"\s+", ""))
        fits = pc.match_substring_regex(text, f"^{WHOLE.pattern}$").combine_chunks()
        table, text = table.filter(fits), text.filter(fits)
        if not len(text):
            raise PostcodesError(f"{name}: column '{chosen['postcode']}' holds no postcode like LE1 1AA")
        lat, lon = (_numbers(table[chosen[side]]) for side in ("latitude", "longitude"))
        placed = (np.abs(lat) <= 90) & (np.abs(lon) <= 180) & ((lat != 0) | (lon != 0))
        lat, lon = np.where(placed, lat, np.nan), np.where(placed, lon, np.nan)
        key = np.asarray(text.to_pylist(), "S7")
        order = np.lexsort((np.arange(len(key)), ~placed, key))
        order = order[np.unique(key[order], return_index=True)[1]]
        return cls(key[order], lon[order], lat[order], left_out=len(fits) - len(text))


class Finder:
    """Finds neighbourhoods by postcode.

    Attributes:
        postcodes: the postcodes.
    """

    def __init__(self, postcodes: Postcodes, index: PlaceIndex) -> None:
        """Looks up where every postcode lies, once.

        Args:
            postcodes: all that are known.
            index: the boundaries in force.
        """
        areas = index.areas
        names = areas.names(Kind.NEIGHBOURHOOD)
        self.postcodes = postcodes
        self._neighbourhoods: list[Neighbourhood] = []
        number: dict[str | None, int] = {None: -1}
        place = index.locate(postcodes.lon, postcodes.lat)
        which = np.full(len(index.places), -1, np.int32)
        for at in np.unique(place).tolist():
            area_id = index.places[at].neighbourhood
            if area_id is not None and area_id not in number:
                number[area_id] = len(self._neighbourhoods)
                self._neighbourhoods.append(Neighbourhood(area_id, names[area_id]))
            which[at] = number[area_id]
        self._where = which[place]
        self._row = {key.decode("ascii"): row for row, key in enumerate(postcodes.key.tolist())}

    def find(self, typed: str) -> Lookup:
        """The neighbourhood of a postcode as somebody typed it: any case, spaces anywhere or nowhere."""
        asked = shown(typed)
        key = plain(typed)
        answer = partial(Lookup, asked=asked)
        if not key:
            return answer(outcome=LookupOutcome.NO_POSTCODE if asked else LookupOutcome.EMPTY)
        if (row := self._row.get(key)) is not None:
            answer = partial(answer, postcode=written(key))
            number = int(self._where[row])
            if np.isnan(self.postcodes.lon[row]):
                return answer(outcome=LookupOutcome.NO_POSITION)
            if number < 0:
                return answer(outcome=LookupOutcome.OUTSIDE)
            return answer(outcome=LookupOutcome.FOUND, neighbourhood=self._neighbourhoods[number])
        alike = self._alike(key)
        if WHOLE.fullmatch(key):
            return answer(outcome=LookupOutcome.UNKNOWN, postcode=written(key), suggestions=alike)
        if PARTIAL.fullmatch(key):
            if (begin := self._beginning(typed, key)) is not None:
                return answer(outcome=LookupOutcome.PARTIAL, postcode=begin[0], neighbourhoods=begin[1])
            if not key.isalpha():
                return answer(outcome=LookupOutcome.UNKNOWN, postcode=key)
        return answer(outcome=LookupOutcome.NO_POSTCODE, suggestions=alike)

    def by_outward(self) -> tuple[list[Neighbourhood], dict[str, dict[str, int]]]:
        """All postcodes by their first part: what a page needs that looks them up by itself.

        Returns:
            ``(neighbourhoods, parts)``: by the first part (``LE1``) and the rest (``1AA``) the place of the
            neighbourhood in the list; -1 outside all of them, -2 where no position is published.
        """
        parts: dict[str, dict[str, int]] = {}
        unplaced = np.isnan(self.postcodes.lon)
        where = np.where(unplaced, -2, self._where)
        for key, number in zip(self.postcodes.key.tolist(), where.tolist(), strict=True):
            name = key.decode("ascii")
            parts.setdefault(name[:-3], {})[name[-3:]] = number
        return self._neighbourhoods, parts

    def _alike(self, key: str) -> tuple[str, ...]:
        """Known postcodes that differ from a text only in characters that are easily confused."""
        if not 5 <= len(key) <= 7:
            return ()
        choices = [next((group for group in ALIKE if sign in group), sign) for sign in key]
        found = sorted({name for signs in product(*choices) if (name := "".join(signs)) in self._row})
        return tuple(written(name) for name in found[:SUGGESTIONS])

    def _beginning(self, typed: str, key: str) -> tuple[str, tuple[Neighbourhood, ...]] | None:
        """The part of a postcode that was typed, and the neighbourhoods of those that begin with it.

        ``LE1 1`` is a part of LE1's postcodes; ``LE11`` is a district of its own where there is one.
        """
        known = self.postcodes.key
        low = int(np.searchsorted(known, key.encode("ascii")))
        high = int(np.searchsorted(known, (key + "\x7f").encode("ascii")[:7]))
        rows = np.arange(low, high)
        outward = np.array([len(name) - 3 for name in known[low:high].tolist()], np.int64)
        apart = re.fullmatch(r"\s*(\S+)\s+(\S+)\s*", typed)
        splits = [len(key), len(key) - 1, len(key) - 2]
        if apart is not None:
            splits.insert(0, len(plain(apart[1])))
        if key.isalpha():
            digits = [name[len(key) : len(key) + 1].isdigit() for name in known[low:high].tolist()]
            chosen, text = rows[np.array(digits, np.bool_)], key
        else:
            split = next((at for at in splits if (outward == at).any()), None)
            if split is None:
                return None
            chosen, text = rows[outward == split], f"{key[:split]} {key[split:]}".strip()
        if not len(chosen):
            return None
        numbers = np.unique(self._where[chosen])
        found = [self._neighbourhoods[number] for number in numbers.tolist() if number >= 0]
        return text, tuple(sorted(found, key=lambda item: (item.name, item.area_id)))


def shown(typed: str) -> str:
    """What was typed, safe to show again: in one line, not too long, without control characters."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in typed[: 4 * LONGEST]).split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def plain(typed: str) -> str:
    """The letters and digits of a postcode, in capitals; empty where there are others, or too many."""
    if len(typed) > LONGEST:
        return ""
    # Letters as phones and word processors give them: full width, with zero-width spaces.
    text = unicodedata.normalize("NFKC", typed).upper()
    text = "".join(
        sign for sign in text if unicodedata.category(sign)[0] not in "ZC" and sign not in "-–.,'’"
    )
    return text if text.isascii() and text.isalnum() else ""


def written(key: str) -> str:
    """A whole postcode with its space."""
    return f"{key[:-3]} {key[-3:]}"


# ── Files ─────────────────────────────────────────────────────────────────────────────────────────────────


def _unpacked(data: bytes, name: str) -> bytes:
    if data[:2] != b"\x1f\x8b":
        return data
    try:
        with gzip.open(io.BytesIO(data)) as stream:
            found = stream.read(LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise PostcodesError(f"{name}: cannot be unpacked ({error}): fetch it again") from error
    if len(found) > LARGEST:
        raise PostcodesError(f"{name}: more than {LARGEST >> 30} GiB unpacked: give your force's postcodes")
    return found


def _table(data: bytes, name: str) -> pa.Table:
    """All columns as texts."""
    try:
        stream = pa_csv.open_csv(io.BytesIO(data[: 1 << 20].rpartition(b"\n")[0] or data))
        texts = dict.fromkeys(stream.schema.names, pa.string())
        return pa_csv.read_csv(
            io.BytesIO(data),
            convert_options=pa_csv.ConvertOptions(column_types=texts, strings_can_be_null=False),
        )
    except (pa.ArrowInvalid, pa.ArrowKeyError, UnicodeDecodeError) as error:
        why = " ".join(str(error).split())[:200]
        raise PostcodesError(
            f"{name}: no CSV in UTF-8 with a header ({why}): give columns postcode, lat, long"
        ) from error


def _chosen(names: list[str], name: str) -> dict[str, str]:
    """Which column holds what."""
    found: dict[str, str] = {}
    by_name = {column.strip().lower(): column for column in reversed(names)}
    for what, known in COLUMNS.items():
        column = next((by_name[word] for word in known if word in by_name), None)
        if column is None:
            listed = ", ".join(names)[:200]
            raise PostcodesError(
                f"{name}: no column for the {what} among {listed}: call it {' or '.join(known)}"
            )
        found[what] = column
    return found


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """Texts as numbers, NaN where they are none."""
    text = pc.utf8_trim_whitespace(column)
    fits = pc.match_substring_regex(text, r"^[-+]?[0-9]{1,3}(\.[0-9]*)?([eE][-+]?[0-9]{1,2})?$")
    number = pc.if_else(fits, text, pa.scalar(None, pa.string()))
    return np.asarray(pc.cast(number, pa.float64()).to_numpy(zero_copy_only=False), np.float64)
