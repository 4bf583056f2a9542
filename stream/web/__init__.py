"""What a browser or a GIS asks for, over HTTP: areas as OGC API Features, health, the API's own description.

A shell: it reads the database and answers; nothing is counted, published or decided here.

Reading list for the newcomer:

* ``app``         the application, its parts, health, and who may ask
* ``features``    the paths of OGC API Features
* ``parameters``  what a request may say: boxes, times, pages, reference systems
* ``boundaries``  the published versions, read once and kept
* ``description`` the OpenAPI document
"""

from stream.web.app import create_app

__all__ = ["create_app"]
