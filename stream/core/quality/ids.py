"""Ids that are nearly the same: what spreadsheets, keyboards and people do to an id.

Texts in, texts out. An id is never changed or matched by this: it only says which one was probably meant.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_LOOKALIKES: Final = str.maketrans(
    "АВЕЗКМНОРСТУХІЈЅԚԜ" + "ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ" + "ØOIL|",
    "ABE3KMHOPCTYXIJSQW" + "ABEZHIKMNOPTYX" + "00111",
)
"""Capital Cyrillic and Greek letters to the Latin ones that look the same, then O to 0, and I and L to 1."""
_LATIN: Final = str.maketrans("OIL", "011")


def _is_blank(sign: str) -> bool:
    """Whether a character is a blank, a control character, or has no width."""
    return sign.isspace() or unicodedata.category(sign) in {"Cc", "Cf"}


def _lookalike(text: str) -> str:
    # A letter's capital decides what it looks like: the Cyrillic в does not look like b, but В does like B.
    return "".join(
        sign if len(sign.upper()) != 1 else _drawn(sign) for sign in unicodedata.normalize("NFC", text)
    )


def _drawn(sign: str) -> str:
    capital = sign.upper().translate(_LOOKALIKES).translate(_LATIN)
    return capital if sign.isupper() or not capital.isalpha() else capital.lower()


_ALIKE: Final = "characters that look alike"

_STEPS: Final[tuple[tuple[str, Callable[[str], str]], ...]] = (
    ("full-width characters", lambda text: unicodedata.normalize("NFKC", text)),
    ("blanks", lambda text: "".join(sign for sign in text if not _is_blank(sign))),
    ("'.0' at the end", lambda text: re.sub(r"(?<=\d)\.0+$", "", text)),
    ("punctuation", lambda text: "".join(sign for sign in text if unicodedata.category(sign)[0] != "P")),
    (_ALIKE, _lookalike),
    ("upper and lower case", str.upper),
    ("zeros at the front", lambda text: re.sub(r"^0+(?=.)", "", text)),
    # LC01 as LC1: zeros between what is no digit and a digit.
    ("zeros inside", lambda text: re.sub(r"(?<=\D)0+(?=\d)", "", text)),
)
"""In this order: what a later step looks for, an earlier one has laid bare."""

_SCIENTIFIC: Final = re.compile(r"(\d)(?:\.(\d+))?E\+?(\d+)", re.IGNORECASE)
"""What a spreadsheet shows of a long number: 358735070530281 as 3.58735E+14."""


@lru_cache(maxsize=2**14)
def skeleton(text: str, *, without: int = -1) -> str:
    """What is left of an id when everything that is easily mistaken is taken away.

    Args:
        text: the id.
        without: the number of a step to leave out; -1: none.
    """
    for number, (_, step) in enumerate(_STEPS):
        if number != without:
            text = step(text)
    return text


def difference(one: str, other: str) -> str:
    """In what two ids with one skeleton differ, in words: ``zeros at the front``."""
    if skeleton(one) != skeleton(other):
        return "a number shown in scientific form"
    return " and ".join(_needed(one, other)) or "characters that are easily mistaken"


def _needed(one: str, other: str) -> list[str]:
    """The steps without any of which two ids of one skeleton would have two."""
    return [
        name
        for number, (name, _) in enumerate(_STEPS)
        if skeleton(one, without=number) != skeleton(other, without=number)
    ]


_SPELT: Final = frozenset(
    ("full-width characters", "blanks", "'.0' at the end", "upper and lower case", "zeros at the front")
)


def spelt(one: str, other: str) -> bool:
    """Whether two ids that are nearly the same differ only in how a spreadsheet or a keyboard writes them.

    Such two are hardly ever different people or devices, as may be where punctuation or letters differ.
    """
    return skeleton(one) == skeleton(other) and set(_needed(one, other)) <= _SPELT


def written_twice(one: str, other: str) -> bool:
    """Whether two ids of devices that are both booked and both heard may well be one id, written in two ways.

    As ``spelt``, or with letters of another alphabet that look the same. Fleets do number in letters and in
    digits, so O and 0, or I and 1, tell two devices apart here; so does punctuation, as in 1-23 and 12-3.
    """
    if skeleton(one) != skeleton(other):
        return False
    needed = set(_needed(one, other))
    return needed <= _SPELT or (needed <= _SPELT | {_ALIKE} and not (one + other).isascii())


def _scientific(text: str, other: str) -> bool:
    match = _SCIENTIFIC.fullmatch(text.strip())
    if match is None or not re.fullmatch(r"[1-9]\d*", other):
        return False
    places, power = match[2] or "", int(match[3])
    if power not in {len(other) - 1, len(other)}:  # 9,996 to two places is 1.00E+4
        return False
    unit = 10**power
    near: bool = 2 * abs(int(other) * 10 ** len(places) - int(match[1] + places) * unit) <= unit
    return near


class Lookup:
    """Ids among which the one that was meant is looked for."""

    def __init__(self, ids: Iterable[str]) -> None:
        self._ids = sorted(set(ids))
        self._by_skeleton: dict[str, list[str]] = {}
        for name in self._ids:
            self._by_skeleton.setdefault(skeleton(name), []).append(name)
        self._scientific = [name for name in self._ids if _SCIENTIFIC.fullmatch(name.strip())]

    def near(self, wanted: str) -> list[str]:
        """The ids that are nearly the same as the one wanted, but not the same; sorted."""
        if not self._ids:
            return []
        found = set(self._by_skeleton.get(skeleton(wanted), ()))
        found |= {name for name in self._scientific if _scientific(name, wanted)}
        if _SCIENTIFIC.fullmatch(wanted.strip()):
            found |= {name for name in self._ids if _scientific(wanted, name)}
        return sorted(found - {wanted})
