"""``python -m stream``: the patrol command in a process started by another.

It imports the commands last: meanwhile its parent may go, or it may be told to end.
"""

from __future__ import annotations

import sys

from stream.pipeline.ending import end_with_parent, exit_code, heed_signals, interrupted

if __name__ == "__main__":
    end_with_parent()
    heed_signals()
    try:
        from stream.cli import main
    except BaseException:
        if interrupted():
            sys.exit(exit_code())
        raise
    main()
