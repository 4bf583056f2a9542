"""What was imported: a folder that holds every revision sent, and with it the facts of the last import.

``duties.jsonl`` and ``states.jsonl`` are as ``patrol account`` takes them, ``imports.jsonl`` tells of each
import. What is about to be sent stands in ``pending.jsonl`` until all of it has arrived: an import that was
interrupted is completed by the next one, under the same revisions. No Kafka, no clock.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from stream.core.calendar import rfc3339
from stream.core.events import decode_duties, decode_states
from stream.core.slices import newest
from stream.files.roster.mapping import RosterError
from stream.simulate.wire import duty_value, state_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from stream.core.facts import Duty, StateReport
    from stream.files.roster.changes import RosterChanges

DUTIES_FILE: Final = "duties.jsonl"
STATES_FILE: Final = "states.jsonl"
IMPORTS_FILE: Final = "imports.jsonl"
PENDING_FILE: Final = "pending.jsonl"
_FILES: Final = (DUTIES_FILE, STATES_FILE, IMPORTS_FILE)
_RESTORE: Final = "restore the folder from a backup"


@dataclass(frozen=True, slots=True)
class RosterParcel:
    """What one import sends, by key (the officer) and value, with its line for ``imports.jsonl``."""

    duties: tuple[tuple[str, bytes], ...] = ()
    states: tuple[tuple[str, bytes], ...] = ()
    line: bytes = b""

    def __len__(self) -> int:
        return len(self.duties) + len(self.states)

    def by_file(self) -> dict[str, tuple[tuple[str, bytes], ...]]:
        """The same by the file of the record that it goes into."""
        line = (("", self.line),) if self.line else ()
        return {DUTIES_FILE: self.duties, STATES_FILE: self.states, IMPORTS_FILE: line}


@dataclass(slots=True)
class RosterRecord:
    """The record of what was imported.

    Attributes:
        folder: where it is kept; None: nowhere, and nothing is known.
        target: where the facts go: ``files``, or Kafka under a prefix. One record is for one target.
        duties: the newest revision of each duty, by id.
        states: every state.
        pending: what an import that was interrupted had begun to send.
    """

    folder: Path | None
    target: str
    duties: dict[str, Duty] = field(default_factory=dict)
    states: frozenset[StateReport] = frozenset()
    pending: RosterParcel = RosterParcel()

    def begin(self, parcel: RosterParcel) -> None:
        """Notes what is about to be sent.

        Raises:
            OSError: it cannot be written.
        """
        self.pending = parcel
        lines = [
            msgspec.json.encode({"file": name, "officer_id": officer, "event": msgspec.Raw(value)})
            for name, items in parcel.by_file().items()
            for officer, value in items
        ]
        _write_whole(self._path(PENDING_FILE), lines)

    def finish(self) -> None:
        """Notes that everything pending has arrived; done twice, it changes nothing.

        Raises:
            OSError: it cannot be written.
        """
        parcel = self.pending
        for name, items in parcel.by_file().items():
            lines = _lines(self._path(name))
            there = set(lines)
            if added := [value for _, value in items if value not in there]:
                _write_whole(self._path(name), [*lines, *added])
        self._path(PENDING_FILE).unlink(missing_ok=True)
        self.know(parcel.duties, parcel.states)
        self.pending = RosterParcel()

    def know(self, duties: Sequence[tuple[str, bytes]], states: Sequence[tuple[str, bytes]]) -> None:
        """Takes up facts that were sent.

        Raises:
            RosterError: they cannot be read.
        """
        booked, _, bad = decode_duties([value for _, value in duties])
        keyed, _, worse = decode_states([value for _, value in states])
        if wrong := [*bad, *worse]:
            raise RosterError(
                f"{self.folder}: what was imported cannot be read: {wrong[0].detail}; {_RESTORE}"
            )
        self.duties = {duty.duty_id: duty for duty in newest([*self.duties.values(), *booked])}
        self.states |= set(keyed)

    def _path(self, name: str) -> Path:
        if self.folder is None:
            raise RosterError("there is no folder to keep a record in")
        return self.folder / name


def parcel_of(changes: RosterChanges, *, name: str, sha256: str, target: str, time: int) -> RosterParcel:
    """What an import has to send.

    Args:
        changes: what is new.
        name: of the export.
        sha256: of its content.
        target: where the facts go.
        time: of the import, microseconds since 1970 UTC.
    """
    line = {
        "time": rfc3339(time),
        "file": name,
        "sha256": sha256,
        "to": target,
        "new": len(changes.new),
        "changed": len(changes.changed),
        "cancelled": len(changes.cancelled),
        "states": len(changes.new_states),
        "refused": len(changes.refused),
    }
    return RosterParcel(
        tuple((duty.officer_id, duty_value(duty)) for duty in changes.duties),
        tuple((state.officer_id, state_value(state)) for state in changes.new_states),
        msgspec.json.encode(line),
    )


def read_record(folder: Path | None, target: str) -> RosterRecord:
    """Reads a record; nothing is known where there is none yet.

    Raises:
        RosterError: it is damaged, of another target, or its files are not those of an import.
        OSError: it cannot be opened.
    """
    record = RosterRecord(folder, target)
    if folder is None or not folder.exists():
        return record
    imports = _lines(folder / IMPORTS_FILE)
    pending = _lines(folder / PENDING_FILE)
    for name in (DUTIES_FILE, STATES_FILE):
        if not imports and not pending and (folder / name).exists():
            raise RosterError(f"{folder / name} was not written by an import: name another folder")
    for line in imports:
        if (known := _decoded(line, folder / IMPORTS_FILE).get("to")) != target:
            raise RosterError(
                f"{folder} is the record of what went to {known}, and this would go to {target}: "
                "name another folder"
            )
    kept = {name: _lines(folder / name) for name in (DUTIES_FILE, STATES_FILE)}
    _refuse_lost(folder, [_decoded(line, folder / IMPORTS_FILE) for line in imports], kept)
    record.know(*([("", line) for line in lines] for lines in kept.values()))
    by_file: dict[str, list[tuple[str, bytes]]] = {name: [] for name in _FILES}
    for line in pending:
        item = _decoded(line, folder / PENDING_FILE)
        # Encoded again as it was: the values are compared byte for byte.
        by_file[item["file"]].append((item["officer_id"], msgspec.json.encode(item["event"])))
    told = by_file[IMPORTS_FILE]
    record.pending = RosterParcel(
        tuple(by_file[DUTIES_FILE]), tuple(by_file[STATES_FILE]), told[0][1] if told else b""
    )
    return record


def _refuse_lost(folder: Path, imports: Sequence[dict[str, Any]], kept: dict[str, list[bytes]]) -> None:
    """Refuses a record that has less than was sent: revisions would begin again, and count for nothing."""
    for name, counts in ((DUTIES_FILE, ("new", "changed", "cancelled")), (STATES_FILE, ("states",))):
        sent = sum(int(told.get(count, 0)) for told in imports for count in counts)
        if (lost := sent - len(kept[name])) > 0:
            raise RosterError(
                f"{folder / name} lacks {lost:,} of {sent:,} lines that were sent: {_RESTORE}; without them "
                "the next changes would have revisions that were sent already, and count for nothing"
            )


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other imports away from a record; makes its folder where it is missing.

    Raises:
        RosterError: another import is at work on it.
        OSError: the folder cannot be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RosterError(f"another import is at work on {folder}: wait until it has ended") from None
        yield
    finally:
        os.close(handle)


def _decoded(line: bytes, path: Path) -> dict[str, Any]:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as failure:
        raise RosterError(f"{path} is damaged: {failure}; {_RESTORE}") from None


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines() if path.exists() else []


def _write_whole(path: Path, lines: Sequence[bytes]) -> None:
    """A file that is complete or not there, also after a loss of power."""
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        file.writelines(line + b"\n" for line in lines)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
