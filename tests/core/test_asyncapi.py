"""The published description of the topics says what the code does."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from stream import topics
from stream.core.events import (
    MAX_REVISION,
    NEEDED,
    Reason,
    Reject,
    UsableLimits,
    decode_duties,
    decode_positions,
    decode_states,
)
from stream.core.facts import MAX_TEXT
from stream.core.live.share_event import ShareEvent

DOCUMENT = Path(__file__).resolve().parents[2] / "deploy" / "asyncapi.yaml"
LIMITS = UsableLimits(retention_s=400 * 86_400)


@cache
def _document() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(DOCUMENT.read_text(encoding="utf-8"))
    return document


def _schema(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = _document()["components"]["schemas"][name]
    return schema


def _follow(reference: str) -> Any:
    found: Any = _document()
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def _references(part: Any) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"]] if "$ref" in part else []
        return own + [ref for inner in part.values() for ref in _references(inner)]
    return [ref for inner in part for ref in _references(inner)] if isinstance(part, list) else []


def _rejects(message: str, value: bytes) -> list[Reject]:
    """What the code that takes such messages has against one."""
    match message:
        case "Position" | "TraccarForward":
            return decode_positions([value], None, limits=LIMITS, traccar=message != "Position").rejects
        case "Duty":
            return decode_duties([value])[2]
        case _:
            return decode_states([value])[2]


TAKEN = ("Position", "TraccarForward", "Duty", "State")


def test_every_reference_leads_somewhere() -> None:
    """The document has no reference to a part that is not there."""
    for reference in _references(_document()):
        _follow(reference)


def test_the_topics_are_those_of_the_code() -> None:
    """The document has exactly the public topics; those taken are received, the others sent."""
    channels = _document()["channels"]
    assert {channel["address"] for channel in channels.values()} == {*topics.RAW, *topics.OUT}
    done: dict[str, set[str]] = {"receive": set(), "send": set()}
    for operation in _document()["operations"].values():
        done[operation["action"]].add(_follow(operation["channel"]["$ref"])["address"])
    assert done == {"receive": set(topics.RAW), "send": set(topics.OUT)}


@pytest.mark.parametrize(
    ("schema", "event"), [("Position", "positions"), ("Duty", "duties"), ("State", "states")]
)
def test_the_needed_fields_are_those_of_the_code(schema: str, event: str) -> None:
    """A field is needed in the document exactly where the code needs it."""
    assert tuple(_schema(schema)["required"]) == NEEDED[event]


@pytest.mark.parametrize("message", TAKEN)
def test_the_examples_are_accepted(message: str) -> None:
    """Every example of a message that is taken is accepted by the code, and stops being so when spoilt."""
    examples = _document()["components"]["messages"][message]["examples"]
    assert examples
    for example in examples:
        assert _rejects(message, json.dumps(example["payload"]).encode()) == []


@pytest.mark.parametrize("message", TAKEN)
def test_without_a_needed_field_an_example_is_rejected(message: str) -> None:
    """Taking a needed field out of an example makes it a missing field, wherever it stands."""
    whole = _document()["components"]["messages"][message]["examples"][0]["payload"]
    schema = _schema(message)
    paths: list[tuple[str, ...]] = [(name,) for name in schema["required"]]
    for name, inner in schema["properties"].items():
        paths += [(name, needed) for needed in inner.get("required", ())]
    for path in paths:
        spoilt = json.loads(json.dumps(whole))
        holder = spoilt
        for name in path[:-1]:
            holder = holder[name]
        del holder[path[-1]]
        [reject] = _rejects(message, json.dumps(spoilt).encode())
        assert reject.reason is Reason.MISSING_FIELD, path


def test_a_share_s_fields_are_those_of_the_code() -> None:
    """A share has exactly the fields that are published, each of them always, and null where it can be."""
    share = _schema("Share")
    fields = msgspec.structs.fields(ShareEvent)
    assert share["required"] == list(share["properties"]) == [field.encode_name for field in fields]
    [_], schemas = msgspec.json.schema_components([ShareEvent])
    for name, said in schemas["ShareEvent"]["properties"].items():
        null = {"type": "null"} in said.get("anyOf", ())
        there = share["properties"][name]
        assert ("null" in there.get("type", ()) or None in there.get("enum", ())) is null, name


def test_the_reasons_are_those_of_the_code() -> None:
    """The words for why a message was rejected are the code's, in its order; the worker's own comes last."""
    words = _schema("DeadLetterHeaders")["properties"]["reason"]["enum"]
    assert words == [*Reason, topics.BROKEN_FRAME]


def test_the_headers_of_dead_letters_are_those_of_the_code() -> None:
    """The headers named are those that ingest writes."""
    headers = _schema("DeadLetterHeaders")
    assert tuple(headers["required"]) == tuple(headers["properties"]) == topics.DEAD_LETTER_HEADERS


def test_the_bounds_are_those_of_the_code() -> None:
    """Names may be as long, revisions and states as large as the code takes them."""
    device, duty, state = _schema("Position"), _schema("Duty"), _schema("State")
    assert device["properties"]["device_id"]["maxLength"] == MAX_TEXT
    assert duty["properties"]["revision"]["maximum"] == MAX_REVISION
    for value, accepted in ((state["properties"]["state"]["maximum"], True), (256, False), (-1, False)):
        event = {"officer_id": "1", "time": 1_795_420_800_000, "state": value}
        assert (not _rejects("State", json.dumps(event).encode())) is accepted
