"""A child process that ends with its parent, even where that is killed.

Knows nothing of what the child does. A child that is a program of its own is given the function's source.
"""

from __future__ import annotations


def end_with(parent: int) -> None:
    """Ends this process when its parent is gone: on Linux at once, elsewhere within half a second.

    Args:
        parent: the process id of the one that started this one.
    """
    import ctypes
    import os
    import sys
    import threading
    import time

    system: str = sys.platform
    if system == "win32":
        return  # there it cannot be told: the parent's time limit still applies
    if system == "linux":  # without a thread, which would count towards the child's memory
        ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL
        if os.getppid() != parent:
            os._exit(1)  # it was gone before
        return

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=look, daemon=True).start()
