"""What the worker runs, from top to bottom: the stages that count, and the errands that tell.

A stage turns the events of one topic into transactions. Each transaction goes all the way to the slices, so
nothing can be lost between two commits. An errand looks at the database over and over; one worker, which is
elected by a lock there, does it for all. ``stream.pipeline.agents`` runs what is in these two lists, and
nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stream import topics
from stream.pipeline import batches, errands
from stream.pipeline.chores import CLOSE, EXAMINE, JUDGE, RESTATE, RETAIN
from stream.pipeline.publisher import Publisher
from stream.pipeline.watcher import Watcher
from stream.pipeline.weekly import Timer

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine

    from stream.pipeline.batches import Broken
    from stream.pipeline.errands import Send
    from stream.settings import Settings
    from stream.store.ledger import Counted, Ledger, Offset

    Run = Callable[[Ledger, list[Any], list[Offset], Broken], Counted]
    Do = Callable[[Any, Settings, Send, asyncio.Event], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Stage:
    """Events of one topic on their way into transactions.

    Attributes:
        name: what the Faust agent is called.
        topic: what it reads.
        does: what becomes of the events.
        writes: tables, and topics, that a batch may change.
        run: makes one transaction of a batch: messages, and the offsets that they reach.
        halves: divides a message that the database refuses, so that only the part at fault is kept back.
        gathers: the setting that says for how many seconds messages gather for one transaction; such a stage
            has a connection and a thread of its own, so that no other waits for it. Empty: it takes what
            comes together, in turn with the others.
    """

    name: str
    topic: str
    does: str
    writes: tuple[str, ...]
    run: Run
    halves: Callable[[bytes], tuple[bytes, ...]]
    gathers: str = ""


@dataclass(frozen=True, slots=True)
class Errand:
    """What one elected worker does beside the stages, over and over.

    Attributes:
        name: what its task is called.
        does: what it is for.
        writes: tables and topics that it may change.
        elect: makes the candidate of this worker; of all workers' candidates one is elected.
        run: does it until cancelled; it is told whenever this worker has committed a batch.
    """

    name: str
    does: str
    writes: tuple[str, ...]
    elect: Callable[[Settings], Any]
    run: Do


STAGES: tuple[Stage, ...] = (
    Stage(
        "locate",
        topics.FIXES,
        "frames of fixes → stays → slices",
        (
            *("device", "fix_open", "fix_chunk", "place", "stay", "stay_end", "slice", "slice_end"),
            *("frame_offset", "suspect", "doubt_due", "device_due", "restatement_due"),
            topics.DEAD_LETTERS,
        ),
        batches.fixes,
        batches.halves_of_frame,
    ),
    Stage(
        "account",
        topics.DUTIES,
        "bookings and states → slices",
        (
            *("officer", "duty_revision", "duty", "allocation", "state", "device", "stay_end"),
            *("slice", "slice_end", "frame_offset", "doubt_due", "restatement_due"),
            topics.DEAD_LETTERS,
        ),
        batches.bookings,
        batches.halves_of_lines,
    ),
    Stage(
        "hear",
        topics.HEARD,
        "every PATROL_HEAR_S: how positions were judged → counts by device and day",
        ("heard", "heard_offset", "device", "stay_end", "frame_offset", topics.DEAD_LETTERS),
        batches.heard,
        batches.undivided,
        "hear_s",
    ),
)

ERRANDS: tuple[Errand, ...] = (
    Errand(
        "publish",
        "after a batch, PATROL_PUBLISH_S apart: the live figures that changed",
        (topics.SHARES,),
        Publisher,
        errands.publish,
    ),
    Errand(
        "watch",
        "every PATROL_WATCH_S: alerts that ring, change and clear",
        ("alert", "alert_watch", topics.ALERTS),
        Watcher,
        errands.watch,
    ),
    Errand(
        "judge",
        "every PATROL_DOUBT_S: duties whose facts changed → where they contradict each other",
        ("doubt", "doubtful", "doubt_due", "restatement_due"),
        JUDGE,
        errands.judge,
    ),
    Errand(
        "examine",
        "every PATROL_EXAMINE_S: devices' days whose facts changed → what they were seen to do",
        ("device_day", "device_day_basis", "device_due", "device_seen"),
        EXAMINE,
        errands.examine,
    ),
    Errand(
        "close",
        "every PATROL_CLOSE_S: hours of facts that are over → one row a device and hour",
        ("fix_open", "fix_chunk", "fix_row"),
        CLOSE,
        errands.close,
    ),
    Errand(
        "restate",
        "every PATROL_RESTATE_S: settled weeks whose facts changed → restatements on record",
        (
            *("restatement", "restated", "restatement_due", "settled", "settled_week"),
            *("doubt", "doubtful", "doubt_due", "recomputed"),
        ),
        RESTATE,
        errands.restate,
    ),
    Errand(
        "retain",
        "every PATROL_RETAIN_S: what is older than it may be → deleted, and that on record",
        (
            *("fix_open", "fix_chunk", "fix_row", "stay", "stay_end", "slice", "slice_end", "suspect"),
            *("duty", "duty_revision", "allocation", "state", "doubt", "doubtful", "doubt_due"),
            *("policy_outdated", "recomputed", "device_due", "restatement_due", "restatement", "restated"),
            *("settled", "settled_week", "place", "kept_from", "deletion", "erased_hour"),
        ),
        RETAIN,
        errands.retain,
    ),
    Errand(
        "report",
        "at PATROL_REPORT_AT: the reports of the week before, and their letters",
        ("report", "report_run", "outbox", "settled", "settled_week", "restatement", "restated"),
        Timer,
        errands.report,
    ),
)
