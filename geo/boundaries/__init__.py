"""Boundary files in and out: GeoJSON, GeoPackage, Shapefile, KML/KMZ, MapInfo, FlatGeobuf, GML, geodatabases.

It reads and writes the files that it is given, and nothing else. A file from outside is treated as hostile.
Archives are unpacked here, with limits; a file is copied, and its format, its headers and all that could
lead out of it are judged by what is allowed. GDAL itself runs in a child process with limited memory and
time, which has the drivers of that format only and can open nothing but the copy. Out comes a
:class:`RawLayer`, exactly what the file says, or an :class:`AreaSet`, or an :class:`AreaFileError` whose one
line says what to do. What is wrong with a file's contents in detail is reported by ``checks``.
"""
