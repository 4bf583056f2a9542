"""Public summary → HTML, in any language that has a catalogue: a page, or a fragment for a force's site.

Pure: the same values and language, the same text; no clock, no network. Everything a reader sees comes from
``stream.core.summaries.disclosure.Public``, the catalogue, and CLDR (Babel) for numbers, dates and plurals.
The messages are English; a language is the one file ``texts/<language>/LC_MESSAGES/patrol.po``, read as it
is. A fragment has its own style, limited to the class ``patrol-public``; there is no script, and nothing is
loaded.
"""

from __future__ import annotations

import gettext
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, time
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from babel import Locale
from babel.core import UnknownLocaleError
from babel.dates import format_skeleton, format_time, get_day_names
from babel.lists import format_list
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent
from markupsafe import Markup

from geo.hours import days_of, hours_of
from stream.core.postcodes import LONGEST
from stream.reports.page import environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from jinja2 import Environment

    from stream.core.postcodes import Lookup
    from stream.core.summaries.disclosure import Public, PublicArea

HERE = Path(__file__).parent
TEXTS = HERE / "texts"
DOMAIN = "patrol"
SOURCE = "en"
"""The language of the messages themselves."""

LOCALES = {SOURCE: "en_GB"}
"""The locale of a language's numbers and dates, where its name alone does not say."""

ANY_DAY = tuple(range(7))
EXAMPLE = "AB1 2CD"
"""An example of a postcode."""

MOST = 12
"""How many neighbourhoods of a partial postcode are listed."""


class LanguageError(ValueError):
    """There is no catalogue for a language; the message lists those that there are."""


