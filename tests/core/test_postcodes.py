"""Postcodes: found however they are typed, and in the neighbourhood that exact geometry says."""

from __future__ import annotations

import gzip
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from geo.areas import Area, AreaSet, Kind
from geo.boundaries.reading import read_areas
from geo.matching.places import PlaceIndex
from stream.core.postcodes import LONGEST, Finder, LookupOutcome, Postcodes, PostcodesError, plain, shown
from tests.real import DATA

ROOT = Path(__file__).resolve().parents[2]

TOWN = AreaSet.of(
    [
        Area(Kind.NEIGHBOURHOOD, "N2", "Beacon", shapely.box(0.01, 51.0, 0.02, 51.01)),
        Area(Kind.NEIGHBOURHOOD, "N1", "Abbey", shapely.box(0.0, 51.0, 0.01, 51.01)),
        Area(Kind.PRIORITY, "Q1", "Market", shapely.box(0.004, 51.004, 0.006, 51.006)),
        Area(Kind.PREMISES, "S1", "Station", shapely.box(0.001, 51.001, 0.002, 51.002)),
    ]
)
CSV = b"""pcds,lat,long
AB1 1AA,51.005,0.005
AB1 1AB,51.0015,0.0015
AB1 2BC,51.005,0.015
AB1 2BD,51.005,0.01
AB11 1AA,51.005,0.015
AB10 9ZZ,52.0,0.015
AB1 0XX,,0.0
AB1 0XY,99.999999,0.000000
AB1 0XZ,0,0
AB1 0XW,51.005,
A B1OAA,51,0
,51,0
"""


def finder(data: bytes = CSV) -> Finder:
    """The town's."""
    return Finder(Postcodes.of_csv(data), PlaceIndex(TOWN))


FINDER = finder()


@pytest.mark.parametrize(
    ("typed", "outcome", "area_id"),
    [
        ("AB1 1AA", LookupOutcome.FOUND, "N1"),
        ("ab11aa", LookupOutcome.FOUND, "N1"),
        ("  a b 1 1 a a ", LookupOutcome.FOUND, "N1"),
        ("AB1-1AA", LookupOutcome.FOUND, "N1"),
        ("ＡＢ１ １ＡＡ", LookupOutcome.FOUND, "N1"),
        ("AB1\u00a01AA\u200b", LookupOutcome.FOUND, "N1"),
        ("AB1 1AB", LookupOutcome.FOUND, "N1"),
        ("AB1 2BC", LookupOutcome.FOUND, "N2"),
        ("AB1 2BD", LookupOutcome.FOUND, "N1"),
        ("AB10 9ZZ", LookupOutcome.OUTSIDE, None),
        ("AB1 0XX", LookupOutcome.NO_POSITION, None),
        ("AB1 0XY", LookupOutcome.NO_POSITION, None),
        ("AB1 0XZ", LookupOutcome.NO_POSITION, None),
        ("AB1 0XW", LookupOutcome.NO_POSITION, None),
        ("AB1 9ZZ", LookupOutcome.UNKNOWN, None),
        ("ZZ9", LookupOutcome.UNKNOWN, None),
        ("", LookupOutcome.EMPTY, None),
        (" \t", LookupOutcome.EMPTY, None),
        ("town hall", LookupOutcome.NO_POSTCODE, None),
        ("AB1 1AA; drop table", LookupOutcome.NO_POSTCODE, None),
        ("é", LookupOutcome.NO_POSTCODE, None),
        ("1" * 1000, LookupOutcome.NO_POSTCODE, None),
    ],
)
def test_a_postcode_as_people_type_it_is_answered(
    typed: str, outcome: LookupOutcome, area_id: str | None
) -> None:
    """Case, spaces and full width do not matter; on an edge the smaller id has it; each has its answer."""
    answer = FINDER.find(typed)
    assert answer.outcome is outcome
    assert (answer.neighbourhood.area_id if answer.neighbourhood else None) == area_id
    assert len(answer.asked) <= LONGEST


@pytest.mark.parametrize(
    ("typed", "suggestions"),
    [
        ("ABI IAA", ("AB1 1AA",)),
        ("A81 1AA", ("AB1 1AA",)),
        ("AB1O 922", ("AB10 9ZZ",)),
        ("ABL 1AA", ("AB1 1AA",)),
        ("AB1 IAB", ("AB1 1AB",)),
        ("QQ1 1QQ", ()),
    ],
)
def test_signs_that_look_alike_are_suggested_and_not_guessed(
    typed: str, suggestions: tuple[str, ...]
) -> None:
    """O for 0, I for 1 and the like get no answer but the known postcodes that were perhaps meant."""
    answer = FINDER.find(typed)
    assert answer.neighbourhood is None
    assert answer.suggestions == suggestions


