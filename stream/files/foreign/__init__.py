"""Foreign tables: what people send as rows of text or as a workbook, read without judging what it means.

CSV in any dialect and encoding, Excel and OpenDocument workbooks, JSON arrays and lines, Parquet; packed with
gzip or zip. Cells keep what the file says: texts of a text file stay texts, a workbook's dates stay dates.
What columns mean is for the caller. No Kafka, no database, no clock; nothing is ever written.

Read ``table`` first, then ``reading``, then a form: ``texts``, ``workbooks``, ``records``, ``parquet``;
``layout`` tells a header from what stands above and below it.
"""

from __future__ import annotations

from stream.files.foreign.reading import require_file, tables
from stream.files.foreign.table import (
    LIMITS,
    Cell,
    ForeignError,
    ForeignLimits,
    ForeignRow,
    ForeignTable,
    LeftOut,
    blank,
    float_of,
    nothing,
    text_of,
)

__all__ = [
    "LIMITS",
    "Cell",
    "ForeignError",
    "ForeignLimits",
    "ForeignRow",
    "ForeignTable",
    "LeftOut",
    "blank",
    "float_of",
    "nothing",
    "require_file",
    "tables",
    "text_of",
]
