"""The accuracy benchmark: how far each way of counting is from the truth that only the simulator knows.

Read in this order: ``spans``, ``world``, ``methods``, ``overlay``, ``scores``, ``tables``, ``drawing``.
Nothing here is a test; ``tests/core/test_accuracy.py`` holds the harness itself to what it claims.
"""
