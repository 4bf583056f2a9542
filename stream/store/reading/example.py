"""A neighbourhood and an officer to show the pages by: the demonstration's sergeant and officer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stream.store.schema import Connection


@dataclass(frozen=True, slots=True)
class Example:
    """A neighbourhood, and an officer whose patch has it."""

    area_id: str
    officer_id: str


def example(connection: Connection) -> Example | None:
    """The first officer of the first neighbourhood that has one; None before there is a duty."""
    row = connection.execute(
        "select patch[1], officer_id from duty join officer using (officer) "
        "where not cancelled and cardinality(patch) > 0 order by patch[1], officer_id limit 1"
    ).fetchone()
    return None if row is None else Example(*row)
