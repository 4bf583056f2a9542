"""How a process of this program ends when it is told to: orderly where it can, and in any case in time.

A process is told by SIGTERM or SIGINT. What runs for ever then has its stop event set; anything else is
interrupted as by Ctrl-C, so that what it holds is closed and its temporary files go. Either may wait for
something that never comes: a server that says nothing, a client's own thread, a library that swallows the
interruption. So a thread ends the process after ``END_S`` however it stands. That loses nothing: what was not
committed is rolled back, and comes again from Kafka.

A process that another one started also ends when that one is gone, however it went.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator, Mapping, MutableMapping
    from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT)
"""What tells a process to end."""

END_S = 8.0
"""So long may a process take to end that was told to; then it ends as it is."""

LOOK_S = 0.5
"""Seconds between two looks whether the parent is still there."""

CHILD = "PVCHILD_OF"
"""Tells a process of this program its parent, so that it ends with it."""

_PR_SET_PDEATHSIG = 1
"""Linux: which signal to get when the parent is gone, prctl(2)."""


class _Process:
    """What this process knows of its end; there is one of them.

    Attributes:
        told: the signal that told it to end; 0 for none.
        stop: sets the stop event of what runs for ever.
        before: the handlers that were in place before.
        limit_s: how long it may take to end.
    """

    told = 0
    stop: Callable[[], object] | None = None
    before: Mapping[signal.Signals, Any] = {}
    limit_s = END_S
    interrupted = False
    watched = False


_process = _Process()


class ToldError(KeyboardInterrupt):
    """The process was told to end; libraries take it for Ctrl-C, and tidy up as after that."""


def interrupted() -> bool:
    """Whether what ran was interrupted by a signal to end; a library may have made another error of that."""
    return _process.interrupted


def exit_code() -> int:
    """The code of a process that was interrupted: 143 by SIGTERM, else 130, as shells have it."""
    return 128 + (_process.told or signal.SIGINT)


def heed_signals(limit_s: float = END_S) -> None:
    """From now on a signal to end is obeyed in time, whatever the process does; for the main thread.

    As process 1 of a container it would not be obeyed at all without this: there the system has no default.
    An ignored SIGINT stays ignored: so a shell starts what it runs in the background.

    Args:
        limit_s: so long the process may then take to end.
    """
    _process.limit_s = limit_s
    _watch()
    _process.before = _heeded()


@contextlib.contextmanager
def stopping(stop: Callable[[], object], limit_s: float = END_S) -> Iterator[None]:
    """While the block runs, a signal to end calls ``stop`` and interrupts nothing; for the main thread.

    One that is ignored stays so.

    Args:
        stop: must return at once.
        limit_s: so long the process may then take to end.
    """
    _watch()
    before = _heeded()
    _process.stop, _process.limit_s = stop, limit_s
    try:
        if _process.told:
            stop()
        yield
    finally:
        _process.stop = None
        if not _process.told:  # else what is left to do is done in peace, within the limit
            for number, handler in before.items():
                signal.signal(number, handler)


def leave_in_peace() -> None:
    """Nothing is left to interrupt: the process ends. The limit holds still where it was told to."""
    if _process.told:
        _process.stop = lambda: None
        return
    for number, handler in _process.before.items():
        signal.signal(number, handler)


def _heeded() -> dict[signal.Signals, Any]:
    """Has the signals to end obeyed that are not ignored; what was done about them before."""
    return {
        number: signal.signal(number, _tell)
        for number in SIGNALS
        if signal.getsignal(number) is not signal.SIG_IGN
    }


def _tell(number: int, _frame: FrameType | None) -> None:
    """Runs in the main thread, as soon as that comes to it."""
    if _process.told:
        return  # once is enough: a child is told by its parent, and by Ctrl-C in their terminal
    _process.told = number
    if _process.stop is None:
        _process.interrupted = True
        raise ToldError
    _process.stop()


def _watch() -> None:
    """Starts the thread that ends the process after the limit.

    It is woken by the signal itself and not by its handler, which waits for a main thread that may be deep in
    a library.
    """
    import socket

    if _process.watched:
        return
    _process.watched = True
    heard, rung = socket.socketpair()
    rung.setblocking(False)
    signal.set_wakeup_fd(rung.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_end_late, args=(heard, rung), name="ending", daemon=True).start()


def _end_late(heard: socket.socket, _kept: socket.socket) -> None:
    while True:
        # Where somebody else has the signal now, as in a program that uses this one, it is none of ours.
        told = [number for number in heard.recv(64) if signal.getsignal(number) is _tell]
        if told:
            break
    time.sleep(_process.limit_s)
    # Nothing that could wait: a thread that does not come back may hold the log's lock.
    os.write(
        2,
        f"patrol: told to end {_process.limit_s:.0f} s ago, and something still does not answer: ended as it "
        "is; what was not committed is done again\n".encode(),
    )
    os._exit(128 + told[0])


# ── With the parent ───────────────────────────────────────────────────────────────────────────────────────


def as_child(environment: MutableMapping[str, str] | dict[str, str]) -> dict[str, str]:
    """An environment for a process of this program that ends with this one (see ``end_with_parent``)."""
    return {**environment, CHILD: str(os.getpid())}


def begin_in_pool(parent: int) -> None:
    """Begins a process of the pool of the process ``parent``: it ends with that, and leaves Ctrl-C to it."""
    os.environ[CHILD] = str(parent)
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def end_with_parent() -> None:
    """Tells this process to end when the one that started it is gone, so that no orphan goes on counting.

    On Linux the system tells it at once; elsewhere, and should that fail, it looks every half second.
    """
    parent = int(os.environ.pop(CHILD, "0"))
    if not parent:
        return
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(1)  # it was gone before we asked
    threading.Thread(target=_look_for, args=(parent,), name="parent", daemon=True).start()


def _look_for(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_S)
    os.kill(os.getpid(), signal.SIGTERM)
