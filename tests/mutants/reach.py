"""Which tests reach which functions, and how long each takes: measured once for a file of tests, then kept.

A plugin for pytest: ``-p tests.mutants.reach``, with the file to write in ``MUTANTS_REACH``. Only calls are
traced, no lines: a run takes hardly longer. Of a property some examples are enough to see what it calls; its
time is that of all of them. What a fixture of more than one test or the import of the tests calls counts for
every test of the file.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

ROOT = Path.cwd()
OUT = os.environ.get("MUTANTS_REACH", "")
EXAMPLES = 6
_more: dict[str, float] = {}
_of_function: dict[Any, float] = {}
_of_code: dict[Any, str] = {}
_called: set[str] = set()
_shared: set[str] = set()
_tests: dict[str, dict[str, Any]] = {}


def _trace(frame: FrameType, _event: str, _arg: object) -> None:
    code = frame.f_code
    name = _of_code.get(code)
    if name is None:
        path = code.co_filename
        inside = path.startswith((f"{ROOT}/stream/", f"{ROOT}/geo/"))
        name = _of_code[code] = f"{path[len(str(ROOT)) + 1 :]}:{code.co_qualname}" if inside else ""
    if name:
        _called.add(name)


if OUT:
    threading.settrace(_trace)
    sys.settrace(_trace)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> Iterator[None]:
    """What a fixture that several tests share calls is reached by all of them."""
    before = set(_called)
    _called.clear()
    try:
        return (yield)
    finally:
        if fixturedef.scope != "function":
            _shared.update(_called)
        _called.update(before)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Cuts the examples, and notes how many times as many there are."""
    for item in items:
        test: Any = getattr(item, "obj", None)
        given = getattr(test, "_hypothesis_internal_use_settings", None)
        if given is None:
            continue
        function = getattr(test, "__func__", test)
        _of_function.setdefault(function, max(1.0, given.max_examples / EXAMPLES))
        _more[item.nodeid] = _of_function[function]
        if given.max_examples > EXAMPLES:
            function._hypothesis_internal_use_settings = settings(given, max_examples=EXAMPLES)


def pytest_collection_finish() -> None:
    """What the import of the tests calls, all of them reach."""
    _shared.update(_called)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Notes what one test calls, set-up and all."""
    _called.clear()
    _tests[item.nodeid] = {"seconds": 0.0, "passed": True, "calls": []}
    try:
        return (yield)
    finally:
        _tests[item.nodeid]["calls"] = sorted(_called)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Its time and whether it passed: one that fails or is left out without any mutant proves nothing."""
    test = _tests[report.nodeid]
    test["seconds"] += report.duration * _more.get(report.nodeid, 1.0)
    test["passed"] = test["passed"] and report.passed


def pytest_sessionfinish() -> None:
    """Writes all of it."""
    if OUT:
        sys.settrace(None)
        found = {name: test for name, test in _tests.items() if test.pop("passed")}
        Path(OUT).write_text(json.dumps({"shared": sorted(_shared), "tests": found}))
