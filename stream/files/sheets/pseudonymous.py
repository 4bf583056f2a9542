"""The files of an account for analysts: pseudonyms in place of the ids of officers, devices and duties.

Rows stand in the order of the pseudonyms, because the order of the ids would tell whose they are. Texts in
which ids may be named are left out, but for findings whose detail is a code or a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pyarrow as pa

from stream.core.pseudonyms import DEVICE, DUTY, KINDS, OFFICER
from stream.files.sheets import arrow

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stream.core.facts import Duty
    from stream.core.pseudonyms import Pseudonyms

COLUMNS: Final = {"officer_id": OFFICER, "duty_id": DUTY, "device_id": DEVICE}
"""Columns of ids, in whichever table, and whose they are."""

NAMELESS: Final = frozenset(
    {"rejected", "unknown_state", "two_states", "clock_offset", "far_from_force", "frozen", "two_devices"}
)
"""Findings whose detail is a reason, a code, a distance or a time, and never an id."""


def pseudonymous(
    tables: dict[str, pa.Table], pseudonyms: Pseudonyms, duties: Sequence[Duty]
) -> dict[str, pa.Table]:
    """The same tables with pseudonyms in place of ids.

    Args:
        tables: of ``sheets``, and ``quality``, by name.
        pseudonyms: under whichever key.
        duties: whose officers a doubt's other id may name.
    """
    officers = {duty.officer_id for duty in duties}
    found = {}
    for name, table in tables.items():
        texts = {column: table[column].to_pylist() for column in table.column_names}
        for column, kind in COLUMNS.items():
            if column in texts:
                texts[column] = pseudonyms.all_of(kind, texts[column])
        if "other_id" in texts:
            kinds = (OFFICER if id_ in officers else DEVICE for id_ in texts["other_id"])
            texts["other_id"] = [
                pseudonyms.of(kind, id_) for kind, id_ in zip(kinds, texts["other_id"], strict=True)
            ]
        if "scope" in texts:
            rows = zip(texts["scope"], texts["id"], strict=True)
            texts["id"] = [pseudonyms.of(scope, id_) if scope in KINDS else id_ for scope, id_ in rows]
        if name == "quality":
            texts["detail"] = [
                detail if finding in NAMELESS else ""
                for finding, detail in zip(texts["finding"], texts["detail"], strict=True)
            ]
        changed = pa.table(
            {
                column: arrow.texts(values) if pa.types.is_string(table[column].type) else table[column]
                for column, values in texts.items()
            }
        )
        named = any(column in texts for column in ("scope", *COLUMNS))
        order = [(column, "ascending") for column in changed.column_names]
        found[name] = changed.sort_by(order) if named else changed
    return found
