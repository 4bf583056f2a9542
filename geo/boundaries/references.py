"""What a boundary file may name outside of itself: an authority's number for its reference system, no more.

A child process is given the function as source, so it imports nothing of ours.
"""

from __future__ import annotations


def is_code_or_wkt(text: str) -> bool:
    """Whether a text names a reference system by an authority's code, or is WKT that needs no other file.

    PROJ strings, addresses, paths and names of grid files are neither. The one exception is what GDAL writes
    into WKT of the first version: PROJ's plain parameters, with ``+nadgrids=@null``, which is no file.

    Args:
        text: as a person gives it, or a file has it.
    """
    import re

    text = text.strip()
    code = r"(?:EPSG|ESRI|OGC|IGNF):{1,2}[A-Za-z0-9_.]{1,40}(?:\+[0-9]{1,10})?|[0-9]{4,6}|WGS ?84|CRS ?84"
    part = r"(?:EPSG|ESRI|OGC|IGNF):[0-9.]{0,10}:[A-Za-z0-9]{1,40}"
    urn = rf"urn:(?:x-)?ogc:def:crs(?::{part}|:EPSG:[0-9]{{1,10}}|(?:,crs:{part})+)"
    # Never fetched: everybody reads the number at its end.
    page = r"https?://www\.opengis\.net/(?:def/crs/[A-Za-z]+/[0-9.]+/\w{1,40}|gml/srs/epsg\.xml#[0-9]{1,10})"
    if re.fullmatch(f"{code}|{urn}|{page}", text, flags=re.IGNORECASE):
        return True
    # A quotation mark in WKT is written twice.
    words = r'"(?:[^"]|"")*"'
    roots = (
        "PROJCS|GEOGCS|GEOCCS|COMPD_CS|LOCAL_CS|VERT_CS|PROJCRS|PROJECTEDCRS|GEOGCRS|GEOGRAPHICCRS|GEODCRS|"
        "GEODETICCRS|COMPOUNDCRS|BOUNDCRS|ENGCRS|ENGINEERINGCRS|VERTCRS|VERTICALCRS"
    )
    if not re.match(rf"(?:{roots})\s*[\[(]", text, flags=re.IGNORECASE):
        return False
    keys = (
        "proj|lat_0|lon_0|lat_ts|lat_1|lat_2|lonc|alpha|gamma|k|k_0|x_0|y_0|a|b|rf|f|R|ellps|datum|towgs84|units|"
        "to_meter|zone|pm|type|axis|vunits"
    )
    told = rf'"\s*(?:\+(?:(?:{keys})=[\w.,-]+|nadgrids=@null|no_defs|wktext|over|south)\s*)*"'
    plain = re.sub(rf'EXTENSION\s*[\[(]\s*"PROJ4"\s*,\s*{told}\s*[\])]', "[]", text)
    outside = re.sub(words, '""', plain)
    if re.search(r"EXTENSION|PARAMETERFILE|PARAM_MT|\+(?!\d)", outside, flags=re.IGNORECASE):
        return False
    # PROJ takes the name of a method for its own language where it holds parameters.
    methods = re.findall(rf"(?:METHOD|PROJECTION)\s*[\[(]\s*({words})", plain, flags=re.IGNORECASE)
    if any(re.search(r"[=+]|PROJ", each[1:-1]) for each in methods):
        return False
    return not any(re.search(r"\+\s*\w+\s*=", each) for each in re.findall(words, plain))
