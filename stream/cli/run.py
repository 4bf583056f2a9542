"""``python -m stream.cli.run``: the patrol command in a process started by another."""

from __future__ import annotations

from stream.cli import main

if __name__ == "__main__":
    main()
