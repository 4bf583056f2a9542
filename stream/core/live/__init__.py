"""The live picture: who is where (``overview``), outlooks, conditions and alerts, a figure as published."""
