"""Questions about the parts of a number, as the addresses of the weekly pages ask them."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from stream.core.explaining.explanation import CAUSES
from stream.core.slices import ACTIVITIES
from stream.core.summaries.parts import DIVISIONS, MEASURES, NONE, PREMISES_DECIDE, STATUS_DECIDES, Question
from stream.web.problems import bad, known

if TYPE_CHECKING:
    from collections.abc import Iterable


def asked(pairs: Iterable[tuple[str, str]]) -> Question:
    """What the parameters of a request ask.

    Raises:
        ProblemError: one is unknown, given twice, or makes no sense.
    """
    found = Question(**known(pairs, [item.name for item in fields(Question)]))
    if found.of and found.of not in MEASURES:
        raise bad(f"of={found.of} must be one of {', '.join(MEASURES)}")
    for name in found.activity.split(",") if found.activity else ():
        if name not in ACTIVITIES:
            raise bad(f"activity={found.activity} must be of {', '.join(ACTIVITIES)}")
    if found.cause and found.cause not in (NONE, *CAUSES):
        raise bad(f"cause={found.cause} must be one of {', '.join((NONE, *CAUSES[1:]))}")
    if found.because not in ("", PREMISES_DECIDE, STATUS_DECIDES):
        raise bad(f"because={found.because} must be {PREMISES_DECIDE} or {STATUS_DECIDES}")
    if found.by and found.by not in DIVISIONS:
        raise bad(f"by={found.by} must be one of {', '.join(DIVISIONS)}")
    for name in ("state", "page"):
        if not re.fullmatch(r"[0-9]{0,4}", getattr(found, name)) or getattr(found, name) == "0000":
            raise bad(f"{name}={getattr(found, name)} is not a number")
    if not re.fullmatch(r"(|[01]?[0-9]|2[0-3])", found.hour):
        raise bad(f"hour={found.hour} must be from 0 to 23")
    if found.again not in ("", "1"):
        raise bad(f"again={found.again} must be 1, for the second of two hours with the same name")
    if (found.hour or found.again) and not found.day:
        raise bad("an hour needs its day: day=2026-11-16&hour=9")
    return found


def query_of(question: Question, **other: str) -> str:
    """The question, or a like one, as the part of an address behind the question mark."""
    changed = replace(question, **{"page": "", **other})
    said = [(item.name, getattr(changed, item.name)) for item in fields(changed)]
    return urlencode([(name, value) for name, value in said if value])
