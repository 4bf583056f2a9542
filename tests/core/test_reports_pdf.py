"""Summaries on paper: tagged, the first sheet one page, the text in it text, the same bytes each time."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pikepdf
import pypdf
import pytest
from hypothesis import given

from stream.core.summaries.model import decode, encode
from stream.reports import view
from stream.reports.pdf import MISSING, MISSING_NOTE, pdf
from tests.strategies import many
from tests.summaries import AUTUMN, MONTH, ODD_NAMES, SPRING, alone, believable, empty, odd, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.summaries import Odd

CASES = {
    "believable": believable(),
    "alone": alone(),
    "empty": empty(),
    "running": running(),
    "autumn": believable(AUTUMN, on=0.7),
    "spring": believable(SPRING),
    "month": believable(MONTH),
}


def pages(data: bytes) -> list[str]:
    """The text of each page, as it can be selected; blanks are one space."""
    return [re.sub(r"\s+", " ", page.extract_text()) for page in pypdf.PdfReader(io.BytesIO(data)).pages]


def elements(node: Any) -> Iterator[Any]:
    """All elements of the structure tree."""
    if isinstance(node, pikepdf.Array):
        for item in node:
            yield from elements(item)
    elif isinstance(node, pikepdf.Dictionary):
        if "/S" in node:
            yield node
        if "/K" in node:
            yield from elements(node.K)


@pytest.mark.parametrize("name", CASES)
def test_the_first_sheet_is_one_page_and_its_numbers_are_text(name: str) -> None:
    """Page one holds all from verdict to basis, page two begins with the annex."""
    summary = CASES[name]
    first, second, *_ = pages(pdf(summary))
    said = view.reading(summary.figures, summary.basis.target)
    assert view.standing(summary) in first
    if said.share is not None:
        assert said.share_words in first
        assert f"between {said.low_words} and {said.high_words}" in first
        for part in view.parts(summary):
            assert f"{part.label} {part.words}" in first
    assert view.basis(summary)[0].split(" (")[0] in first
    assert second.startswith("Annex: ")
    assert "Annex: " not in first


@pytest.mark.parametrize("name", CASES)
def test_the_annex_has_every_officer_duty_and_restatement(name: str) -> None:
    """Nothing of the summary is left out of the file."""
    summary = CASES[name]
    _, *rest = pages(pdf(summary))
    text = " ".join(rest)
    for officer in summary.officers:
        assert officer.name in text
        for duty in officer.duties:
            assert duty.duty_id in text
    for area in summary.areas:
        assert area.name in text
    for change in summary.changes:
        assert change.why in text
    assert "How to read this report" in text


@pytest.mark.parametrize("name", CASES)
def test_equal_summaries_give_equal_bytes(name: str) -> None:
    """A stored summary read again gives the same file to the byte."""
    summary = CASES[name]
    assert pdf(decode(encode(summary))) == pdf(summary)


@pytest.mark.parametrize("name", ["believable", "empty", "month"])
def test_the_file_is_tagged_for_people_who_do_not_see_it(name: str) -> None:
    """Title, language, marks, table heads and words for every drawing are there, and all fonts are inside."""
    summary = CASES[name]
    with pikepdf.open(io.BytesIO(pdf(summary))) as document:
        root = document.Root
        assert bool(root.MarkInfo.Marked)
        assert str(root.Lang).lower() == "en-gb"
        assert bool(root.ViewerPreferences.DisplayDocTitle)
        with document.open_metadata() as metadata:
            assert metadata["pdfuaid:part"] == "1"
            assert metadata["dc:title"] == view.title(summary)
        kinds: dict[str, int] = {}
        for element in elements(root.StructTreeRoot.K):
            kind = str(element.S)
            kinds[kind] = kinds.get(kind, 0) + 1
            if kind == "/Figure":
                assert str(element.Alt).strip()
        assert kinds["/Figure"] >= 4
        assert kinds["/H1"] == 1
        assert kinds["/TH"] > 10
        fonts = [
            item
            for item in document.objects
            if isinstance(item, pikepdf.Dictionary) and item.get("/Type") == "/FontDescriptor"
        ]
        assert fonts
        assert all({"/FontFile", "/FontFile2", "/FontFile3"} & set(font.keys()) for font in fonts)


@pytest.mark.slow
@many(12)
@given(made=odd())
def test_odd_summaries_still_fit_one_sheet_and_an_annex(made: Odd) -> None:
    """Odd names, empty and long lists: a file all the same, with the annex from page two on."""
    summary = made.summary
    first, second, *_ = pages(pdf(summary))
    assert "Annex: " not in first or "Annex: " in summary.area_name
    assert "Annex: " in second


@pytest.mark.parametrize("name", [name for name in ODD_NAMES if name.strip()])
def test_a_name_in_any_script_gives_a_file(name: str) -> None:
    """Letters that the fonts lack stand as a box, and the file says so; markup is text."""
    summary = replace(empty(), area_name=name)
    first, *_ = pages(pdf(summary))
    assert (MISSING in first) == (MISSING_NOTE in first)
    if name.isascii() and name.isprintable() and len(name) < 50:
        assert re.sub(r"\s+", " ", name.strip()) in first


def test_a_letter_that_no_font_has_is_said_to_be_missing() -> None:
    """The rest of the name is as it was."""
    first, *_ = pages(pdf(replace(empty(), area_name="Abbey 李")))
    assert f"Abbey {MISSING}" in first
    assert MISSING_NOTE in first
    first, *_ = pages(pdf(replace(empty(), area_name="Ńguyễn и")))
    assert "Ńguyễn и" in first
    assert MISSING_NOTE not in first
