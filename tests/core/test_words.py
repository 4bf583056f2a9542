"""Words: documents, docstrings, comments and texts keep to plain British English and the field's terms.

Read are the Markdown documents and, of ``geo`` and ``stream``, the texts of Python (strings, docstrings and
comments), of templates and of the pages' sources. Translations are not: other languages have their own rules.
"""

from __future__ import annotations

import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

AVOIDED: dict[str, str] = {
    r"\d[  ]%(?![}\w(])": "80%, without a space",
    r"(?<!-)\bhairlines?\b": "sliver; only finding codes have the old word",
    r"\bfrontiers?\b": "watermark",
    r"\bzombies?\b": "say what happens",
    r"\bfor who\b": "for whoever, or a noun",
    r"\btaken apart\b": "broken down, or parts",
    r"\btakes leave\b": "closes",
    r"\bnobody knows\b": "unknown",
    r"\bwho has it already\b": "say which client",
    r"\bclock that only goes on\b": "monotonic clock",
    r"\b(?:clock|hours?) on the wall\b": "local time, local hours",
    r"\bin the order of time\b": "in time order",
    r"\bneither 0% nor 100%": "no figure to give",
    r"\b(?:color|behavior|neighbor|gray)s?\b(?![\w(=:-])": "British spelling",
}
"""Turns that are not wanted, as regular expressions, and what to write instead."""

IN_GEO = {r"\bcorners?\b": "vertex"}
"""The same, in ``geo`` alone."""

SOURCES = {".py", ".jinja", ".typ", ".ts", ".html"}
SKIPPED = {"node_modules", "static", "__pycache__", ".venv", "build"}
CODE = re.compile(r"`[^`\n]*`|\"[\w-]+\"|https?://\S+")
"""What is quoted from code or an address keeps its own words."""


def prose(path: Path) -> str:
    """What a person reads of a file: of Python its strings and comments, of anything else all of it."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return text
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return "\n".join(item.string for item in tokens if item.type in (tokenize.STRING, tokenize.COMMENT))


def avoidable(text: str, avoided: dict[str, str]) -> list[str]:
    """The turns found in a text, each with what to write instead."""
    plain = CODE.sub(" ", text)
    return [
        f"'{found[0].strip()}': {better}"
        for turn, better in avoided.items()
        for found in re.finditer(turn, plain, re.IGNORECASE)
    ]


def documents() -> list[Path]:
    """The project's documents."""
    folders = [ROOT, *(ROOT / name for name in ("geo", "stream", "deploy", "tests"))]
    found = {path for folder in folders[:1] for path in folder.glob("*.md")}
    found |= {path for folder in folders[1:] for path in folder.rglob("*.md")}
    return sorted(path for path in found if not SKIPPED & set(path.relative_to(ROOT).parts))


def sources() -> list[Path]:
    """The sources of ``geo`` and ``stream`` that hold texts."""
    found = [path for name in ("geo", "stream") for path in (ROOT / name).rglob("*")]
    return sorted(
        path
        for path in found
        if path.suffix in SOURCES and not SKIPPED & set(path.relative_to(ROOT).parts) and path.is_file()
    )


@pytest.mark.parametrize("path", [*documents(), *sources()], ids=lambda path: str(path.relative_to(ROOT)))
def test_texts_keep_to_plain_words(path: Path) -> None:
    """No document, docstring, comment or text has a turn that the project avoids."""
    avoided = AVOIDED | (IN_GEO if path.is_relative_to(ROOT / "geo") else {})
    assert avoidable(prose(path), avoided) == []


@pytest.mark.parametrize(
    "sentence",
    [
        "Missed at 79.9 % of the time.",
        "A hairline between two wards.",
        "The frontier has passed it.",
        "There is no zombie to fear.",
        "For who keeps it running.",
        "A figure that can be taken apart.",
        "Time at a place where nobody knows.",
        "Nothing but the tag for who has it already.",
        "Hours of the clock on the wall.",
        "Stretches in the order of time.",
        "The color of the neighbor.",
        "The corners of an area.",
    ],
)
def test_a_turn_that_is_avoided_is_found(sentence: str) -> None:
    """A made-up sentence with such a turn is caught, and a plain one is not."""
    assert avoidable(sentence, AVOIDED | IN_GEO)
    assert not avoidable("80% of the patch; `gap-hairline`, the colour of a sliver; in time order.", AVOIDED)
