"""Feeds of radios and vehicles as they come, onto the position topics: ``patrol bridge``.

Bytes come in from a port, an MQTT broker or a file, and leave as the events of the contract; what cannot be
used leaves as dead letters. Nothing is judged here that ingest judges: what a device says of its own validity
goes along in the event.

Reading list for a newcomer:

* ``outcomes``  what becomes of a frame: an event, a reject with a reason, or nothing by its nature
* ``framing``   bytes, however they are cut, → frames
* ``dating``    times of day and days of the month → times
* ``traccar``, ``owntracks``, ``nmea``, ``taip``, ``lip``   the decoders, pure, one a file
* ``formats``   the decoders by name, and which one a frame is for
* ``buffer``    what was accepted and Kafka does not have yet, on disk or in memory
* ``sending``   from the buffer to Kafka
* ``intake``    frames → decoder → buffer, the same for every source
* ``sources``, ``mqtt``   ports and files; an MQTT broker
* ``metrics``   what is told of all this
* ``running``   the parts together

The decoders could stand in the core, but only this folder uses them and they need a parser of NMEA, which the
core has no other use for.
"""
