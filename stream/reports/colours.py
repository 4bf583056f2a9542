"""The colours of summaries, light and dark: those of the live page, so that blue means the same on both.

Blue against orange is told apart by people of any colour vision, and no meaning rests
on colour alone: verdicts have a word and a shape, unknown time is hatched.
"""

from __future__ import annotations

import json
from pathlib import Path

_BOTH: dict[str, dict[str, str]] = json.loads((Path(__file__).parent / "colours.json").read_text("utf-8"))
LIGHT, DARK = _BOTH["light"], _BOTH["dark"]
"""``#rrggbb`` by name; the same names in both."""


def variables() -> str:
    """Both sets as CSS variables; paper is always light."""

    def listed(colours: dict[str, str]) -> str:
        return "".join(f"--{name}:{value};" for name, value in colours.items())

    return (
        f":root{{color-scheme:light;{listed(LIGHT)}}}\n"
        f"@media screen and (prefers-color-scheme:dark){{:root{{color-scheme:dark;{listed(DARK)}}}}}\n"
    )


def painted(*, variable: bool) -> str:
    """Rules for drawings: ``f-NAME`` fills and ``s-NAME`` strokes with a colour.

    Args:
        variable: whether by the page's variables; else by the light colours themselves, for paper.
    """
    rules = []
    for name, value in LIGHT.items():
        colour = f"var(--{name})" if variable else value
        rules.append(f".f-{name}{{fill:{colour}}}.s-{name}{{stroke:{colour}}}")
    return "".join(rules)