def languages(folder: Path = TEXTS) -> tuple[str, ...]:
    """The languages that there are texts in, English first."""
    found = (path.parent.parent.name for path in folder.glob(f"*/LC_MESSAGES/{DOMAIN}.po"))
    return (SOURCE, *sorted(found))


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """A language: its messages, and how it writes numbers and dates.

    Attributes:
        language: like ``ro``.
        locale: CLDR's data.
        messages: the catalogue.
        environment: templates that speak it.
    """

    language: str
    locale: Locale
    messages: gettext.NullTranslations
    environment: Environment

    @property
    def lang(self) -> str:
        """The language for HTML's ``lang``."""
        return str(self.locale).replace("_", "-")

    def percent(self, value: float) -> str:
        """Per cent as the language writes them."""
        places = len(str(value).partition(".")[2].rstrip("0"))
        pattern = self.locale.percent_formats[None].pattern
        if places:
            pattern = pattern.replace("0", f"0.{'0' * places}", 1)
        return str(format_percent(value / 100, pattern, locale=self.locale))

    def whole(self, value: int) -> str:
        """A whole number."""
        return str(format_decimal(value, locale=self.locale))

    def month(self, name: str) -> str:
        """A month like ``2026-10`` in words."""
        first = date.fromisoformat(f"{name}-01")
        return str(format_skeleton("yMMMM", first, locale=self.locale))

    def clock(self, minute: int) -> str:
        """A time of day, in minutes after midnight."""
        return str(format_time(time(minute // 60 % 24, minute % 60), "short", locale=self.locale))

    def duration(self, seconds: int) -> str:
        """Whole minutes where they are whole, else seconds."""
        if seconds % 60:
            text = self.messages.ngettext("%(number)s second", "%(number)s seconds", seconds)
            return text % {"number": self.whole(seconds)}
        minutes = seconds // 60
        text = self.messages.ngettext("%(number)s minute", "%(number)s minutes", minutes)
        return text % {"number": self.whole(minutes)}

    def lengths(self) -> tuple[str, ...]:
        """The four lengths of visits (rule 17)."""
        _ = self.messages.gettext
        return (
            _("Under 5 minutes"),
            _("5 to 10 minutes"),
            _("10 to 20 minutes"),
            _("20 minutes or more"),
        )

    def times(self, area: PublicArea) -> str:
        """A priority area's own days and hours; what cannot be read counts as missing."""
        _ = self.messages.gettext
        days: tuple[int, ...] = ANY_DAY
        hours = ""
        with suppress(ValueError):
            days = days_of(area.days) if area.days else days
        with suppress(ValueError):
            if area.hours:
                first, last = (self.clock(minute) for minute in hours_of(area.hours))
                hours = _("%(from)s to %(to)s") % {"from": first, "to": last}
        shown = self._days(days)
        if not hours:
            return shown
        return _("%(days)s, %(hours)s") % {"days": shown, "hours": hours}

    def _days(self, days: tuple[int, ...]) -> str:
        _ = self.messages.gettext
        if days == ANY_DAY:
            return _("every day")
        names = get_day_names("wide", context="format", locale=self.locale)
        starts = [day for day in days if (day - 1) % 7 not in days]
        if len(starts) == 1 and len(days) > 2:
            last = (starts[0] + len(days) - 1) % 7
            return _("%(first_day)s to %(last_day)s") % {
                "first_day": names[starts[0]],
                "last_day": names[last],
            }
        return str(format_list([names[day] for day in days], locale=self.locale))


def texts(language: str, folder: Path = TEXTS) -> Texts:
    """The texts of a language.

    Raises:
        LanguageError: there is no catalogue for it.
    """
    if language not in languages(folder):
        raise LanguageError(
            f"there are no texts in {language[:40]!r}: the languages are {', '.join(languages(folder))}"
        )
    return _texts(language, folder)


@cache
def _texts(language: str, folder: Path) -> Texts:
    try:
        locale = Locale.parse(LOCALES.get(language, language), sep="-" if "-" in language else "_")
    except (UnknownLocaleError, ValueError) as error:
        raise LanguageError(f"{language!r} is not a language: name the folder like ro or pt_BR") from error
    messages: gettext.NullTranslations = gettext.NullTranslations()
    if language != SOURCE:
        with (folder / language / "LC_MESSAGES" / f"{DOMAIN}.po").open("rb") as file:
            catalogue = read_po(file, locale=locale)
        compiled = BytesIO()
        write_mo(compiled, catalogue)
        compiled.seek(0)
        messages = gettext.GNUTranslations(compiled)
    speaking = environment(HERE, "jinja2.ext.i18n")
    speaking.install_gettext_translations(messages, newstyle=True)  # type: ignore[attr-defined]
    return Texts(language, locale, messages, speaking)


# ── The monthly page ──────────────────────────────────────────────────────────────────────────────────────


def html(public: Public, language: str = SOURCE, *, folder: Path = TEXTS) -> str:
    """A neighbourhood's month as a page of its own.

    Raises:
        LanguageError: there is no catalogue for the language.
    """
    said = texts(language, folder)
    title = said.messages.gettext("Your police in %(name)s") % {"name": public.area_name}
    return _page(said, f"{title}: {said.month(public.month)}", _piece(said, public, top=1))


def fragment(public: Public, language: str = SOURCE, *, styled: bool = True, top: int = 2) -> str:
    """The same as a fragment for another page.

    Colours can be changed by that page: they are the variables ``--pp-…`` of ``.patrol-public``.

    Args:
        public: the month.
        language: one of ``languages()``.
        styled: with its style before it; one style serves any number of fragments.
        top: the level of its heading: 1 or 2.

    Raises:
        LanguageError: there is no catalogue for the language.
    """
    piece = _piece(texts(language), public, top=top)
    return f"<style>\n{css()}</style>\n{piece}\n" if styled else f"{piece}\n"


@cache
def css() -> str:
    """The style of the fragments, limited to their class."""
    return (HERE / "public.css").read_text("utf-8")


def _piece(said: Texts, public: Public, *, top: int) -> str:
    return said.environment.get_template("public.html.jinja").render(
        found=public,
        top=top,
        lang=said.lang,
        ident="pp-" + re.sub(r"[^A-Za-z0-9]", lambda sign: f"-{ord(sign[0]):x}-", public.area_id),
        month=said.month(public.month),
        percent=said.percent,
        whole=said.whole,
        times=said.times,
        duration=said.duration(public.visit_s),
        lengths=said.lengths(),
        svg=lambda value: f"{value:.6g}",
    )


def _page(said: Texts, title: str, body: str) -> str:
    return said.environment.get_template("whole.html.jinja").render(
        lang=said.lang,
        title=title,
        css=Markup(css()),
        page_css=Markup((HERE / "whole.css").read_text("utf-8")),
        body=Markup(body),
    )


# ── The postcode finder ───────────────────────────────────────────────────────────────────────────────────


def finder_html(
    answer: Lookup | None = None, language: str = SOURCE, *, action: str, link: Callable[[str], str]
) -> str:
    """The page that asks for a postcode, with the answer to one.

    Args:
        answer: None: nothing was asked yet.
        language: one of ``languages()``.
        action: the page's own address, without a query: the form asks it for ``postcode``.
        link: the address of a neighbourhood's page by its id.

    Raises:
        LanguageError: there is no catalogue for the language.
    """
    said = texts(language)
    body = finder_fragment(answer, language, action=action, link=link, top=1)
    return _page(said, said.messages.gettext("Find your neighbourhood police"), body)


def finder_fragment(
    answer: Lookup | None = None,
    language: str = SOURCE,
    *,
    action: str,
    link: Callable[[str], str],
    top: int = 2,
) -> str:
    """The same as a fragment for another page, without its style (see ``css``)."""
    said = texts(language)

    def again(postcode: str) -> str:
        query = {"postcode": postcode} | ({} if language == SOURCE else {"language": language})
        return f"{action}?{urlencode(query)}"

    return said.environment.get_template("finder.html.jinja").render(
        answer=answer,
        action=action,
        link=link,
        again=again,
        top=top,
        lang=said.lang,
        language=language,
        example=EXAMPLE,
        longest=LONGEST,
        most=MOST,
        whole=said.whole,
    )
