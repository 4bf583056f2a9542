"""``python -m stream.cli.run``: the patrol command in a process started by another."""

from __future__ import annotations

from stream.cli import main
from stream.pipeline.processes import end_with_parent

if __name__ == "__main__":
    end_with_parent()
    main()
