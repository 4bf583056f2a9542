"""A neighbourhood's week or month: what it holds (``model``), how it is counted (``counting``)."""
