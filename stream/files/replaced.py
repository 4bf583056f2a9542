"""A folder of files that is replaced as a whole: whoever reads it sees the old one or the new one.

The folder holds a list of its files (``site.json``), so that it is known whose it is: one that holds anything
else is refused.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LISTED: Final = "site.json"


class ForeignFolderError(ValueError):
    """A folder that must not be replaced; the message says why."""


@dataclass(frozen=True, slots=True)
class Replaced:
    """What changed.

    Attributes:
        files: how many there are now, beside their list.
        written: how many are new or different.
        deleted: how many are no longer there.
    """

    files: int
    written: int
    deleted: int


def replace_folder(folder: Path, files: Mapping[str, bytes]) -> Replaced:
    """Makes a folder hold just these files, by path below it; where they are the same already, it stays.

    Args:
        folder: is made where it is not there; its parent has to be there.
        files: relative paths with ``/``.

    Raises:
        ForeignFolderError: it holds a file that is not ours.
        OSError: it cannot be written or replaced; the old one stays as it was.
    """
    folder = folder.resolve()
    before = _ours(folder)
    sums = {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}
    done = Replaced(
        len(sums),
        sum(before.get(path) != digest for path, digest in sums.items()),
        len(before.keys() - sums.keys()),
    )
    if before == sums and folder.is_dir():
        return done
    beside = folder.with_name(f".{folder.name}.")
    made = _made(beside, files, sums)
    if folder.exists():
        old = tempfile.mkdtemp(prefix=f"{beside.name}old-", dir=folder.parent)
        try:
            folder.rename(f"{old}/{folder.name}")
            made.rename(folder)
        finally:
            if not folder.exists():
                (folder.parent / old / folder.name).rename(folder)
            shutil.rmtree(made, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)
    else:
        made.rename(folder)
    return done


def _made(beside: Path, files: Mapping[str, bytes], sums: Mapping[str, str]) -> Path:
    """A new folder with the files in it, beside the one that it will replace."""
    from pathlib import Path

    made = Path(tempfile.mkdtemp(prefix=f"{beside.name}new-", dir=beside.parent))
    try:
        listed = json.dumps(dict(sorted(sums.items())), indent=0, ensure_ascii=False).encode()
        for path, content in {**files, LISTED: listed}.items():
            target = made / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        made.chmod(0o755)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise
    return made


def _ours(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file of a folder that is ours; nothing where there is none, or it is empty.

    Raises:
        ForeignFolderError: it is not ours.
    """
    if not folder.exists():
        return {}
    if not folder.is_dir():
        raise ForeignFolderError(f"{folder} is a file: name a folder")
    there = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if not path.is_dir()}
    if not there:
        return {}
    try:
        listed = json.loads(there[LISTED].read_bytes())
        known = {str(path) for path in listed}
    except (KeyError, ValueError, TypeError) as error:
        raise ForeignFolderError(
            f"{folder} was not made by this command, and would be deleted: name a new or empty folder"
        ) from error
    if foreign := sorted(there.keys() - known - {LISTED}):
        raise ForeignFolderError(
            f"{folder} holds {foreign[0]}, which this command has not put there, and would delete: move it"
        )
    return {
        path: hashlib.sha256(there[path].read_bytes()).hexdigest()
        for path in sorted(there.keys() - {LISTED})
        if not there[path].is_symlink()
    }
