"""The public page's texts: plain, complete in every language, right in numbers and dates, and only texts."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING

import pytest
from babel.messages.catalog import Catalog
from babel.messages.checkers import python_format
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.pofile import read_po, write_po

from stream.core.postcodes import Lookup, LookupOutcome
from stream.core.summaries.disclosure import PublicArea, publish
from stream.core.visits import LENGTHS
from stream.reports.public import HERE, SOURCE, TEXTS, LanguageError, css, fragment, html, languages, texts
from tests.publics import MINUTE, PAGE, World, answers, finder, pages, summary, team

if TYPE_CHECKING:
    from pathlib import Path


TRANSLATED = [language for language in languages() if language != SOURCE]
PLACEHOLDER = re.compile(r"%\((\w+)\)s")


def extracted() -> Catalog:
    """The messages in the sources, as ``pybabel extract`` finds them."""
    with (TEXTS / "babel.cfg").open() as file:
        methods, options = parse_mapping_cfg(file)  # type: ignore[no-untyped-call]
    found = Catalog()
    for _, _, message, _, _ in extract_from_dir(HERE, methods, options):
        found.add(message)
    return found


def catalogue(path: Path) -> Catalog:
    """A file of texts."""
    with path.open("rb") as file:
        return read_po(file, locale=path.parent.parent.name if path.suffix == ".po" else None)


def ids(messages: Catalog) -> set[object]:
    """What is to be translated."""
    return {message.id for message in messages if message.id}


# ── Catalogues ────────────────────────────────────────────────────────────────────────────────────────────


def test_the_template_of_catalogues_holds_the_messages_of_the_sources() -> None:
    """``patrol.pot`` is what the sources say now (``pybabel extract``)."""
    assert ids(catalogue(TEXTS / "patrol.pot")) == ids(extracted())


@pytest.mark.parametrize("language", TRANSLATED)
def test_no_message_is_missing_or_doubtful(language: str) -> None:
    """Every message of the sources is translated, in all plural forms; none is fuzzy, old or left over."""
    found = catalogue(TEXTS / language / "LC_MESSAGES" / "patrol.po")
    assert ids(found) == ids(extracted())
    assert not found.obsolete
    for message in found:
        if not message.id:
            continue
        assert not message.fuzzy, message.id
        forms = message.string if isinstance(message.string, list | tuple) else [message.string]
        assert all(forms), message.id
        assert len(forms) == (found.num_plurals if message.pluralizable else 1)


@pytest.mark.parametrize("language", TRANSLATED)
def test_placeholders_agree(language: str) -> None:
    """A translation has the placeholders of its message, each of them, and no other."""
    found = catalogue(TEXTS / language / "LC_MESSAGES" / "patrol.po")
    for message in found:
        if not message.id:
            continue
        python_format(found, message)
        wanted = set(PLACEHOLDER.findall("".join(message.id)))
        forms = message.string if isinstance(message.string, list | tuple) else [message.string]
        for form in filter(None, forms):
            # The number itself may be in words in a form that one number alone has.
            assert set(PLACEHOLDER.findall(form)) == wanted
            assert PLACEHOLDER.sub("", form).count("%") == 0


def test_a_language_is_added_by_one_file(tmp_path: Path) -> None:
    """With one more catalogue in its folder a language is there, and the page speaks it."""
    shutil.copytree(TEXTS, tmp_path / "texts")
    folder = tmp_path / "texts"
    made = Catalog(locale="cy")
    for message in catalogue(TEXTS / "patrol.pot"):
        if message.id:
            text = message.id[0] if isinstance(message.id, tuple) else message.id
            made.add(message.id, [f"«{text}»"] * made.num_plurals if message.pluralizable else f"«{text}»")
    (folder / "cy" / "LC_MESSAGES").mkdir(parents=True)
    content = BytesIO()
    write_po(content, made)
    (folder / "cy" / "LC_MESSAGES" / "patrol.po").write_bytes(content.getvalue())
    assert languages(folder) == ("en", "cy", "ro")
    page = html(PAGE, "cy", folder=folder)
    assert '<html lang="cy">' in page
    assert "«Your police in Abbey»" in page
    assert "Hydref 2026" in page


@pytest.mark.parametrize("language", ["xx", "", "../ro", "RO", "en/../ro"])
def test_a_language_without_texts_is_refused(language: str) -> None:
    """What has no catalogue is no language here; the message lists those that there are."""
    with pytest.raises(LanguageError, match="the languages are en, ro"):
        texts(language)


# ── Romanian ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("minutes", "text"),
    [(1, "1 minut"), (3, "3 minute"), (19, "19 minute"), (20, "20 de minute"), (101, "101 minute")],
)
def test_romanian_numbers_have_their_three_forms(minutes: int, text: str) -> None:
    """One, a few, and from twenty on with ``de``."""
    assert texts("ro").duration(minutes * 60) == text


@pytest.mark.parametrize(
    ("visits", "text"), [(5, "Aproximativ 5 vizite"), (20, "Aproximativ 20 de vizite"), (105, "105 vizite")]
)
def test_romanian_visits_have_their_three_forms(visits: int, text: str) -> None:
    """On the page as well."""
    area = replace(PAGE.areas[0], visits=visits)
    assert text in html(replace(PAGE, areas=(area,)), "ro")


def test_romanian_is_written_with_commas_below() -> None:
    """ș and ț have a comma below, never the cedilla of another language; quotes are „Romanian”."""
    text = (TEXTS / "ro" / "LC_MESSAGES" / "patrol.po").read_text("utf-8")
    assert not set(text) & set("şţŞŢ")
    assert {"ș", "ț", "ă", "â", "î"} <= set(text)
    assert "„%(text)s”" in text


def test_dates_numbers_and_days_are_those_of_the_language() -> None:
    """Months, days and per cent come from CLDR."""
    english, romanian = html(PAGE), html(PAGE, "ro")
    assert "October 2026" in english
    assert "octombrie 2026" in romanian
    assert "83%" in english
    assert "83\u00a0%" in romanian
    assert "Monday to Saturday, 10:00 to 18:00" in english
    assert "de luni până sâmbătă, între orele 10:00 și 18:00" in romanian
    assert "Friday and Sunday, 20:00 to 04:00" in english
    assert "vineri și duminică" in romanian
    assert 'lang="en-GB"' in english
    assert 'lang="ro"' in romanian


@pytest.mark.parametrize(
    ("days", "hours", "text"),
    [
        ("Fri-Mon", "", "Friday to Monday"),
        ("Sat", "22:00-24:00", "Saturday, 22:00 to 00:00"),
        ("", "08:30-09:15", "every day, 08:30 to 09:15"),
        ("Mon-Sun", "", "every day"),
        ("whenever", "09:00-10:00", "every day, 09:00 to 10:00"),
        ("Mon,Wed,Fri", "late", "Monday, Wednesday and Friday"),
    ],
)
def test_days_and_hours_are_said_in_words(days: str, hours: str, text: str) -> None:
    """As the boundaries have them; what cannot be read counts as not said."""
    area = PublicArea(area_id="Q", name="", issue="", days=days, hours=hours, always=False, state="nobody")
    assert texts("en").times(area) == text


def test_a_target_with_decimals_is_shown_with_them() -> None:
    """80.5% is 80.5%, and what is compared with it has as many decimals."""
    public = publish(summary(World(workers=team(6, on=80, calls=19.5), target=0.805)))
    assert "80.5%" in html(public)
    assert "80,5\u00a0%" in html(public, "ro")


def test_the_lengths_of_visits_are_those_that_are_counted() -> None:
    """5, 10 and 20 minutes, as rule 17 has them."""
    assert [length // MINUTE for length in LENGTHS] == [5, 10, 20]
    assert [re.findall(r"\d+", label) for label in texts("en").lengths()] == [
        ["5"],
        ["5", "10"],
        ["10", "20"],
        ["20"],
    ]


# ── Plain words, and nothing but words ────────────────────────────────────────────────────────────────────


def syllables(word: str) -> int:
    """Syllables of an English word, near enough: groups of vowels, less a silent e."""
    found = len(re.findall(r"[aeiouy]+", word))
    silent = word.endswith("e") and not word.endswith(("le", "ee")) and found > 1
    return max(1, found - silent - (word.endswith("ed") and not word.endswith(("ted", "ded")) and found > 1))


def test_english_can_be_read_by_a_twelve_year_old() -> None:
    """The sentences' grade (Flesch and Kincaid) is at most that of a twelve-year-old, seven."""
    sentences = [
        PLACEHOLDER.sub("it", message.id if isinstance(message.id, str) else message.id[1])
        for message in extracted()
        if message.id and ". " in f"{message.id if isinstance(message.id, str) else message.id[1]} "
    ]
    text = " ".join(sentences)
    words = re.findall(r"[a-z’]+", text.lower())
    ends = len(re.findall(r"[.!?](?= |$)", text))
    grade = 0.39 * len(words) / ends + 11.8 * sum(map(syllables, words)) / len(words) - 15.59
    assert 2 < grade <= 7


