"""Patrols with ground truth: an invented force, a shift in it, its messages, and what truly happened.

For the demonstration, for tests that measure the accounting against a known truth, and for load. Read in this
order: ``plane``, ``town``, ``streets``, ``drawn``, ``osm``, ``patrols``, ``roster``, ``visited``,
``wire``, ``receivers``, ``reports``, ``simulation``, ``files``. Nothing here knows Kafka, and
nothing of the accounting may come in.
"""

from __future__ import annotations

from stream.simulate.files import FORMS, write
from stream.simulate.receivers import FOOT, PERFECT, REAL, VEHICLE, Claim, Quality, Receiver, Reporting
from stream.simulate.reports import FLAWS, TOPICS, Messages
from stream.simulate.simulation import Simulation, simulate
from stream.simulate.town import demo_force
from stream.simulate.visited import TrueSlices, TrueVisits, Truth

__all__ = [
    "FLAWS",
    "FOOT",
    "FORMS",
    "PERFECT",
    "REAL",
    "TOPICS",
    "VEHICLE",
    "Claim",
    "Messages",
    "Quality",
    "Receiver",
    "Reporting",
    "Simulation",
    "TrueSlices",
    "TrueVisits",
    "Truth",
    "demo_force",
    "simulate",
    "write",
]
