"""The public pages as a folder of static files: months, neighbourhoods, and a finder of postcodes.

Pure: the same values, the same files. Any web server or object store serves them: links are relative, nothing
is computed by the server, no page has a script or style of its own, and each says in its head what it may
load. The finder's answers stand in one file for each first part of a postcode (``LE1``): only that part is
ever asked for, so no server's log learns where somebody lives. How the folder is put in place is in
``stream.files.replaced``.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from markupsafe import Markup

from stream.core.postcodes import LONGEST
from stream.reports import public
from stream.reports.bundle import file_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from stream.core.postcodes import Finder
    from stream.core.summaries.disclosure import Public
    from stream.reports.public import Texts

HERE = Path(__file__).parent

POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "style-src 'self'",
        "script-src 'self'",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    )
)
"""What each page may load; a header of the server's may say more (``frame-ancestors``)."""


@dataclass(frozen=True, slots=True)
class Asset:
    """A file that pages load: its path below the folder, and what a browser compares it with."""

    path: str
    content: bytes

    @classmethod
    def of(cls, name: str, ending: str, content: bytes) -> Asset:
        """A file whose name changes with its content, so that it may be kept for ever."""
        return cls(f"assets/{name}.{hashlib.sha256(content).hexdigest()[:16]}.{ending}", content)

    @property
    def integrity(self) -> str:
        """For ``integrity``."""
        return f"sha256-{base64.b64encode(hashlib.sha256(self.content).digest()).decode()}"


def files(months: Mapping[str, Sequence[Public]], finder: Finder | None = None) -> dict[str, bytes]:
    """All files of the site by their path below its folder.

    Args:
        months: by name (``2026-10``), what may be seen of each neighbourhood; at least one month.
        finder: where postcodes lie; None: without the finder.
    """
    style = Asset.of("site", "css", _style().encode())
    script = Asset.of("finder", "js", (HERE / "site.js").read_bytes())
    found = {item.path: item.content for item in (style, *([script] if finder else []))}
    names = sorted(months, reverse=True)
    if finder is not None:
        found |= _postcodes(finder, {item.area_id for item in months[names[0]]}, names[0])
    for language in public.languages():
        site = _Site(public.texts(language), language, style, script if finder else None, tuple(names))
        found[f"{language}/index.html"] = site.front(months[names[0]])
        for month in names:
            found[f"{language}/{month}/index.html"] = site.listed(month, months[month])
            for item in months[month]:
                found[f"{language}/{month}/{file_name(item.area_id)}.html"] = site.month(item)
    found["index.html"] = _Site(public.texts(public.SOURCE), "", style, None, tuple(names)).door()
    return dict(sorted(found.items()))


def _style() -> str:
    return "\n".join(
        [public.css(), *((HERE / name).read_text("utf-8") for name in ("whole.css", "site.css"))]
    )


def _postcodes(finder: Finder, shown: set[str], month: str) -> dict[str, bytes]:
    """What the finder asks for: one file for each first part, and which of these there are."""
    neighbourhoods, parts = finder.by_outward()
    ours = {outward: rest for outward, rest in parts.items() if any(where >= 0 for where in rest.values())}
    pages = [
        [item.name, f"{month}/{file_name(item.area_id)}.html" if item.area_id in shown else ""]
        for item in neighbourhoods
    ]
    index = {"areas": pages, "ours": sorted(ours), "others": sorted(parts.keys() - ours.keys())}
    found = {"postcodes/index.json": _json(index)}
    return found | {f"postcodes/{outward}.json": _json(rest) for outward, rest in ours.items()}


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


@dataclass(frozen=True, slots=True)
class _Site:
    """The pages of a language.

    Attributes:
        language: its folder; empty: the folder of all languages.
        script: the finder's; None: without it.
        months: by name, the newest first.
    """

    said: Texts
    language: str
    style: Asset
    script: Asset | None
    months: tuple[str, ...]

    def door(self) -> bytes:
        """The page that leads to the languages."""
        title = self.said.messages.gettext("Find your neighbourhood police")
        return self._page("index.html", title, "door", forward=f"{public.SOURCE}/index.html")

    def front(self, newest: Sequence[Public]) -> bytes:
        """The first page of a language: the finder, the neighbourhoods and the months."""
        title = self.said.messages.gettext("Find your neighbourhood police")
        return self._page("index.html", title, "front", rows=_rows(newest, f"{self.months[0]}/"))

    def listed(self, month: str, found: Sequence[Public]) -> bytes:
        """The neighbourhoods of a month."""
        return self._page(f"{month}/index.html", self.said.month(month), "listed", rows=_rows(found, ""))

    def month(self, item: Public) -> bytes:
        """A neighbourhood's month."""
        title = self.said.messages.gettext("Your police in %(name)s") % {"name": item.area_name}
        return self._page(
            f"{item.month}/{file_name(item.area_id)}.html",
            f"{title}: {self.said.month(item.month)}",
            "month",
            piece=Markup(public.fragment(item, self.language, styled=False, top=1)),
        )

    def _page(self, path: str, title: str, kind: str, **more: object) -> bytes:
        here = "/".join(filter(None, (self.language, path)))
        up = "../" * here.count("/")
        others = [
            (public.texts(name), f"{up}{name}/{path}") for name in public.languages() if name != self.language
        ]
        text = self.said.environment.get_template("site.html.jinja").render(
            {"forward": "", "rows": [], "piece": "", **more},
            kind=kind,
            title=title,
            lang=self.said.lang,
            policy=POLICY,
            up=up,
            home=f"{up}{self.language}/index.html",
            style=self.style,
            script=self.script if kind == "front" else None,
            languages=[(_called(item), item.lang, to) for item, to in others],
            months=[
                (self.said.month(name), f"{up}{self.language}/{name}/index.html")
                for name in self.months
                if f"{name}/index.html" != path
            ],
            slot=lambda name: Markup('<span data-slot="{}"></span>').format(name),
            example=public.EXAMPLE,
            longest=LONGEST,
        )
        return text.encode()


def _called(said: Texts) -> str:
    """A language's own name."""
    name: str | None = said.locale.language_name
    return name or said.language


def _rows(found: Sequence[Public], folder: str) -> list[tuple[str, str]]:
    """Neighbourhoods by name, and where their pages are."""
    items = sorted(found, key=lambda item: (item.area_name.casefold(), item.area_id))
    return [(item.area_name, f"{folder}{file_name(item.area_id)}.html") for item in items]