@pytest.mark.parametrize("language", languages())
def test_pages_are_whole_and_load_nothing(language: str) -> None:
    """No page or piece has a script, an address outside itself, a style in place, or an id twice."""
    made = [html(page, language) for page in pages()]
    made += [fragment(page, language) for page in pages()]
    made += [finder(answer, language) for answer in [None, *answers()]]
    for text in made:
        assert not re.search(r"<script|javascript:|\son\w+=|\ssrc=|url\(|@import|https?:|\sstyle=", text)
        found = re.findall(r'\sid="([^"]*)"', text)
        assert len(found) == len(set(found))
        for name in re.findall(r'aria-(?:labelledby|describedby)="([^"]*)"', text):
            assert set(name.split()) <= set(found)
        assert "%(" not in text
        assert "{{" not in text


def test_every_state_has_words_of_its_own() -> None:
    """No two kinds of page or answer read the same."""
    assert len({fragment(page, styled=False) for page in pages()}) == len(pages())
    assert len({finder(answer) for answer in answers()}) == len(answers())


def test_a_piece_keeps_its_style_to_itself() -> None:
    """Every rule of a piece's style is bound to its class, and headings begin where the page around says."""
    rules = re.sub(r"@media print \{(.*)\n\}", r"\1", css(), flags=re.DOTALL)
    selectors = [line.strip() for line in re.findall(r"([^{}]+)\{[^{}]*\}", rules)]
    for selector in selectors:
        for part in re.split(r",(?![^(]*\))", selector):
            assert part.strip().startswith((".patrol-public", ".patrol-finder")), part
    assert "<h1" not in fragment(PAGE)
    assert "<h2" in fragment(PAGE)
    assert "<h1" in html(PAGE)
    assert "<style>" not in fragment(PAGE, styled=False)


def test_what_was_typed_comes_back_as_text() -> None:
    """Markup that was typed as a postcode is shown, not run, and suggestions lead to the finder."""
    answer = Lookup(
        asked='<img src=x onerror="1">', outcome=LookupOutcome.NO_POSTCODE, suggestions=("AB1 1AA",)
    )
    text = finder(answer, "ro")
    assert "<img" not in text
    assert "&lt;img" in text
    assert 'href="/find?postcode=AB1+1AA&amp;language=ro"' in text
