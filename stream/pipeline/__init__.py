"""From Kafka into the database, and from there to Kafka, reports and mail.

It moves bytes between Kafka, the core and the store; nothing is counted or decided here.

Reading list for a newcomer:

* ``ingest``         raw topics → frames, lines and dead letters
* ``limits``         what is usable, as the policies in the database say
* ``stages``         what the worker runs, as one list; ``agents`` runs it as a Faust app
* ``batches``        a stage's messages → one transaction
* ``errands``        what an elected worker does beside them, with ``publisher``, ``watcher`` and ``weekly``
* ``mail``           letters with the reports
* ``bridge``         feeds of radios and vehicles as they come → the raw topics; a folder of its own
* ``monitor``        whether a process gets on, with ``metrics``; ``health`` answers for it on a port
* ``outages``        what a process waits for, said once; ``logs`` what of its lines is written
* ``condition``      how the whole system is, asked once
* ``second_chance``  dead letters read, judged anew and sent again
* ``dead_letters``   the headers of what cannot be used
* ``waiting``        growing pauses, and waiting that a word to stop cuts short
* ``processes``      the parts of ``patrol up``, started, supervised and ended
* ``starting``       what Kafka is asked before anything starts
* ``ending``         how a process ends when it is told to, or when its parent is gone
* ``lag``            what was sent and is not counted yet
* ``failures``       what went wrong, in a line and as an exit code
"""
