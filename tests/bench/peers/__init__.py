"""One job, written for each of several stream processors and by hand, to be measured beside ours.

Each runs in an environment of its own, which has nothing of ``stream`` and ``geo`` in it, so what they share
(``job``) is written here. What the job is, and how each was written: ``tests/bench/README.md``.
"""
