"""GDAL in a child process that can do nothing but read the one file, whatever the file does to it.

Its environment is empty, its memory and time are limited, it knows the drivers of the file's format only, and
what :mod:`geo.boundaries.confined` takes from it is gone before it opens the file.
"""

from __future__ import annotations

import inspect
import json
import math
import os
import re
import signal
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from geo.boundaries.confined import confine
from geo.boundaries.distrust import names_words, size_words
from geo.boundaries.formats import SAFE, Format
from geo.boundaries.geopackage import refusal_of_geopackage
from geo.boundaries.layer import AreaFileError, RawLayer, ReadingLimits
from geo.boundaries.references import is_code_or_wkt
from geo.orphans import end_with

NO_ENVIRONMENT = {name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ}
"""Nothing; Windows starts no program without its own folder's name."""


def ask_gdal(
    dataset: Path,
    form: Format,
    source: str,
    layer: str | None,
    limits: ReadingLimits,
    encoding: str | None = None,
    only: tuple[str, str] | None = None,
) -> tuple[dict[str, Any], bytes]:
    """Let a child process read a layer: a header of JSON, and the shapes as WKB one after the other.

    Args:
        dataset: what to read. It sees the folder, made for it; or, with ``only``, this one file.
        form: its format; no driver of another is there.
        source: its name in messages.
        layer: which layer, needed where there are several.
        limits: on its memory, time, rows and vertices.
        encoding: how its texts are written, if the file says it wrongly.
        only: columns to read, divided by commas, and a condition that rows must meet; None for all.
    """
    request = {
        "path": str(dataset),
        "readable": str(dataset if only else dataset.parent),
        "drivers": form.drivers,
        "options": form.options,
        "database": "GPKG" in form.drivers,
        "layer": layer,
        "encoding": encoding,
        "only": only,
        "features": limits.features,
        "vertices": limits.vertices,
        "memory": limits.memory_bytes,
        "packages": [place for place in sys.path if Path(place).is_absolute()],
        "seconds": math.ceil(limits.seconds),
        "parent": os.getpid(),
    }
    late = f"was not read within {limits.seconds:g} s; it is damaged or far too detailed, simplify it"
    # The function's own source is the child's program: it imports GDAL and numpy only, in a third of a
    # second, where importing this module with shapely and pandas takes two.
    parts = [
        inspect.getsource(each) for each in (end_with, confine, is_code_or_wkt, refusal_of_geopackage, _child)
    ]
    program = "\n".join(["from __future__ import annotations", *parts, "_child()"])
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", program],
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=limits.seconds + 5,
            check=False,
            env=NO_ENVIRONMENT,
            cwd=Path(sys.executable).anchor,
        )
    except subprocess.TimeoutExpired:
        raise AreaFileError(f"{source}: {late}") from None
    if -done.returncode in (signal.SIGXCPU, signal.SIGKILL):
        raise AreaFileError(f"{source}: {late}")
    if done.returncode != 0 or len(done.stdout) < 8:
        raise AreaFileError(
            f"{source}: cannot be read within {size_words(limits.memory_bytes)} of memory; "
            "it is damaged or far too detailed, export it again"
        )
    (length,) = struct.unpack("<Q", done.stdout[:8])
    answer: dict[str, Any] = json.loads(done.stdout[8 : 8 + length])
    if "refused" in answer:
        raise AreaFileError(f"{source}: {answer['refused']}")
    if "error" in answer:
        raise AreaFileError(f"{source}: {_explained(answer)}")
    return answer, done.stdout[8 + length :]


def _explained(answer: dict[str, Any]) -> str:
    """GDAL's refusal in one line that says what to do."""
    if "layers" in answer:
        listed = names_words(answer["layers"])
        if answer["error"] == "several":
            return f"has several layers; choose with --layer: {listed}"
        return f"has no layer of that name; choose with --layer: {listed}"
    if answer["error"] == "none":
        return "has no layer with shapes in it; export the boundaries, not the table alone"
    if answer["error"] == "many":
        return f"has {answer['features']:,} rows, too many to be boundaries; export only the areas"
    if answer["error"] == "detailed":
        return "is far too detailed to be boundaries; simplify it and export it again"
    said = " ".join(str(answer["error"]).split())
    if "codec can't decode" in said:
        return (
            "its texts are in another encoding than it says; give --encoding latin-1 (or cp1252), "
            "or save it again as UTF-8"
        )
    if "not recognized" in said:
        return f"is in no recognised format; export it as {SAFE}"
    said = re.sub(r"'?/\S*/", "'", said)  # no temporary folders in messages
    return f"cannot be read ({said[:160]}); export it again as {SAFE}"


