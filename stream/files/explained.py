"""What an explanation needs, from the files of an account."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np

from stream.core.explaining.explanation import cut_open, is_of, silences
from stream.core.explaining.parts import Found, area_names, ids_of, near_ids
from stream.core.explaining.wording import Named, officer_names
from stream.core.policy import BEGINNING
from stream.core.quality.elsewhere import anywhere, extent_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from stream.core.events import Reject
    from stream.core.facts import Fixes
    from stream.core.policy import Policies
    from stream.core.slices import Slices


def from_files(
    areas: Sequence[str],
    positions: Sequence[Path],
    duties: Path,
    states: Path | None,
    policies: Policies,
    *,
    scope: str,
    wanted: str,
    start: int,
    end: int,
    until: int | None,
) -> Found:
    """Reads and counts the files of ``patrol account``.

    Raises:
        AccountError, AreaFileError, TracksError, OSError: a file cannot be read or used.
        NothingMatchesError: there is no figure to explain.
    """
    from stream.core.quality.wording import warnings
    from stream.files.account import NothingMatchesError, account, read, unread_hours

    facts = read(areas, positions, duties, states, policies)
    done = account(facts, policies, until=until)
    if nothing := done.unmatched():
        raise NothingMatchesError(*nothing)
    starts = [duty.start for duty in done.duties if is_of(duty, scope, wanted)]
    newest = int(facts.fixes.time.max()) if len(facts.fixes) else None
    return Found(
        cut_open(done.slices, done.duties, done.until),
        done.duties,
        done.history.places,
        facts.fixes.device_ids,
        done.until,
        BEGINNING,
        Named(
            area_names(facts.areas, *(found for _, found in facts.later)) | officer_names(done.duties),
            tuple(PurePath(item).name for item in areas),
            newest,
            frozenset(done.examined.neighbourhoods),
        ),
        (min(starts), max(starts)) if starts else None,
        (
            *left_out_lines(facts.rejects),
            *warnings(done.quality),
            *unread_hours(facts),
        ),
        done.doubts,
        () if starts else near_ids(wanted, ids_of(done.duties, scope)),
        done.quality,
        _reported(facts.fixes, done.slices),
        not anywhere(done.slices, done.history.places, start, min(end, done.until))
        and facts.far(extent_of(done.history.versions, start, end), start, min(end, done.until)),
    )


def _reported(fixes: Fixes, slices: Slices) -> dict[str, NDArray[np.int64]]:
    """The times of the positions of devices that seem silent, by device and in order."""
    row, _, _ = silences(slices)
    return {
        fixes.device_ids[device]: np.unique(fixes.time[fixes.device == device])
        for device in np.unique(slices.device[row]).tolist()
    }


def left_out_lines(rejects: Mapping[str, Sequence[Reject]]) -> tuple[str, ...]:
    """What of each file could not be used and why, a line a file."""
    found = []
    for name, items in rejects.items():
        reasons = sorted(Counter(str(item.reason) for item in items).items())
        if reasons:
            found.append(f"{name}: left out {', '.join(f'{count} {reason}' for reason, count in reasons)}")
    return tuple(found)
