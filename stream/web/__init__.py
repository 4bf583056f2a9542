"""What a browser or a GIS asks for, over HTTP: the live page and its API, areas as OGC API Features, health.

A shell: it reads the database and answers; nothing is counted or decided here. There is no access control
yet, so it answers on this machine only.

Reading list for the newcomer:

* ``app``         the application, its parts, health, and who may ask
* ``features``    the paths of OGC API Features
* ``parameters``  what a request may say: boxes, times, pages, reference systems
* ``boundaries``  the published versions, read once and kept
* ``description`` the OpenAPI document; ``schemas`` what the live API gives
* ``pulse``       one reading a second for all pages, and the bytes that each of them is sent
* ``live``        figures, units, areas, officers, and the stream
* ``shown``       what was read, as JSON
* ``noticed``     alerts acknowledged and put off
* ``publishing``  boundary files checked, published and taken back
* ``pages``       the pages' files, and the headers that protect them
* ``health``      is it up, can it serve, and Prometheus's counts
* ``weeks/``      the weeks' pages and API: ``routes`` down to the ``shelf``, which asks the store once; up
  through ``pages``, ``duty_page`` or ``answers``; ``links`` says where numbers lead
* ``months/``     the public's month and the postcode finder
* ``page/``       the pages' sources
"""

from stream.web.app import create_app

__all__ = ["create_app"]
