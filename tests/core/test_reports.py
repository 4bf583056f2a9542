"""Summaries in every form: what they say agrees with the figures, with one another, and with the verdict."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from dataclasses import replace
from fractions import Fraction
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import openpyxl  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.explaining.wording import MINUTE
from stream.core.shares import Figures
from stream.core.spreadsheets import restored
from stream.core.summaries.model import Past, decode, encode
from stream.reports import charts, force, grid, listing, page, view, workbook
from stream.reports.grid import TEXT
from stream.reports.links import PARTS
from stream.reports.tables import seconds, tables
from stream.reports.workbook import xlsx
from tests.formulas import begun
from tests.strategies import many
from tests.summaries import (
    AUTUMN,
    MARKUP,
    MONTH,
    ODD_NAMES,
    SPRING,
    WEEK,
    alone,
    believable,
    empty,
    odd,
    running,
)

if TYPE_CHECKING:
    from stream.core.summaries.model import Away, DutyLine, Hour, PriorityArea, Summary, TeamFacts
    from tests.summaries import Odd

WEEKS = {"believable": believable(), "alone": alone(), "empty": empty(), "running": running()}
PERIODS = {"autumn": believable(AUTUMN), "spring": believable(SPRING), "month": believable(MONTH)}
TIMES = re.compile(r"(?:(\d+) h)?\s?(?:(\d+) min)?$")


def minutes(words: str) -> int:
    """What a length of time in words says."""
    if words == "under a minute":
        return 0
    found = TIMES.match(words)
    assert found
    assert words
    return 60 * int(found[1] or 0) + int(found[2] or 0)


def percentage(words: str) -> Fraction:
    """What a percentage in words says."""
    return Fraction(words.removesuffix("%")) / 100


figures = st.builds(
    Figures,
    st.just("neighbourhood"),
    st.just("N1"),
    st.just(WEEK.start),
    st.just(WEEK.end),
    on_patch=st.integers(0, 10**12),
    off_patch=st.integers(0, 10**12),
    not_visible=st.integers(0, 10**12),
    unknown=st.integers(0, 10**12),
    on_break=st.integers(0, 10**11),
)
near = st.builds(
    lambda duty, off: Figures(
        "neighbourhood",
        "N1",
        WEEK.start,
        WEEK.end,
        on_patch=duty * 4 // 5 + off,
        off_patch=duty - duty * 4 // 5 - off,
    ),
    st.integers(10**9, 10**12),
    st.integers(-1000, 1000),
)


class _Sound(HTMLParser):
    """Reads a page, and counts what must not be in it."""

    VOID = ("meta", "link", "line", "rect", "polygon", "br", "img", "path")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.found: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)
        self.found.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(str(value))
            if name == "href" and tag == "a":
                self.links.append(str(value))
            assert name != "style"
            assert not name.startswith("on")
            assert name != "src"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def sound(text: str) -> _Sound:
    """A page, found to be well formed and to bring nothing along that runs or is loaded."""
    reader = _Sound()
    reader.feed(text)
    assert reader.open == []
    assert "script" not in reader.found
    assert "img" not in reader.found
    assert len(reader.ids) == len(set(reader.ids)), "an id is there twice"
    return reader


# ── Numbers in words ──────────────────────────────────────────────────────────────────────────────────────


@many(200)
@given(found=st.one_of(figures, near), target=st.sampled_from((0.8, 0.5, 1.0, 0.825, 0.0)))
def test_no_percentage_stands_on_the_wrong_side_of_the_target(found: Figures, target: float) -> None:
    """The share and its bounds in words are on the same side of the target as the figures."""
    said = view.reading(found, target)
    if said.share is None:
        assert said.verdict is None
        assert "%" not in said.share_words
        return
    for value, words in (
        (said.share, said.share_words),
        (said.low, said.low_words),
        (said.high, said.high_words),
    ):
        assert value is not None
        assert (value < said.target) == (percentage(words) < said.target)
    assert said.verdict == found.verdict(target)


@many(200)
@given(found=figures, split=st.integers(0, 100))
def test_the_parts_of_the_time_add_up_to_the_minute(found: Figures, split: int) -> None:
    """Minutes of the parts sum to the duty time as said; each is its own time rounded down or up."""
    summary = replace(empty(), figures=replace(found, priority=found.on_patch * split // 100))
    parts = view.parts(summary)
    duty = [part for part in parts if part.key != "break"]
    assert sum(minutes(part.words) for part in duty) == minutes(view.duty_words(summary))
    assert sum(part.time for part in duty) == found.duty
    for part in duty:
        assert abs(minutes(part.words) - part.time / MINUTE) < 2


@pytest.mark.parametrize("name", WEEKS)
def test_a_row_of_every_table_adds_up(name: str) -> None:
    """On patch, off patch, not visible and unknown sum to the duty time in each row, to the minute."""
    added = 0
    for table in listing.tables(WEEKS[name]):
        kinds = [column.kind for column in table.columns]
        if grid.TIME not in kinds or grid.PART not in kinds:
            continue
        for row, said in zip(table.rows, grid.texts(table), strict=True):
            if row.cells[kinds.index(grid.TIME)] is None:
                continue
            whole = minutes(said[kinds.index(grid.TIME)])
            assert whole == sum(
                minutes(text) for text, kind in zip(said, kinds, strict=True) if kind == grid.PART
            )
            added += 1
    assert added


def test_the_same_time_is_said_the_same_way_everywhere() -> None:
    """Time on patch is the same in the parts, the trend and the sum over officers in whole time."""
    summary = believable()
    parts = {part.key: part for part in view.parts(summary)}
    trend = grid.texts(listing.trend_table(summary))[-1]
    assert minutes(parts["on"].words) + minutes(parts["priority"].words) == minutes(trend[7])
    assert parts["off"].words == trend[8]
    assert minutes(parts["premises"].words) + minutes(parts["status"].words) == minutes(trend[9])
    assert sum(officer.figures.on_patch for officer in summary.officers) == summary.figures.on_patch


@pytest.mark.parametrize("summary", [*WEEKS.values(), *PERIODS.values()], ids=[*WEEKS, *PERIODS])
def test_abstraction_adds_up_to_what_is_said_of_it(summary: Summary) -> None:
    """The minutes of abstraction's items add up to those of off patch, premises and status on page one."""
    said = {part.key: minutes(part.words) for part in view.parts(summary)}
    items = view.away_minutes(summary)
    near_ = [abs(said_ * MINUTE - item.time) for said_, item in zip(items, summary.away, strict=True)]
    assert all(off < MINUTE for off in near_)
    for keys, activity in ((("off",), "off_patch"), (("premises", "status"), "not_visible")):
        found = [said_ for said_, item in zip(items, summary.away, strict=True) if item.activity == activity]
        assert sum(found) == sum(said[key] for key in keys)


