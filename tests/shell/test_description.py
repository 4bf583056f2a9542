"""How the types of answers become the OpenAPI document."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import UNSET, Meta, UnsetType

from stream.core.json_types import Part, Time
from stream.web.answering import answer, with_more, written
from stream.web.description import REFERENCE, committed, version_3_0


class Size(StrEnum):
    """How large."""

    SMALL = "small"


class InnerJson(msgspec.Struct):
    """Something inside.

    Attributes:
        at: when.
    """

    at: Time


class OuterJson(msgspec.Struct):
    """All kinds of fields."""

    part: Annotated[Part | None, Meta(description="Of one.")]
    inner: InnerJson | None
    about: Annotated[InnerJson, Meta(description="Why.")]
    pair: tuple[int, Size]
    point: tuple[float, float]
    above: Annotated[float, Meta(gt=0)]
    word: Annotated[str, Meta(extra_json_schema={"enum": ["a", "b"]})] | None
    perhaps: int | UnsetType = UNSET


def schemas() -> dict[str, Any]:
    """The components of the struct above, as OpenAPI 3.0 has them."""
    _, found = msgspec.json.schema_components([OuterJson], ref_template=f"{REFERENCE}{{name}}")
    return {name: version_3_0(item) for name, item in found.items()}


INNER = {"$ref": f"{REFERENCE}Inner"}
SIZE = {"$ref": f"{REFERENCE}Size"}


@pytest.mark.parametrize(
    ("field", "wanted"),
    [
        ("part", {"type": "number", "minimum": 0, "maximum": 1, "nullable": True, "description": "Of one."}),
        ("inner", {"anyOf": [INNER, {"type": "object", "nullable": True, "enum": [None]}]}),
        ("about", {"allOf": [INNER], "description": "Why."}),
        (
            "pair",
            {
                "type": "array",
                "minItems": 2,
                "maxItems": 2,
                "items": {"anyOf": [{"type": "integer"}, SIZE]},
                "x-prefixItems": [{"type": "integer"}, SIZE],
            },
        ),
        (
            "point",
            {
                "type": "array",
                "minItems": 2,
                "maxItems": 2,
                "items": {"type": "number"},
                "x-prefixItems": [{"type": "number"}, {"type": "number"}],
            },
        ),
        ("above", {"type": "number", "minimum": 0, "exclusiveMinimum": True}),
        ("word", {"type": "string", "enum": ["a", "b"], "nullable": True}),
        ("perhaps", {"type": "integer"}),
    ],
)
def test_a_field_is_described_in_the_words_of_openapi_3_0(field: str, wanted: dict[str, Any]) -> None:
    """Null, references, tuples and limits are said as OpenAPI 3.0 can say them."""
    assert schemas()["OuterJson"]["properties"][field] == wanted


def test_a_struct_is_described_by_the_first_words_of_its_docstring() -> None:
    """A component has its class's first paragraph, and names the fields that are always there."""
    assert schemas()["InnerJson"] == {
        "type": "object",
        "description": "Something inside.",
        "properties": {"at": {"type": "string", "format": "date-time"}},
        "required": ["at"],
    }
    assert schemas()["Size"] == {"type": "string", "enum": ["small"], "description": "How large."}
    assert "perhaps" not in schemas()["OuterJson"]["required"]


def test_components_have_one_name_each() -> None:
    """No two structs of the API share a name: a component would be called by its module then."""
    names = json.loads(committed().read_text("utf-8"))["components"]["schemas"]
    assert [name for name in names if not name.isalnum() or name.endswith("Json")] == []


def test_what_was_written_once_stands_in_a_struct_as_it_is() -> None:
    """A shape that is JSON already, and fields that a struct does not know, leave unchanged within it."""
    inner = with_more(InnerJson("then"), {"why": "because"})
    assert answer(inner).body == b'{"at":"then","why":"because"}'
    assert answer(with_more(InnerJson("then"), {})).body == b'{"at":"then"}'
    outer = OuterJson(None, written('{"at":  1}'), inner, (1, Size.SMALL), (0.5, 1.0), 2.0, None)
    assert bytes(answer(outer).body).startswith(b'{"part":null,"inner":{"at":  1},"about":{"at":"then","why"')
