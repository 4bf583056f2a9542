"""The force's own roster: bookings, allocations and states from the exports of a duty system.

``mapping`` says which of their columns is which of our fields; ``times`` reads local times; ``grid`` unfolds
a column for each day; ``rows`` and ``devices`` read rows; ``facts`` makes duties of them; ``changes`` holds
them against the last import; ``record`` keeps what was imported; ``importing`` does one after the other, and
takes it to Kafka. Opening files of foreign forms is not done here but in ``stream.files.foreign``.
"""
