"""Words that radio systems use for states → the policy's codes, by vocabulary alone."""

from __future__ import annotations

import re
from typing import Final

_NO_WORD: Final = re.compile(r"[^a-z0-9]+")
_WORDS: Final = tuple(
    (re.compile(pattern), code)
    for pattern, code in (
        (r".*emergency.*|panic.*", 0),
        (r".*(un ?available|not available|busy|do not disturb).*", 8),
        (r".*(refreshment|refs|meal|break).*", 4),
        (r"(.*en ?route.*|.*travelling to.*|attending|responding)", 5),
        (r".*(at|on) ?scene.*|arrived.*|on site", 6),
        (r".*(standby|stand by).*", 3),
        (r".*(committed|deployed|engaged|assigned).*", 7),
        (r".*(escort|transport).*", 9),
        (r".*court.*", 10),
        (r".*(off ?duty|book(ed|ing)? off|logged? off).*", 11),
        (r".*available.*|free|resumed?", 2),
        (r".*(on ?duty|book(ed|ing)? on|logged? on).*", 1),
    )
)


def state_of_words(text: str) -> int | None:
    """The code of a state as the policy numbers them (rule 10); None where its words are not known."""
    plain = " ".join(_NO_WORD.sub(" ", text.lower()).split())
    return next((code for pattern, code in _WORDS if pattern.fullmatch(plain)), None)
