"""PostgreSQL: the only state. Facts, what is derived from them, and how far the frames have been counted.

A shell: it does input and output and calls the core; no rule of the accounting is decided here.

Reading list for the newcomer:

* ``schema``    connecting, and the migrations of ``deploy/migrations``
* ``columns``   numpy columns to and from binary COPY
* ``registry``  names of devices, officers and places and their keys
* ``areas``     boundary versions
* ``bookings``  duties, allocations and states
* ``tracks``    stays and slices: closed rows and the growing end
* ``ledger``    one batch, one transaction: the order of a commit, step by step
* ``exports``   the tables as columns again
"""
