"""Doctor: what a file that somebody sends is, and what would take it.

This is the only place where anything is guessed, and what is guessed is only ever shown or drafted: counting,
importing and replaying take what is declared. Files are read and never changed.

Start with ``diagnosis``. ``native`` looks at files in forms that are taken as they are.
``position_guess`` and ``roster_guess`` tell columns by ``names`` and by values, read by ``clocks`` and
``coordinates``. ``position_map`` is a declared mapping of positions, and reads rows by it. ``told`` is the
answer.
"""
