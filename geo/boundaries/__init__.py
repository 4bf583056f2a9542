"""Boundary files in and out: GeoJSON, GeoPackage, Shapefile, KML/KMZ, MapInfo TAB, what else GDAL opens.

It reads and writes the files that it is given, and nothing else. A file from outside is treated as hostile.
Archives are unpacked here, with limits; headers are compared with the bytes that are there; GDAL itself runs
in a child process with limited memory and time, without the drivers that follow links. Out comes a
:class:`RawLayer`, exactly what the file says, or an :class:`AreaSet`, or an :class:`AreaFileError` whose one
line says what to do. What is wrong with a file's contents in detail is reported by ``checks``.
"""
