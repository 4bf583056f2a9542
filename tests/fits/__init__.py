"""How far trackers err: the simulator's constants, fitted to real tracks; the README beside this says how.

Run by ``python -m tests.fits``. Read in this order: ``tracks``, ``standing``, ``roads``, ``search``.
"""
