"""Postcodes from a CSV file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from stream.settings import SettingsError

if TYPE_CHECKING:
    from stream.core.postcodes import Postcodes
    from stream.settings import Settings


def read_postcodes(file: Path | None, settings: Settings) -> Postcodes:
    """The postcodes of a file, or of the one that the settings name.

    Raises:
        SettingsError: none is named, or it cannot be read or used.
    """
    from stream.core.postcodes import Postcodes, PostcodesError

    path = str(file) if file else settings.postcodes
    if not path:
        raise SettingsError("no file of postcodes: set PATROL_POSTCODES to a CSV with postcode, lat and long")
    try:
        return Postcodes.of_csv(Path(path).read_bytes(), path)
    except (OSError, PostcodesError) as error:
        told = str(error)
        raise SettingsError(told if path in told else f"{path}: {told}") from error
