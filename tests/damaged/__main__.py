"""``make inputs``: damaged inputs to what takes inputs from outside; exit code 1 where one did damage.

Memory is bounded, an input that takes longer than its patience is a fault, and each fault is named with the
seed that makes it again.
"""

from __future__ import annotations

import argparse
import random
import resource
import signal
import sys
import time
import traceback
from typing import TYPE_CHECKING

from tests.damaged.targets import NAMES, Target, target

if TYPE_CHECKING:
    from types import FrameType

ROOM = 6 << 30
PATIENCE_S = 30.0
MOST = 20


def main() -> None:
    """As the command line says."""
    parser = argparse.ArgumentParser(prog="make inputs", description=__doc__)
    parser.add_argument("--of", default=",".join(NAMES), metavar="KINDS", help=f"some of {', '.join(NAMES)}")
    parser.add_argument("--inputs", type=int, default=1_000_000, help="of each kind (1000000)")
    parser.add_argument("--seed", type=int, default=1, help="of the first call (1)")
    given = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (ROOM, ROOM))
    signal.signal(signal.SIGALRM, _late)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to end"))
    faults = 0
    for name in given.of.split(","):
        with target(name) as found:
            faults += tried(name, found, given.inputs, given.seed)
    sys.exit(1 if faults else 0)


def tried(name: str, found: Target, inputs: int, seed: int) -> int:
    """Gives a target so many inputs; says what came of it, and gives the number of faults."""
    faults, slowest, began = 0, 0.0, time.monotonic()
    calls = -(-inputs // found.together)
    for call in range(seed, seed + calls):
        chance = random.Random(call)
        at = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, PATIENCE_S)
        try:
            found.take(found.damage(chance))
        except Exception as fault:
            faults += 1
            words = "".join(traceback.format_exception(fault))
            shown = words if len(words) < 3000 else f"{words[:1500]}\n[…]\n{words[-1500:]}"
            print(f"FAULT, --of {name} --seed {call} --inputs 1: {shown}", flush=True)
            if faults >= MOST:
                print(f"{name}: given up after {faults} faults")
                break
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        slowest = max(slowest, time.monotonic() - at)
        if (call - seed) % max(1, calls // 20) == 0:
            print(f"{name}: {(call - seed + 1) * found.together} inputs, {memory_mb()} MB", flush=True)
    done = (call - seed + 1) * found.together
    took = time.monotonic() - began
    print(
        f"inputs: of={name} inputs={done} faults={faults} slowest_s={slowest:.1f} memory_mb={memory_mb()} "
        f"took_s={took:.0f}",
        flush=True,
    )
    return faults


def memory_mb() -> int:
    """The most memory that this process has had, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _late(_number: int, _frame: FrameType | None) -> None:
    raise TimeoutError(f"an input took more than {PATIENCE_S:.0f} s")


if __name__ == "__main__":
    main()
