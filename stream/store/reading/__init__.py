"""Questions to the database: every answer is read as of one instant (``instant``)."""
