"""Pseudonyms: the same for the same id and key, nobody's without the key, and no id beside them."""

from __future__ import annotations

import csv
import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.core.policy import Policies
from stream.core.pseudonyms import KINDS, LEAST, PseudonymError, Pseudonyms
from stream.files.account import Facts, account
from stream.files.sheets.arrow import write
from stream.files.sheets.pseudonymous import pseudonymous
from stream.settings import SettingsError, load
from tests.strategies import many, world_fixes, worlds
from tests.worlds import history_of

if TYPE_CHECKING:
    from tests.strategies import World

KEY, OTHER = "a secret of the force's own", "another secret of the same force"
POLICIES = Policies()


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.text(min_size=1)), unique=True, min_size=2, max_size=9))
def test_one_id_has_one_pseudonym_under_a_key_and_no_two_share_one(ids: list[tuple[str, str]]) -> None:
    """Under one key equal ids are equal and unequal ones are not; under another key all are others."""
    mine, others = Pseudonyms(KEY), Pseudonyms(OTHER)
    found = [mine.of(*item) for item in ids]
    assert found == [Pseudonyms(KEY).of(*item) for item in ids]
    assert len({*found, *(others.of(*item) for item in ids)}) == 2 * len(ids)
    kinds = [said.partition("-")[0] for said in found if re.fullmatch(r"[a-z]+-[a-z2-7]{13}", said)]
    assert kinds == [kind for kind, _ in ids]


def test_no_id_has_no_pseudonym_and_an_erased_one_stays() -> None:
    """What says nothing goes on to say nothing, and an erased officer is not veiled twice."""
    mine = Pseudonyms(KEY)
    erased = f"erased-{mine.of('officer', 'C1').removeprefix('officer-')}"
    assert [mine.of("officer", "") for _ in range(2)] == ["", ""]
    assert mine.of("officer", erased) == erased


def test_a_short_key_is_refused_and_not_repeated() -> None:
    """A key that could be guessed is refused in one line that does not say it, also as a setting."""
    short = "k" * (LEAST - 1)
    with pytest.raises(PseudonymError, match="at least 16 characters"):
        Pseudonyms(short)
    with pytest.raises(SettingsError, match="PATROL_PSEUDONYM_KEY: the key") as refused:
        load({"PATROL_PSEUDONYM_KEY": short})
    assert short not in str(refused.value)
    assert KEY not in repr(Pseudonyms(KEY)) + repr(load({"PATROL_PSEUDONYM_KEY": KEY}))


@many(20)
@given(worlds())
def test_files_under_pseudonyms_hold_no_id_and_the_same_figures(world: World) -> None:
    """No cell of any file is an id any more; numbers are what they were, and rows tell no order of ids."""
    areas_ = history_of(replace(world, versions=world.versions[:1])).indexes[0].areas
    found = account(Facts(areas_, world_fixes(world), list(world.duties), list(world.states)), POLICIES)
    plain = found.tables(POLICIES)
    veiled = pseudonymous(plain, Pseudonyms(KEY), found.duties)
    ids = {duty.officer_id for duty in found.duties} | {duty.duty_id for duty in found.duties}
    ids |= set(found.facts.fixes.device_ids)
    areas = {cell for name in ("visits", "priorities") for cell in plain[name]["area_id"].to_pylist()}
    areas |= {area for duty in found.duties for area in duty.patch}
    with tempfile.TemporaryDirectory() as folder:
        write(veiled, Path(folder))
        for file in Path(folder).glob("*.csv"):
            with file.open(newline="", encoding="utf-8") as lines:
                cells = {cell for row in list(csv.reader(lines))[1:] for cell in row}
            assert not cells & (ids - areas), file.name
    for name, table in plain.items():
        assert veiled[name].column_names == table.column_names
        for column in table.column_names:
            if column.endswith("_s") or column.startswith("share"):
                assert sorted(veiled[name][column].to_pylist()) == sorted(table[column].to_pylist())
    order = veiled["slices"].select(["officer_id", "duty_id"]).to_pylist()
    assert order == sorted(order, key=lambda row: (row["officer_id"], row["duty_id"]))
