"""PostgreSQL: the only state. Facts, what is derived from them, and how far the frames have been counted.

It does input and output and calls the core; no rule of the accounting is decided here.

Reading list for a newcomer:

* ``schema``        connecting, and the migrations of ``deploy/migrations``
* ``pool``          the connections of whatever answers questions
* ``columns``       numpy columns to and from binary COPY
* ``registry``      keys of the names of devices, officers and places
* ``areas``         boundary versions
* ``bookings``      duties, allocations and states
* ``tracks``        stays and slices: closed rows and the growing end
* ``chunks``        facts of closed hours, many in a row; ``packed``: their bytes
* ``ledger``        one batch, one transaction: the order of a commit, step by step
* ``copies``        copies of rows between transactions, as columns
* ``desk``          what a program keeps while it counts: its copies, and how it asks
* ``gathering``     new fixes among their neighbours (steps 3 and 4)
* ``positions``     from fixes to stays (steps 5 and 6)
* ``duties``        from stays, bookings and states to slices (steps 7 to 9)
* ``doubts``        where facts contradict each other: marked while counting, judged a little later
* ``heard``         what was heard of each device on each day
* ``second_chances``  dead letters that were sent again
* ``losses``        what Kafka no longer held when it was to be counted
* ``device_days``   what each device was seen to do on each day
* ``recompute``     settled figures again from stored facts
* ``policies``      policies on record: loaded, in force, and what they left outdated
* ``publications``  boundaries published and taken back, and what that changes
* ``records``       what was published, accepted and restated
* ``record``        who saw, changed and passed on what about whom: added to, searched, verified
* ``week_figures``  the figures of whole weeks, and how they differ
* ``late``          facts that reach into settled weeks, marked while counting
* ``settled``       settled weeks, and restatements put on record
* ``reports``       published summaries by number
* ``outbox``        letters waiting to be sent
* ``people``        accounts, sessions, tokens; ``passwords``: hashed and compared
* ``alerts``        alerts as episodes, acknowledgements and snoozes
* ``reading``       questions: ``instant`` (one instant, one numbering), ``live`` and ``screen`` (figures and
                    picture of now), ``sight`` (what the live page and the watch see), ``duty_track``
                    (a duty's map), ``summaries``, ``explained``, ``exports``, ``progress``, ``ends`` (growing
                    ends, only what changed), ``operations`` (what an operator asks)
"""
