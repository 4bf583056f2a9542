"""JSON: an array of objects, one inside a wrapper, a feature collection, arrays of cells, or JSON lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from stream.files.foreign.table import Cell, ForeignError, ForeignRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from stream.files.foreign.table import ForeignLimits

_DEEP: Final = 4
_LIST: Final = 8
_CELL: Final = 131_072


class Objects:
    """Objects as rows: nested ones by dotted names, small lists by number, all else as JSON text.

    ``columns`` is complete when all rows have been read: an object may bring new names; ``padded`` then makes
    all rows equally wide.
    """

    def __init__(self, name: str, limits: ForeignLimits) -> None:
        self._name = name
        self._limits = limits
        self._at: dict[str, int] = {}
        self.strange: list[int] = []

    @property
    def columns(self) -> tuple[str, ...]:
        """The names so far, in the order in which they were met."""
        return tuple(self._at)

    def row(self, number: int, value: object) -> ForeignRow | None:
        """One object; None, and its number kept in ``strange``, where it is none."""
        if not isinstance(value, dict):
            self.strange.append(number)
            return None
        cells: list[Cell] = [None] * len(self._at)
        for key, cell in _flat(value, "", 0):
            at = self._at.setdefault(key, len(self._at))
            if at == len(cells):
                cells.append(cell)
            else:
                cells[at] = cell
        if len(self._at) > self._limits.columns:
            raise ForeignError(
                f"{self._name}: its objects have more than {self._limits.columns:,} fields; "
                "is it a list of rows at all?"
            )
        return ForeignRow(number, tuple(cells))

    def padded(self, rows: list[ForeignRow]) -> list[ForeignRow]:
        """The rows, each with a cell for every column."""
        width = len(self._at)
        return [
            row
            if len(row.cells) == width
            else row._replace(cells=row.cells + (None,) * (width - len(row.cells)))
            for row in rows
        ]


def _flat(value: dict[str, Any], above: str, depth: int) -> Iterator[tuple[str, Cell]]:
    for key, item in value.items():
        name = f"{above}{key}"
        if isinstance(item, dict) and item and depth < _DEEP:
            yield from _flat(item, f"{name}.", depth + 1)
        elif isinstance(item, list) and 0 < len(item) <= _LIST and not any(map(_nested, item)):
            for number, each in enumerate(item, 1):
                yield f"{name}.{number}", each
        elif _nested(item):
            yield name, msgspec.json.encode(item).decode()[:_CELL]
        else:
            yield name, item


def _nested(item: object) -> bool:
    return isinstance(item, dict | list)


def json_rows(value: object) -> tuple[list[Any], str] | None:
    """The list of rows in a JSON document and where it stands (``data``); None where there is none."""
    if isinstance(value, list):
        return value, ""
    if not isinstance(value, dict):
        return None
    lists = [(item, key) for key, item in value.items() if isinstance(item, list) and _objects(item)]
    lists += [
        (inner, f"{key}.{name}")
        for key, item in value.items()
        if isinstance(item, dict)
        for name, inner in item.items()
        if isinstance(inner, list) and _objects(inner)
    ]
    if lists:
        return max(lists, key=lambda found: len(found[0]))
    return [value], ""


def _objects(items: list[Any]) -> bool:
    return bool(items) and all(isinstance(item, dict) for item in items[:10])


def lines_of(texts: Iterable[str]) -> Iterator[tuple[int, object]]:
    """JSON lines: the number and value of each that is not blank; what is no JSON comes as a text."""
    decode = msgspec.json.Decoder().decode
    for number, text in enumerate(texts, 1):
        line = text.strip().removeprefix("\ufeff")
        if not line:
            continue
        try:
            yield number, decode(line)
        except (msgspec.DecodeError, RecursionError):
            yield number, text
