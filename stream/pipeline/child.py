"""A process that ends with the process that started it."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

from stream.pipeline.processes import CHILD

PR_SET_PDEATHSIG = 1
"""Linux: which signal to get when the parent is gone, prctl(2)."""


def end_with_parent() -> None:
    """Asks the system to end this process when its parent is killed, so that no orphan goes on counting.

    Only Linux can; elsewhere the children of a killed parent have to be ended by hand.
    """
    parent = os.environ.pop(CHILD, None)
    if parent is None or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(parent):
        sys.exit(1)  # it was gone before we asked
