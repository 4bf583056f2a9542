"""The results as one picture: error over interval, a panel for each figure."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

import matplotlib as mpl
from matplotlib.figure import Figure

from tests.accuracy.methods import METHODS
from tests.accuracy.scores import VISITS
from tests.accuracy.tables import TITLES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.accuracy.scores import Row

_COLOURS: Final = {
    "ours": "#0b5fa5",
    "pings": "#d95f02",
    "events": "#7a5195",
    "movingpandas": "#2f8f5b",
    "meos": "#8a8a8a",
}
_STYLES: Final = {"movingpandas": (0, (1, 1)), "meos": (0, (4, 2))}
"""Lines that lie on each other stay visible."""


def svg(rows: Sequence[Row]) -> str:
    """The picture as SVG; the same rows give the same text."""
    at = {(row.figure, row.method, row.interval_s): row for row in rows}
    intervals = sorted({row.interval_s for row in rows})
    figure = Figure(figsize=(11, 7.5), layout="constrained")
    panels = figure.subplots(2, 2)
    for panel, (name, title) in zip(panels.flat, TITLES.items(), strict=True):
        number = name == VISITS
        for method in reversed(METHODS):
            found = [at[name, method.name, each] for each in intervals if (name, method.name, each) in at]
            style = {
                "color": _COLOURS[method.name],
                "linewidth": 2.4 if method.name == "ours" else 1.6,
                "linestyle": _STYLES.get(method.name, "solid"),
            }
            x = [row.interval_s for row in found]
            panel.plot(x, [row.mean if number else row.p95 for row in found], label=method.label, **style)
            if not number:
                panel.plot(x, [row.median for row in found], alpha=0.45, **style)
        panel.set_title(title, fontsize=10, loc="left")
        panel.set_xscale("log")
        panel.set_xticks(intervals, [f"{each:g} s" for each in intervals], minor=False)
        panel.set_xticks([], minor=True)
        panel.set_yscale("linear" if number else "log")
        panel.set_ylabel(
            "mean error" if number else "error, minutes: 95th percentile, pale: median", fontsize=8
        )
        panel.tick_params(labelsize=8)
        panel.grid(visible=True, color="#e4e4e4", linewidth=0.6)
        panel.spines[["top", "right"]].set_visible(False)
    handles, labels = panels.flat[0].get_legend_handles_labels()
    figure.legend(handles[::-1], labels[::-1], loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    text = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "accuracy", "svg.fonttype": "none"}):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"
