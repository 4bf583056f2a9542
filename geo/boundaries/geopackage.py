"""What may stand in a GeoPackage: it is an SQLite database, and a database is a program.

A child process is given the function as source, and :func:`geo.boundaries.references.is_code_or_wkt`, which
it calls.
"""

from __future__ import annotations

from geo.boundaries.references import is_code_or_wkt


def refusal_of_geopackage(path: str, *, log: bool) -> str | None:
    """Why a GeoPackage may not be opened by what reads it; None where it may.

    Plain tables are the file's own business. Virtual tables must be R-trees of the standard's name, triggers
    must have names and functions of the standard or of GDAL, and views are refused: they run what they hold.

    Args:
        path: the file, absolute.
        log: whether a write-ahead log lies beside it, which holds its last changes.
    """
    import re
    import sqlite3
    from urllib.parse import quote

    again = "export the layer into a GeoPackage of its own"
    trigger_names = (
        r"rtree_.+_(?:insert|update\d|delete)|trigger_(?:insert|delete)_feature_count_.+|gpkg_(?:tile|metadata|"
        r"reference|extended|related|schema).*|.+_(?:zoom_level|tile_column|tile_row)_(?:insert|update)"
    )
    functions = {
        *(
            "st_isempty",
            "st_minx",
            "st_maxx",
            "st_miny",
            "st_maxy",
            "raise",
            "coalesce",
            "count",
            "lower",
            "max",
        ),
        *("min", "strftime", "st_geometrytype", "st_srid", "typeof", "length", "substr", "abs", "cast"),
    }
    # Words of SQL that stand before a bracket and call nothing.
    words = {
        *("values", "in", "select", "and", "or", "not", "when", "exists", "on", "of", "from", "where", "then")
    }
    quoted = re.compile(
        r"--[^\n]*|/\*.*?(?:\*/|$)|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`(?:[^`]|``)*`|\[[^\]]*\]", re.DOTALL
    )

    def bare(found: re.Match[str]) -> str:
        return " " if found[0].startswith(("--", "/*")) else '""'

    def refused(kind: str, name: str, sql: str | None) -> str | None:
        if sql is None:
            return None if kind == "index" else f"its {kind} {name!r} is damaged; {again}"
        text = quoted.sub(bare, sql).strip().rstrip(";").lower()
        begins = {
            "table": r"create\s+(?:virtual\s+)?table\b",
            "index": r"create\s+(?:unique\s+)?index\b",
            "trigger": r"create\s+trigger\b",
            "view": r"create\s+view\b",
        }
        if kind not in begins or not re.match(begins[kind], text):
            return f"its {kind} {name!r} is damaged; {again}"
        if kind == "view":
            return f"has a view, {name!r}, which could show anything; {again}"
        if kind == "table" and re.match(r"create\s+virtual\b", text):
            tree = re.fullmatch(r"create\s+virtual\s+table\s+\S+\s+using\s+rtree\s*\([^()]*\)", text)
            if tree is None or not name.lower().startswith("rtree_"):
                return f"has a virtual table, {name!r}, which could open other files; {again}"
        elif kind == "table" and re.search(r"\bas\s*\(|\bgenerated\b", text):
            return f"has computed columns in {name!r}; {again}"
        elif kind == "index" and not re.fullmatch(r"[^()]*\([^()]*\)", text):
            return f"has an index over a computation, {name!r}; {again}"
        elif kind == "trigger":
            # After INTO stands the table's name; a quoted name before a bracket may be a function's.
            text = re.sub(r"\binto\s+[\w\"]+\s*\(", "(", text)
            calls = set(re.findall(r"([a-z_]\w*|\"\")\s*\(", text)) - words
            if (
                not re.fullmatch(trigger_names, name, flags=re.IGNORECASE | re.DOTALL)
                or not calls <= functions
            ):
                return f"has a trigger of its own, {name!r}; {again}"
        return None

    base = None
    try:
        how = "mode=ro" if log else "mode=ro&immutable=1"
        base = sqlite3.connect(f"file:{quote(path)}?{how}", uri=True)
        base.execute("PRAGMA trusted_schema = OFF")
        base.execute("PRAGMA cell_size_check = ON")
        reading = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ}
        base.set_authorizer(
            lambda action, *_: sqlite3.SQLITE_OK if action in reading else sqlite3.SQLITE_DENY
        )
        base.text_factory = lambda raw: raw.decode("utf-8", "replace")
        names = set()
        for kind, name, sql in base.execute("SELECT type, name, sql FROM sqlite_master"):
            names.add(str(name).lower())
            if said := refused(str(kind), str(name)[:60], sql):
                return said
        if "gpkg_spatial_ref_sys" in names:
            rows = base.execute("SELECT * FROM gpkg_spatial_ref_sys LIMIT 10000")
            titles = [str(column[0]).lower() for column in rows.description]
            for row in rows:
                for title, value in zip(titles, row, strict=True):
                    if title not in ("definition", "definition_12_063", "organization") or value is None:
                        continue
                    text = str(value).strip()
                    if title == "organization":
                        good = re.fullmatch(r"[\w .()-]{0,80}", text) is not None
                    else:
                        good = text.lower()[:9] in ("", "undefined") or is_code_or_wkt(text)
                    if not good:
                        said = f"{title} {text[:40]!r}"
                        return f"describes a coordinate system by more than a number or WKT ({said}); {again}"
    except sqlite3.Error as error:
        return f"cannot be read ({error}); {again}"
    finally:
        if base is not None:
            base.close()
    return None
