"""``python -m tests.bench [places core …]``: all measurements, or those named, or one with options."""

from __future__ import annotations

import sys
from importlib import import_module

from tests.bench import show

ALL = (
    "places",
    "core",
    "ingest",
    "ledger",
    "end_to_end",
    "force",
    "recompute",
    "pages",
    "figures",
    "reports",
    "rights",
    "screen",
    "start",
)
LONG = ("live", "backlog", "workers", "stored", "growth", "spark", "strain", "peers")
"""Only by name: they take minutes, and nothing else may run beside them."""


def main(words: list[str]) -> None:
    """Runs the measurements one after another."""
    first = next((at for at, word in enumerate(words) if word.startswith("-")), len(words))
    names, options = words[:first], words[first:]
    unknown = sorted(set(names) - {*ALL, *LONG})
    if unknown:
        sys.exit(f"there is no measurement '{unknown[0]}': choose from {', '.join((*ALL, *LONG))}")
    if options and (len(names) != 1 or names[0] not in LONG):
        sys.exit(f"options go with one of {', '.join(LONG)}: {options[0]}")
    for name in names or ALL:
        print(f"── {name}", flush=True)
        module = import_module(f"tests.bench.bench_{name}")
        print(show(module.run(options) if name in LONG else module.run()), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