def test_time_in_premises_and_by_status_are_told_apart_by_the_policy() -> None:
    """A state that the policy counts as not visible is by status; the rest is in premises."""
    summary = believable()
    by_state = {8, 9, 10}
    inside, status = view.split_hidden(summary)
    assert inside == sum(
        item.time for item in summary.away if item.activity == "not_visible" and item.state not in by_state
    )
    assert inside + status == summary.figures.not_visible
    policy = {**summary.basis.policy, "states": {"2": {"name": "available", "counts": "not_visible"}}}
    changed = replace(summary, basis=replace(summary.basis, policy=policy))
    assert view.split_hidden(changed) == (0, summary.figures.not_visible)


def test_the_change_to_the_period_before_says_its_direction() -> None:
    """More, less, the same, and nothing to compare with are told apart."""
    summary = believable()
    [*_, before, now] = summary.past
    assert now.figures is not None
    assert "more than" in view.compared(_after(summary, replace(now.figures, off_patch=10**13)))
    assert "less than" in view.compared(_after(summary, replace(now.figures, off_patch=0, unknown=0)))
    assert view.compared(_after(summary, now.figures)).startswith(f"As in {before.name}")
    assert view.compared(_after(summary, None)) == f"No share in {before.name} to compare with."
    assert view.compared(empty()) == ""


