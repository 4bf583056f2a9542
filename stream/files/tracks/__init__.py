"""Tracks in files: CSV, JSON lines, Parquet, GPX and NMEA → the position events of the public contract.

Every form becomes the same JSON messages, and those are judged by ``stream.core.events`` alone, so that a fix
is the same whatever file it came in. Read in chunks; bad rows are values with reasons, only a file that
cannot be read at all is an error. It opens files. No Kafka, no clock, no accounting. Read ``files`` first,
then ``rows`` and the forms.
"""

from __future__ import annotations

from stream.files.tracks.files import CHUNK, TrackFixes, form_of, read_fixes, read_rows, row_groups
from stream.files.tracks.rows import TrackRows, TracksError

__all__ = [
    "CHUNK",
    "TrackFixes",
    "TrackRows",
    "TracksError",
    "form_of",
    "read_fixes",
    "read_rows",
    "row_groups",
]
