"""Patrols with ground truth: an invented force, a shift in it, its messages, and what truly happened.

For the demonstration, for tests that measure the accounting against a known truth, and for load. Read in this
order: ``plane``, ``town``, ``streets``, ``patrols``, ``roster``, ``truth``, ``wire``, ``reports``,
``simulation``. Nothing here knows Kafka, and nothing of the accounting may come in.
"""

from __future__ import annotations

from stream.simulate.reports import FLAWS, PERFECT, TOPICS, Messages, Quality
from stream.simulate.simulation import Simulation, areas_geojson, simulate, write
from stream.simulate.town import demo_force
from stream.simulate.truth import Truth

__all__ = [
    "FLAWS",
    "PERFECT",
    "TOPICS",
    "Messages",
    "Quality",
    "Simulation",
    "Truth",
    "areas_geojson",
    "demo_force",
    "simulate",
    "write",
]