def _after(summary: Summary, before: Figures | None) -> Summary:
    [*earlier, last, now] = summary.past
    return replace(summary, past=(*earlier, replace(last, figures=before), now))


# ── The hours ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("summary", "hours", "columns", "gone"),
    [(believable(WEEK), 168, 24, 0), (PERIODS["autumn"], 169, 25, 6), (PERIODS["spring"], 167, 24, 1)],
    ids=["plain", "autumn", "spring"],
)
def test_weeks_of_167_and_169_hours_show_each_of_them(
    summary: Summary, hours: int, columns: int, gone: int
) -> None:
    """The second 01:00 has its own column, an hour that a day does not have is said not to be there."""
    rows = [cell for _, cells in view.hour_rows(summary) for cell in cells]
    assert len(view.hour_names(summary)) == columns
    assert sum(1 for hour, _ in rows if hour is not None) == hours == len(summary.hours)
    assert sum(1 for hour, text in rows if hour is None and text == "no such hour") == gone
    drawn = charts.heat(summary.hours, view.days(summary), Fraction(4, 5))
    assert drawn.body.count("url(#heat-hatch)") == gone


def test_an_hour_that_unknown_time_could_put_on_either_side_has_a_colour_of_its_own() -> None:
    """Only an hour that unknown time could not lift to the target is shown as below it."""
    [hour] = [hour for hour in believable().hours if hour.duty][:1]
    target = Fraction(4, 5)

    def colour(on: int, off: int, unknown: int) -> str:
        spent = replace(hour, on_patch=on, off_patch=off, not_visible=0, unknown=unknown)
        return charts.heat_class(spent, target)

    assert colour(0, 0, 0) == "heat-none"
    assert colour(70, 10, 20) == "heat-open"
    assert colour(70, 21, 9) == "heat-3"
    assert colour(79, 20, 1) == "heat-open"
    assert colour(80, 20, 0) == "heat-4"
    assert colour(90, 10, 0) == "heat-5"
    assert colour(63, 37, 0) == "heat-2"
    assert colour(39, 61, 0) == "heat-1"


# ── The page ──────────────────────────────────────────────────────────────────────────────────────────────


@many(40)
@given(made=odd())
def test_a_page_is_sound_whatever_is_in_it(made: Odd) -> None:
    """Odd names, empty and huge tables: the page is well formed, escapes all, and runs and loads nothing."""
    summary = made.summary
    sound(page.html(summary))


@pytest.mark.parametrize("name", [*WEEKS, *PERIODS])
def test_equal_summaries_give_equal_bytes(name: str) -> None:
    """A stored summary read again gives the same page, workbook and CSV to the byte."""
    summary = (WEEKS | PERIODS)[name]
    again = decode(encode(summary))
    assert page.html(again) == page.html(summary)
    assert xlsx(again) == xlsx(summary)
    assert tables(again) == tables(summary)


def test_the_page_says_verdict_share_bounds_and_target() -> None:
    """They stand in words, the share beside its bounds."""
    summary = believable()
    said = view.reading(summary.figures, 0.8)
    text = re.sub(r"<[^>]*>", "", page.html(summary))
    assert f"▲ Target of 80% {said.verdict}" in text
    assert said.share_words in text
    assert f"between {said.low_words} and {said.high_words}" in text


@pytest.mark.parametrize(
    ("figures_", "words"),
    [
        ({"on_patch": 90, "off_patch": 10}, "▲ Target of 80% met"),
        (
            {"on_patch": 75, "unknown": 25},
            "◆ Cannot say whether the 80% target was met: 4 h 10 min of positions are missing",
        ),
        ({"on_patch": 70, "off_patch": 30}, "▼ Target of 80% missed"),
    ],
)
def test_each_verdict_has_its_word_and_shape(figures_: dict[str, int], words: str) -> None:
    """No verdict is told by colour alone."""
    times = {key: time * 600_000_000 for key, time in figures_.items()}
    summary = replace(empty(), figures=Figures("neighbourhood", "N1", WEEK.start, WEEK.end, **times))  # type: ignore[arg-type]
    text = re.sub(r"<[^>]*>", "", page.html(summary))
    assert words in text