@pytest.mark.parametrize(
    ("typed", "part", "names"),
    [
        ("AB1", "AB1", ["Abbey", "Beacon"]),
        ("ab 1", "AB1", ["Abbey", "Beacon"]),
        ("AB1 1", "AB1 1", ["Abbey"]),
        ("AB11", "AB11", ["Beacon"]),
        ("AB12", "AB1 2", ["Abbey", "Beacon"]),
        ("AB1 2B", "AB1 2B", ["Abbey", "Beacon"]),
        ("AB10", "AB10", []),
        ("AB", "AB", ["Abbey", "Beacon"]),
    ],
)
def test_the_beginning_of_a_postcode_leads_to_all_its_neighbourhoods(
    typed: str, part: str, names: list[str]
) -> None:
    """A district or sector lists where its postcodes lie; a district goes before a sector spelt alike."""
    answer = FINDER.find(typed)
    assert answer.outcome is LookupOutcome.PARTIAL
    assert (answer.postcode, [item.name for item in answer.neighbourhoods]) == (part, names)


@given(st.text(max_size=90))
def test_anything_may_be_typed(typed: str) -> None:
    """Whatever is typed has an answer in one line that can be shown, and only known postcodes are found."""
    answer = FINDER.find(typed)
    assert answer.asked.isprintable()
    assert len(answer.asked) <= LONGEST
    if answer.outcome is LookupOutcome.FOUND:
        assert plain(typed).encode() in FINDER.postcodes.key.tolist()


@given(st.sampled_from(FINDER.postcodes.key.tolist()), st.data())
def test_spaces_and_capitals_never_matter(key: bytes, data: st.DataObject) -> None:
    """A postcode with spaces put anywhere and letters of any case has the answer of the postcode."""
    signs = [
        data.draw(st.sampled_from(["", " ", "  "])) + (sign.lower() if data.draw(st.booleans()) else sign)
        for sign in key.decode()
    ]
    answer, typed = FINDER.find(key.decode()), FINDER.find("".join(signs))
    assert (answer.outcome, answer.postcode, answer.neighbourhood) == (
        typed.outcome,
        typed.postcode,
        typed.neighbourhood,
    )


def test_what_is_typed_is_shown_in_one_line_without_steering_signs() -> None:
    """Controls become spaces, and what is long is cut."""
    assert shown("LE1\x1b[2J\n1AA") == "LE1 [2J 1AA"
    assert shown("x" * 500) == "x" * (LONGEST - 1) + "…"


# ── Files ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_file_packed_or_not_and_with_other_columns_holds_the_same() -> None:
    """gzip, a byte order mark, quotes, Windows line ends, other names and columns make no difference."""
    plainly = Postcodes.of_csv(CSV)
    assert len(plainly) == 10
    assert plainly.left_out == 2
    other = b"\xef\xbb\xbf" + CSV.replace(b"pcds,lat,long", b'"x",Postcode,Latitude,"LONGITUDE"')
    other = other.replace(b"\nA", b'\n"1, 2",A').replace(b"\n,51", b"\n0,,51").replace(b"\n", b"\r\n")
    for data in (gzip.compress(CSV), other):
        same = Postcodes.of_csv(data)
        assert same.key.tolist() == plainly.key.tolist()
        assert np.array_equal(same.lon, plainly.lon, equal_nan=True)
        assert np.array_equal(same.lat, plainly.lat, equal_nan=True)


def test_of_two_rows_for_a_postcode_the_first_with_a_position_counts() -> None:
    """A repetition, written otherwise, adds nothing but a position where there was none."""
    data = b"postcode,lat,lon\nAB1 1AA,,\nAB11AA,51.005,0.005\nab1 1aa,51.005,0.015\n"
    postcodes = Postcodes.of_csv(data)
    assert postcodes.key.tolist() == [b"AB11AA"]
    assert postcodes.lon.tolist() == [0.005]


def test_numbers_near_the_meridian_may_be_written_with_an_exponent() -> None:
    """``-1.2E-05`` is a longitude."""
    assert Postcodes.of_csv(b"pcd,lat,long\nAB1 1AA,51.5,-1.2E-05\n").lon.tolist() == [-1.2e-05]


