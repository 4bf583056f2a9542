"""LZ4 at its fast level, for what goes to Kafka.

aiokafka compresses at level 9 and lets nobody choose another one
(https://github.com/aio-libs/aiokafka/issues/1028). For frames that takes seventeen times the processor time
and saves an eighth of their size. Other codecs are not as safe: brokers whose system lacks glibc or a
temporary folder refuse snappy, and aiokafka cannot read topics that a broker itself keeps as zstd.
"""

from __future__ import annotations

from typing import Final

from aiokafka import codec

LEVEL: Final = 1
"""Up to 2, LZ4 is fast; from 3 on it searches for the shortest form."""


def fast_lz4() -> str:
    """Sets aiokafka's level for this process, and returns the codec's name as aiokafka has it."""
    codec.lz4_encode.__defaults__ = (LEVEL,)
    return "lz4"