def test_without_duty_time_no_percentage_is_claimed() -> None:
    """Nobody on duty: the page says so, and shows neither 0% nor 100% as a share."""
    text = page.html(empty())
    assert "No share: nobody had duty time" in text
    assert "there is no figure" in text
    assert "on patch, between" not in text


def test_of_unknown_time_alone_no_percentage_is_claimed() -> None:
    """Officers on duty of whom nothing is known: the page and the tables say so, and show no share."""
    unseen = Figures("neighbourhood", "N1", WEEK.start, WEEK.end, unknown=8 * 3600 * 1_000_000)
    hours = [replace(empty().hours[0], unknown=3600 * 1_000_000), *empty().hours[1:]]
    summary = replace(empty(), figures=unseen, hours=tuple(hours))
    text = page.html(summary)
    assert "No share: no position known in any of the duty time" in text
    assert "of duty time, and no share: no position known" in text
    assert "on patch, between" not in text


def test_a_running_period_says_so_far() -> None:
    """Title and verdict of a period that still runs say that they are not the last word."""
    text = page.html(running())
    assert "so far, up to Wed 18 Nov 2026 12:00" in text
    assert re.search(r"Target of 80% (met|missed) so far|whether the 80% target is being met", text)
    assert "so far" not in page.html(believable())


def test_restatements_are_told_with_before_and_after() -> None:
    """The newest stands on the first sheet with both figures, all stand in the annex."""
    summary = believable(changes=3)
    text = page.html(summary)
    assert "Restated 3 times, last" in text
    before = view.reading(summary.changes[-1].before, 0.8)
    assert f"before {before.share_words}" in text
    assert text.count("towpath redrawn") == 3


def test_names_are_shown_as_they_are() -> None:
    """Markup in a name is text."""
    summary = replace(believable(), area_name=MARKUP)
    text = page.html(summary)
    assert "<img" not in text
    assert "&lt;img src=x" in text


class _Everywhere:
    """Links of every kind, each with what it was asked for."""

    def time(self, part: str, *, officer: str = "", duty: str = "") -> str:
        assert part in PARTS
        return f"/time/{part}/{officer}/{duty}"

    def hour(self, hour: Hour, part: str = "duty") -> str:
        return f"/hour/{hour.start}/{part}"

    def away(self, item: Away) -> str:
        return f"/away/{item.neighbourhood}/{item.premises}/{item.state}/{item.activity}"

    def visits(
        self, area: PriorityArea, *, length: int | None = None, own_hours: bool = False, others: bool = False
    ) -> str:
        return f"/visits/{area.area_id}/{length}/{own_hours}/{others}"

    def crewing(self, hour: int | None) -> str:
        return f"/crewing/{hour}"

    def team(self, team: TeamFacts) -> str:
        return f"/team/{team.team}"

    def duty(self, duty: DutyLine) -> str:
        return f"/duty/{duty.duty_id}"

    def period(self, past: Past) -> str:
        return f"/period/{past.name}"


def test_every_number_leads_to_its_parts() -> None:
    """On the web the share, each part, hour, visit, officer, duty and line of abstraction has its link."""
    summary = believable()
    links = sound(page.html(summary, _Everywhere())).links
    expected = {"/time/duty//", "/crewing/None", "/team/NC04"}
    expected |= {
        f"/time/{part}//"
        for part in ("on", "priority", "off_patch", "premises", "status", "unknown", "break")
    }
    expected |= {f"/hour/{hour.start}/duty" for hour in summary.hours if hour.duty}
    expected |= {f"/period/{past.name}" for past in summary.past if past.figures is not None}
    expected |= {f"/duty/{duty.duty_id}" for officer in summary.officers for duty in officer.duties}
    expected |= {
        f"/time/{part}/{officer.officer_id}/{duty}"
        for officer in summary.officers
        for duty in ("", *(duty.duty_id for duty in officer.duties))
        for part in ("duty", "on_patch", "off_patch", "not_visible", "unknown")
    }
    expected |= {
        f"/away/{item.neighbourhood}/{item.premises}/{item.state}/{item.activity}" for item in summary.away
    }
    expected |= {f"/visits/{area.area_id}/None/False/False" for area in summary.areas}
    assert not expected - set(links)
    assert sound(page.html(summary)).links == []


