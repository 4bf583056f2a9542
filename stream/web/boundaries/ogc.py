"""What OGC API Features says and is asked: its answers as structs, its parameters as the standard wants."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from geo.areas import Kind
from stream.core.json_types import Count, Time
from stream.web.answering import ShapeJson
from stream.web.boundaries.parameters import CRS84, DEFAULT_LIMIT, MAX_LIMIT, SYSTEMS
from stream.web.description import in_path, in_query


class LinkJson(msgspec.Struct):
    """A link as the standard wants it."""

    href: str
    rel: str
    type: str
    title: str


class LandingJson(msgspec.Struct):
    """What there is, and where."""

    title: str
    description: str
    links: list[LinkJson]


class ConformanceJson(msgspec.Struct, rename="camel"):
    """Which standards are kept."""

    conforms_to: tuple[str, ...]


class SpatialExtentJson(msgspec.Struct):
    """A box around everything: west, south, east, north."""

    bbox: list[tuple[float, float, float, float]]
    crs: str


class TemporalExtentJson(msgspec.Struct):
    """From when on there is anything."""

    interval: list[tuple[Time, Time | None]]
    trs: str


class ExtentJson(msgspec.Struct):
    """Where and when there are features."""

    spatial: SpatialExtentJson
    temporal: TemporalExtentJson


class CollectionJson(msgspec.Struct, rename="camel"):
    """All areas of one kind; without an extent while none is published."""

    id: Kind
    title: str
    description: str
    item_type: str
    crs: tuple[str, ...]
    storage_crs: str
    links: list[LinkJson]
    extent: ExtentJson | UnsetType = UNSET


class CollectionsJson(msgspec.Struct):
    """All collections."""

    links: list[LinkJson]
    crs: tuple[str, ...]
    collections: list[CollectionJson]


class PublishedAreaJson(msgspec.Struct):
    """What is said of an area; with it stands whatever its publisher said besides, as text."""

    area_id: str
    name: str
    kind: Kind
    version: int
    valid_from: Time
    valid_to: Time | None


class FeatureJson(msgspec.Struct, tag_field="type", tag="Feature"):
    """An area of one version as GeoJSON; by itself it has links."""

    id: str
    geometry: ShapeJson
    properties: PublishedAreaJson
    links: list[LinkJson] | UnsetType = UNSET


class FeaturesJson(msgspec.Struct, tag_field="type", tag="FeatureCollection", rename="camel"):
    """A page of a collection's features."""

    time_stamp: Time
    number_matched: Count
    number_returned: Count
    links: list[LinkJson]
    features: list[FeatureJson]


System = Annotated[str, Meta(extra_json_schema={"format": "uri", "enum": list(SYSTEMS), "default": CRS84})]
COLLECTION_ID = in_path("collectionId", "A kind of area.", Kind)
FEATURE_ID = in_path("featureId", "The id of an area, or area@version for a version not in force now.")
CRS = in_query("crs", "The reference system of the geometries.", System)
ITEMS = [
    in_query(
        "bbox",
        "Only areas that meet a box: west,south,east,north (heights, if given, are not looked at).",
        Annotated[list[float], Meta(min_length=4, max_length=6)],
    ),
    in_query("bbox-crs", "The reference system of bbox.", System),
    CRS,
    in_query(
        "datetime",
        "What was, is or will be in force at a time, or at any in a period: 2026-11-23T00:00:00Z, or "
        "2026-11-23T00:00:00Z/.. ; without it what is in force now.",
    ),
    in_query(
        "limit",
        "The most features of a page.",
        Annotated[int, Meta(ge=1, le=MAX_LIMIT, extra_json_schema={"default": DEFAULT_LIMIT})],
    ),
    in_query(
        "offset",
        "How many features to leave out.",
        Annotated[int, Meta(ge=0, extra_json_schema={"default": 0})],
    ),
]