def _child() -> None:
    """The child's whole program: read one layer and write it to standard output. Imports nothing of ours."""
    import codecs
    import ctypes
    import json
    import logging
    import os
    import re
    import struct
    import sys
    import warnings

    request: dict[str, Any] = json.load(sys.stdin)
    end_with(request["parent"])
    os.environ.update(
        CPL_LOG_ERRORS="OFF",
        GDAL_HTTP_MAX_RETRY="0",
        GDAL_HTTP_CONNECTTIMEOUT="1",
        GDAL_VRT_ENABLE_PYTHON="NO",
        GDAL_VRT_ENABLE_RAWRASTERBAND="NO",
        CPL_VSIL_CURL_ALLOWED_EXTENSIONS=".none",
        CPL_ALLOW_VSISTDIN="NO",
        GML_DOWNLOAD_SCHEMA="NO",
        GML_SKIP_RESOLVE_ELEMS="ALL",
        GML_GFS_TEMPLATE="",
        LIBKML_EXTERNAL_STYLE="NO",
        OGR_GEOJSON_MAX_OBJ_SIZE="200",
        OGR_SQLITE_ALLOW_EXTERNAL_ACCESS="NO",
        OGR_SQLITE_LIST_VIRTUAL_OGR="NO",
        OGR_SQLITE_LOAD_EXTENSIONS="",
        OSM_MAX_TMPFILE_SIZE="2000",
        PROJ_NETWORK="OFF",
        SPATIALITE_SECURITY="strict",
        SQLITE_LIST_ALL_TABLES="NO",
        OPENBLAS_NUM_THREADS="1",
        GDAL_NUM_THREADS="1",
        TZ="UTC",
    )
    try:
        import resource
    except ImportError:  # not on Windows; the time limit of the parent still applies
        pass
    else:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (request["seconds"], request["seconds"]))
        resource.setrlimit(resource.RLIMIT_AS, (request["memory"], request["memory"]))
    # Isolated from the environment, it looks for packages where its parent does.
    sys.path += [place for place in request["packages"] if place not in sys.path]
    # Absent on purpose: pyogrio does without them, and starts five times faster.
    absent: dict[str, Any] = dict.fromkeys(("pandas", "geopandas", "pyarrow", "shapely"))
    sys.modules.update(absent)

    def send(answer: dict[str, Any], shapes: list[bytes]) -> None:
        head = json.dumps(answer).encode()
        sys.stdout.buffer.write(struct.pack("<Q", len(head)) + head)
        for shape in shapes:
            sys.stdout.buffer.write(shape)
        sys.stdout.buffer.flush()

    def text(value: Any) -> str | None:
        if value is None or isinstance(value, bytes) or str(value) in ("nan", "NaT"):
            return None
        # A list in one row makes GDAL give a list for every row.
        if isinstance(value, list | tuple) or type(value).__name__ == "ndarray":
            return ",".join(map(str, value))
        return str(int(value)) if isinstance(value, float) and value == int(value) else str(value)

    # Outside the try: if there is no memory even for this, the parent reports it.
    import pyogrio
    import pyogrio.raw

    logging.disable(logging.CRITICAL)
    remarks: list[str] = []
    try:
        if request["database"]:
            import sqlite3  # noqa: F401 - while it can still be found
        if request["encoding"] is not None:
            codecs.lookup(request["encoding"])
        # Every driver looks at a file that is opened; those of other formats go before there is one.
        gdal = ctypes.CDLL(pyogrio._io.__file__)
        gdal.GDALGetDriver.restype = ctypes.c_void_p
        gdal.GDALGetDriverShortName.restype = ctypes.c_char_p
        for at in reversed(range(gdal.GDALGetDriverCount())):
            driver = ctypes.c_void_p(gdal.GDALGetDriver(at))
            if gdal.GDALGetDriverShortName(driver).decode() not in request["drivers"]:
                gdal.GDALDeregisterDriver(driver)
        there = set(pyogrio.list_drivers())
        if not there or not there <= set(request["drivers"]):
            return send({"error": f"this program has no reader for {request['drivers'][0]}"}, [])
        # What is still opened: tables of reference systems, and encodings.
        libraries = [os.path.dirname(pyogrio.__file__), os.path.dirname(os.__file__)]  # noqa: PTH120
        lacking = confine([request["readable"], *libraries, *map(str, [pyogrio.get_gdal_data_path()])])
    except MemoryError:
        raise
    except Exception as error:
        return send({"error": f"it cannot be read safely here: {error}"}, [])
    try:
        path, layer = request["path"], request["layer"]
        log = os.path.exists(path + "-wal")  # noqa: PTH110
        if request["database"] and (refusal := refusal_of_geopackage(path, log=log)) is not None:
            return send({"refused": refusal}, [])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            layers = [str(name) for name, shape in pyogrio.list_layers(path) if shape is not None]
            if not layers:
                return send({"error": "none"}, [])
            if layer is None and len(layers) > 1:
                filled = [name for name in layers if pyogrio.read_info(path, layer=name)["features"] != 0]
                if len(filled) != 1:
                    return send({"error": "several", "layers": layers}, [])
                layers = filled
            if layer is not None and layer not in layers:
                return send({"error": "layer", "layers": layers}, [])
            layer = layer if layer is not None else layers[0]
            options = request["options"]
            info = pyogrio.read_info(path, layer=layer, force_feature_count=False, **options)
            if info["features"] > request["features"]:
                return send({"error": "many", "features": int(info["features"])}, [])
            columns, where = (None, None) if request["only"] is None else request["only"]
            meta, _, shapes, fields = pyogrio.raw.read(
                path,
                layer=layer,
                columns=None if columns is None else columns.split(","),
                where=where,
                datetime_as_string=True,
                encoding=request["encoding"],
                **options,
            )
            curved = False
            if info["driver"] in (
                "GPKG",
                "GML",
                "OpenFileGDB",
                "DXF",
                "SQLite",
            ):  # the formats that have arcs
                named = layer.replace('"', '\\"')
                asked = f'SELECT OGR_GEOMETRY FROM "{named}"'  # a layer of this very file
                types = pyogrio.raw.read(path, sql=asked, sql_dialect="OGRSQL", read_geometry=False)[3][0]
                curved = any(
                    re.match("CIRC|COMPOUNDCURVE|CURVE|MULTICURVE|MULTISURF", str(each)) for each in types
                )
            remarks = sorted({str(warning.message) for warning in caught})
            # Where it cannot write its index, it reads the database as it stands: without the log, if any.
            if log and any("IMMUTABLE" in remark for remark in remarks):
                return send({"error": "its write-ahead log cannot be read"}, [])
            remarks = [remark for remark in remarks if "IMMUTABLE" not in remark]
        wkb = [b"" if shape is None else bytes(shape) for shape in (() if shapes is None else shapes)]
        if sum(map(len, wkb)) > 16 * request["vertices"]:  # 16 bytes are a vertex in two dimensions
            return send({"error": "detailed"}, [])
        send(
            {
                "layer": layer,
                "driver": info["driver"],
                "crs": meta["crs"],
                "curved": curved,
                "columns": [str(name) for name in meta["fields"]],
                "values": [[text(value) for value in values.tolist()] for values in fields],
                "sizes": [len(shape) for shape in wkb],
                "remarks": lacking + remarks[:20],
            },
            wkb,
        )
    except MemoryError:
        raise
    except Exception as error:  # every refusal of GDAL becomes a text for the parent
        send({"error": f"{error}"}, [])


def layer_of_answer(answer: dict[str, Any], blob: bytes, source: str) -> RawLayer:
    """The child's answer as columns."""
    sizes = np.array(answer["sizes"], dtype=np.int64)
    ends = np.cumsum(sizes)
    wkb = np.empty(len(sizes), dtype=object)
    wkb[:] = [
        blob[end - size : end] if size else None
        for end, size in zip(ends.tolist(), sizes.tolist(), strict=True)
    ]
    with np.errstate(invalid="ignore"):
        geometry = shapely.from_wkb(wkb, on_invalid="ignore")
        unclosed = np.array([shape is None and size > 0 for shape, size in zip(geometry, sizes, strict=True)])
        unclosed = unclosed.astype(np.bool_)
        if unclosed.any():
            geometry[unclosed] = shapely.from_wkb(wkb[unclosed], on_invalid="fix")
    return RawLayer(
        source=source,
        layer=answer["layer"],
        driver=answer["driver"],
        crs=answer["crs"],
        geometry=geometry,
        columns=tuple(answer["columns"]),
        values=tuple(tuple(values) for values in answer["values"]),
        unclosed=unclosed,
        curved=bool(answer["curved"]),
        notes=tuple(answer["remarks"]),
    )