# ── Files for programs ────────────────────────────────────────────────────────────────────────────────────


def rows_of(data: bytes) -> list[list[str]]:
    """A CSV file as RFC 4180 has it."""
    text = data.decode("utf-8")
    assert text.endswith("\r\n")
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


@many(30)
@given(made=odd())
def test_csv_is_read_back_whole(made: Odd) -> None:
    """Every file has its header and as many rows as the table, each as wide."""
    summary = made.summary
    found = tables(summary)
    for table in listing.tables(summary):
        header, *rows = rows_of(found[f"{table.name}.csv"])
        assert len(header) == len(set(header)) == len(table.columns) + 2
        assert [len(row) for row in rows] == [len(header)] * len(table.rows)


@many(30)
@given(made=odd())
def test_no_cell_in_csv_begins_a_formula(made: Odd) -> None:
    """Whatever the names, no cell of any file begins a formula, and read back each name is what it was."""
    summary = made.summary
    for table in listing.tables(summary):
        data = tables(summary)[f"{table.name}.csv"]
        assert begun(data.decode()) == []
        _, *rows = rows_of(data)
        for at, column in enumerate(table.columns, 2):
            if column.kind == TEXT:
                told = [str(row.cells[at - 2] or "").replace("\0", "") for row in table.rows]
                assert [restored(row[at]) for row in rows] == told


def test_csv_holds_the_figures_exactly() -> None:
    """Seconds in the files sum to the neighbourhood's figure to the microsecond."""
    summary = believable()
    for file, key in (("officers", "on_patch"), ("duties", "off_patch"), ("hours", "not_visible")):
        header, *rows = rows_of(tables(summary)[f"{file}.csv"])
        at = header.index(f"{key}_s")
        assert sum(Fraction(row[at]) for row in rows) * 1_000_000 == getattr(summary.figures, key)


@given(time=st.integers(0, 10**15))
def test_seconds_are_exact(time: int) -> None:
    """Microseconds as seconds lose nothing."""
    assert Fraction(seconds(time)) * 1_000_000 == time


@many(15)
@given(made=odd())
def test_a_workbook_holds_typed_cells_and_no_formula(made: Odd) -> None:
    """Whatever the names, every text is a text; no sheet holds a formula, a link, or a macro."""
    summary = made.summary
    data = xlsx(summary)
    book = openpyxl.load_workbook(io.BytesIO(data))
    assert book.sheetnames == ["summary", *(table.name for table in listing.tables(summary))]
    for sheet in book:
        assert sheet.freeze_panes
        for row in sheet.iter_rows():
            for cell in row:
                assert cell.data_type in ("s", "n", "d")
                assert cell.hyperlink is None
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        for name in packed.namelist():
            assert not re.search("vba|external|connection|query", name, re.IGNORECASE)
            assert not re.search(rb"<(f|hyperlink|ddeLink|oleLink)[ >/]", packed.read(name))


def test_a_workbook_holds_hours_shares_and_local_times() -> None:
    """Times are hours, shares numbers shown in per cent, instants what the clock on the wall said."""
    summary = believable(AUTUMN)
    book = openpyxl.load_workbook(io.BytesIO(xlsx(summary)))
    header, *rows = book["officers"].iter_rows()
    names = [cell.value for cell in header]
    at = names.index("on patch, hours")
    assert [row[at].value for row in rows] == pytest.approx(
        [officer.figures.on_patch / 3_600_000_000 for officer in summary.officers]
    )
    share = rows[0][names.index("share on patch")]
    assert share.number_format.endswith("%")
    assert share.value == pytest.approx(summary.officers[0].figures.share)
    header, *rows = book["duties"].iter_rows()
    starts = [row[[cell.value for cell in header].index("from")] for row in rows]
    assert all(cell.is_date for cell in starts)
    assert all(cell.value.hour in (6, 7, 8, 9, 13, 14) for cell in starts)