def test_the_ends_of_the_earth_are_positions_and_what_lies_beyond_is_none() -> None:
    """Degrees count up to and with 90 and 180; on the equator or the meridian there are positions too."""
    spots = ["90,180", "-90,-180", "90.01,0", "0,180.01", "0,1", "1,0", "0,0"]
    rows = [f"AB1 1A{letter},{spot}" for letter, spot in zip("ABCDEFG", spots, strict=True)]
    found = Postcodes.of_csv("\n".join(["postcode,lat,long", *rows]).encode())
    assert np.isnan(found.lon).tolist() == [False, False, True, True, False, False, True]
    assert np.isnan(found.lat).tolist() == np.isnan(found.lon).tolist()


@given(st.text("AZaz09 /+-.é²ßＡ１\u200b\n", max_size=8))
def test_what_is_left_of_a_text_is_letters_and_digits_or_nothing(typed: str) -> None:
    """Only plain capitals and digits are looked up; where there is anything else, nothing is."""
    found = plain(typed)
    assert re.fullmatch(r"[A-Z0-9]*", found)
    assert plain(found) == found


@pytest.mark.parametrize("typed", ["AB1/1AA", "AB1+1AA", "ÄB11AA", "AB1_1AA"])
def test_a_postcode_with_another_character_is_none(typed: str) -> None:
    """A character that nobody writes in a postcode is not passed over."""
    assert plain(typed) == ""


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no CSV in UTF-8 with a header"),
        (b"\x1f\x8bnot packed at all", "cannot be unpacked"),
        (gzip.compress(CSV)[:-20], "cannot be unpacked"),
        (b"postcode,lat\nAB1 1AA,51\n", "no column for the longitude among postcode, lat: call it long or"),
        (b"place,lat,long\nAB1 1AA,51,0\n", "no column for the postcode"),
        (b"pcds,lat,long\nnowhere,51,0\n", "'pcds' holds no postcode like LE1 1AA"),
        (b"pcds,lat,long\n", "no CSV in UTF-8 with a header"),
        (b"pcds,lat,long\nAB1 1AA,51\n", "no CSV in UTF-8 with a header"),
        ("pcds,lat,long\nAB1 1AA,51,0\né,1,1\n".encode("latin-1"), "no CSV in UTF-8 with a header"),
    ],
)
def test_a_file_that_cannot_be_used_says_what_to_do(data: bytes, message: str) -> None:
    """One line that names the file and what is wrong with it."""
    with pytest.raises(PostcodesError) as error:
        Postcodes.of_csv(data, "codes.csv")
    assert str(error.value).startswith("codes.csv: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


# ── The real ones ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.shared
def test_all_real_postcodes_lie_where_exact_geometry_says() -> None:
    """35,626 postcodes in 171 wards: the answers are shapely's, and the eight blanks are nowhere."""
    file = DATA / "postcodes_le.csv.gz"
    if not file.is_file():
        pytest.skip("needs the real data beside the project: ../shared/data/postcodes_le.csv.gz")
    postcodes = Postcodes.of_csv(file.read_bytes())
    wards = read_areas(DATA / "wards_leicestershire.geojson", Kind.NEIGHBOURHOOD)
    found = Finder(postcodes, PlaceIndex(wards))
    assert (len(postcodes), postcodes.left_out) == (35_626, 0)

    points = shapely.points(postcodes.lon, postcodes.lat)
    point, ward = shapely.STRtree(wards.geometry).query(points, predicate="intersects")
    expected: dict[int, str] = {}
    for at, number in zip(point.tolist(), ward.tolist(), strict=True):
        expected[at] = min(expected.get(at, "~"), wards.area_id[number])
    outcomes: Counter[LookupOutcome] = Counter()
    for at, key in enumerate(postcodes.key.tolist()):
        answer = found.find(key.decode())
        outcomes[answer.outcome] += 1
        assert (answer.neighbourhood.area_id if answer.neighbourhood else None) == expected.get(at)
        if np.isnan(postcodes.lon[at]):
            assert answer.outcome is LookupOutcome.NO_POSITION
    assert outcomes[LookupOutcome.NO_POSITION] == 8
    assert set(outcomes) == {LookupOutcome.FOUND, LookupOutcome.OUTSIDE, LookupOutcome.NO_POSITION}
    blank = "LE11 9AB"
    assert found.find(blank).outcome is LookupOutcome.NO_POSITION
