"""The colours of summaries, light and dark: those of the live page, so that blue means the same on both.

Names and values only. Blue against orange is told apart by people of any colour vision, and no meaning rests
on colour alone: verdicts have a word and a shape, unknown time is hatched.
"""

from __future__ import annotations

LIGHT = {
    "ground": "#eceff0",
    "panel": "#ffffff",
    "sunk": "#f4f6f6",
    "ink": "#17212b",
    "quiet": "#53606c",
    "line": "#d5dbdf",
    "edge": "#7d8a95",
    "link": "#0b5394",
    "met": "#2f7fc4",
    "met-ink": "#0b5394",
    "unproven": "#a1a9b0",
    "unproven-ink": "#4b5661",
    "missed": "#d8642f",
    "missed-ink": "#a93412",
    "none": "#c4cbd0",
    "wanted": "#6b2f8a",
    "on": "#2f7fc4",
    "priority": "#0b4a80",
    "off": "#d8642f",
    "premises": "#66727d",
    "status": "#3d4853",
    "unknown": "#ffffff",
    "unknown-line": "#8c98a3",
    "break": "#cfd6db",
    "heat-1": "#e8825a",
    "heat-2": "#f2b08d",
    "heat-3": "#f7dcc9",
    "heat-open": "#dfe2e3",
    "heat-4": "#a3c9e8",
    "heat-5": "#74abda",
    "heat-none": "#f4f6f6",
    "heat-ink": "#17212b",
}

DARK = {
    "ground": "#0c1116",
    "panel": "#151b22",
    "sunk": "#10161c",
    "ink": "#e8edf2",
    "quiet": "#a0adb9",
    "line": "#2a343e",
    "edge": "#778592",
    "link": "#8cc4f5",
    "met": "#4592d6",
    "met-ink": "#8cc4f5",
    "unproven": "#7e8a95",
    "unproven-ink": "#c0cad3",
    "missed": "#d46d3d",
    "missed-ink": "#ffab85",
    "none": "#3d4852",
    "wanted": "#d3a5f0",
    "on": "#4592d6",
    "priority": "#a9d3fa",
    "off": "#d46d3d",
    "premises": "#97a3ae",
    "status": "#c3ccd4",
    "unknown": "#151b22",
    "unknown-line": "#76838f",
    "break": "#37424c",
    "heat-1": "#96482a",
    "heat-2": "#7a412b",
    "heat-3": "#4e3a32",
    "heat-open": "#3d4852",
    "heat-4": "#24557c",
    "heat-5": "#2468a3",
    "heat-none": "#10161c",
    "heat-ink": "#ffffff",
}


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