@many(200)
@given(share=st.fractions(0, 1, max_denominator=10**6), target=st.sampled_from((None, Fraction(4, 5))))
def test_a_share_in_a_workbook_is_shown_on_its_side(share: Fraction, target: Fraction | None) -> None:
    """The decimals shown keep it on its side of the target; only 0 and 1 are shown as 0% and 100%."""
    shown = round(share, workbook.places(share, target) + 2)
    for edge in (Fraction(0), Fraction(1), *([] if target is None else [target])):
        assert (share < edge) == (shown < edge)
        assert (share > edge) == (shown > edge)


# ── The force ─────────────────────────────────────────────────────────────────────────────────────────────


def lines() -> list[force.NeighbourhoodLine]:
    """A few neighbourhoods, one without a figure."""
    found = [believable(seed=at, on=0.6 + at / 20, name=f"Ward {at}", area_id=f"E{at}") for at in range(6)]
    return [force.line(summary) for summary in (*found, empty(name="Zed", area_id="Z"))]


def test_facts_that_could_turn_a_verdict_are_told_beside_it_on_the_page_of_the_force() -> None:
    """Of all neighbourhoods, those whose verdict wrong facts could turn are marked, and no other."""
    summary = believable()
    assert summary.quality is not None
    marks = []
    for turning in ("", "If the clock of 'R1' is an hour behind, the verdict is not proven."):
        found = replace(summary, quality=replace(summary.quality, turning=turning))
        said = "facts in question could turn the verdict"
        marks.append(said in force.html([force.line(found), force.line(empty())], WEEK))
    assert marks == [False, True]


@pytest.mark.parametrize("key", force.COLUMNS)
def test_the_force_is_sorted_either_way_and_who_has_no_figure_is_last(key: str) -> None:
    """Both orders hold every neighbourhood; what has no value for the column comes last in both."""
    up, down = force.ordered(lines(), key), force.ordered(lines(), f"-{key}")
    assert (
        {line.area_id for line in up}
        == {line.area_id for line in down}
        == {"Z", *(f"E{at}" for at in range(6))}
    )
    if key in ("share", "verdict", "change"):
        assert up[-1].area_id == down[-1].area_id == "Z"
    if key == "share":
        values = [line.figures.share for line in up[:-1]]
        assert values == sorted(values, key=lambda value: value or 0.0)


def test_an_order_that_there_is_not_is_refused() -> None:
    """The error lists the orders that there are."""
    with pytest.raises(ValueError, match=r"sort=colour must be one of name, share"):
        force.ordered(lines(), "colour")


def test_the_force_view_shows_bounds_and_verdict_with_every_share() -> None:
    """Each neighbourhood's share stands with its bounds, verdict and shape; columns lead to their orders."""
    text = force.html(lines(), WEEK, link=lambda sort: f"?sort={sort}", leads=lambda area: f"/a/{area}")
    reader = sound(text)
    assert "?sort=-share" in reader.links
    assert "?sort=name" in reader.links
    assert {"/a/Z", "/a/E3"} <= set(reader.links)
    plain = re.sub(r"<[^>]*>", "", text)
    for line in lines():
        said = view.reading(line.figures, line.target)
        if said.share is not None:
            assert f"{said.share_words} between {said.low_words} and {said.high_words}" in plain
    assert "1 without a figure" in plain
    assert text.count('aria-sort="ascending"') == 1


@many(20)
@given(names=st.lists(st.sampled_from(ODD_NAMES), max_size=4))
def test_the_force_view_is_sound_whatever_the_names(names: list[str]) -> None:
    """Odd names and no neighbourhood at all give a well-formed page."""
    found = [replace(force.line(empty()), name=name, area_id=str(at)) for at, name in enumerate(names)]
    sound(force.html(found, WEEK))
