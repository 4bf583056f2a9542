"""``python -m tests.bench [places core …]``: all measurements, or those named."""

from __future__ import annotations

import sys
from importlib import import_module

from tests.bench import show

ALL = ("places", "core", "ingest", "end_to_end", "force", "recompute", "pages", "reports", "screen", "spark")


def main(names: list[str]) -> None:
    """Runs the measurements one after another."""
    unknown = sorted(set(names) - set(ALL))
    if unknown:
        sys.exit(f"there is no measurement '{unknown[0]}': choose from {', '.join(ALL)}")
    for name in names or ALL:
        print(f"── {name}", flush=True)
        print(show(import_module(f"tests.bench.bench_{name}").run()), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
