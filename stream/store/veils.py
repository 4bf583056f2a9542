"""Officers whose name was erased: what comes late under it is counted under the pseudonym."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stream.core.facts import Duty, StateReport
    from stream.store.schema import Connection


def digest_of(salt: bytes, officer_id: str) -> bytes:
    """By which an erased id is known."""
    return hashlib.sha256(salt + officer_id.encode()).digest()


def pseudonym_of(connection: Connection, officer_id: str) -> str | None:
    """What stands in the place of an officer's id, if it was erased."""
    return _veil(_erased(connection), officer_id)


def _erased(connection: Connection) -> list[tuple[bytes, bytes, str]]:
    return [
        (bytes(salt), bytes(digest), str(pseudonym))
        for salt, digest, pseudonym in connection.execute(
            "select salt, digest, pseudonym from erased_person"
        ).fetchall()
    ]


def _veil(erased: Sequence[tuple[bytes, bytes, str]], officer_id: str) -> str | None:
    return next((new for salt, digest, new in erased if digest_of(salt, officer_id) == digest), None)


def veiled(
    connection: Connection, duties: Sequence[Duty], states: Sequence[StateReport]
) -> tuple[list[Duty], list[StateReport]]:
    """Bookings and states as they are counted: of officers who were erased, under their pseudonyms."""
    erased = _erased(connection)
    if not erased:
        return list(duties), list(states)
    new = {
        name: pseudonym
        for name in {*(duty.officer_id for duty in duties), *(item.officer_id for item in states)}
        if (pseudonym := _veil(erased, name)) is not None
    }
    return (
        [
            replace(duty, officer_id=new[duty.officer_id], name=None) if duty.officer_id in new else duty
            for duty in duties
        ],
        [
            replace(item, officer_id=new[item.officer_id]) if item.officer_id in new else item
            for item in states
        ],
    )
