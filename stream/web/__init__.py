"""What browsers and GIS get over HTTP: the live page and its API, areas as OGC API Features, health.

It reads the database and answers; nothing is counted or decided here. There is no access control yet, so
it answers on this machine only.

Reading list for a newcomer:

* ``app``         the application, its parts, health, and who may ask
* ``answering``   how an answer leaves; what it says is a struct (``…Json``), here or in ``stream.core``
* ``description`` the OpenAPI document, made of these structs; the page's types are made of it
* ``people``      what people send: names, reasons
* ``live/``       ``routes`` asks ``pulse``, one reading a second for all pages, and answers with what
  ``figures``, ``units`` and ``officers`` make of it; ``acknowledging`` takes what is said to alerts
* ``boundaries/`` ``features`` is OGC API Features: ``parameters`` read, ``published`` versions kept, ``ogc``
  its structs; ``publishing`` and its ``jobs`` check files, publish them and take them back
* ``pages``       the pages' files, and the headers that protect them
* ``health``      is it up, can it serve, and Prometheus's counts
* ``weeks/``      the weeks' pages and API: ``routes`` down to the ``shelf``, which asks the store once; up
  through ``pages``, ``duty_page`` or ``answers``; ``links`` says where numbers lead
* ``months/``     the public's month and the postcode finder
* ``page/``       the pages' sources
"""

from stream.web.app import create_app

__all__ = ["create_app"]
