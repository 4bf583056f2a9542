"""A release: what is in it, that it can be installed and checked, and that it comes out the same again."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from email import message_from_bytes
from importlib.metadata import version
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import pytest
from cyclonedx import schema as cyclonedx_schemas
from packaging.requirements import Requirement
from referencing import Registry, Resource

from tests.release.making import LOCK, PROJECT, SIGNED_AS, built, locked, parts, signed, summed
from tests.shell.pipeline import TABLES, invoke
from tests.upgrade.make import accounted

EPOCH = 1_790_000_000


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wheel and sources, built twice alike, with their checksums."""
    folder = tmp_path_factory.mktemp("release")
    built(folder, EPOCH)
    summed(folder)
    return folder


@pytest.fixture(scope="module")
def wheel(release: Path) -> Path:
    """The wheel."""
    [found] = release.glob("*.whl")
    return found


def test_the_wheel_has_pages_and_migrations_and_no_tests(wheel: Path) -> None:
    """What the program needs when it runs is in the wheel, and nothing that only its developers need."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    sources = {
        path.relative_to(PROJECT).as_posix()
        for folder in ("geo", "stream")
        for path in (PROJECT / folder).rglob("*.py")
        if "node_modules" not in path.parts
    }
    assert sources <= names
    migrations = {f"stream/_migrations/{path.name}" for path in (PROJECT / "deploy/migrations").iterdir()}
    assert migrations <= names
    assert {"stream/web/static/index.html", "stream/web/static/boundaries.html"} <= names
    assert not [name for name in names if re.search(r"(^|/)(tests|node_modules|__pycache__|\.git)/", name)]


def test_the_sources_can_be_built_again(release: Path, tmp_path: Path) -> None:
    """The archive of the sources has everything from which the same wheel is made."""
    [archive] = release.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path, filter="data")
    [folder] = tmp_path.iterdir()
    words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "again")]
    environment = {"SOURCE_DATE_EPOCH": str(EPOCH), "PATH": "/usr/bin:/bin"}
    subprocess.run(words, cwd=folder, env=environment, check=True, capture_output=True)
    [again] = (tmp_path / "again").iterdir()
    [wheel] = release.glob("*.whl")
    assert again.read_bytes() == wheel.read_bytes()


def test_the_lock_has_everything_that_the_wheel_asks_for(wheel: Path) -> None:
    """Each package that the wheel names is in the lock of the release, in a version that it takes."""
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = message_from_bytes(archive.read(name))
    have = [(name, found) for name, found, _ in locked(LOCK)]
    asked = [Requirement(text) for text in metadata.get_all("Requires-Dist") or ()]
    needed = [item for item in asked if item.marker is None or "extra" not in str(item.marker)]
    assert needed
    for item in needed:
        assert any(name == item.name and item.specifier.contains(found) for name, found in have), str(item)


def test_the_wheel_installed_alone_counts(wheel: Path, tmp_path: Path) -> None:
    """In a new environment with nothing but the lock's packages the command helps and counts from files."""
    venv.create(tmp_path / "new", with_pip=False, symlinks=True)
    python = tmp_path / "new" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "install", "--no-deps", "--no-index", str(wheel)], check=True)
    [site] = (tmp_path / "new" / "lib").glob("python*/site-packages")
    # The lock's packages as they are installed here; the project itself is not among them this way.
    (site / "locked.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def patrol(*words: str) -> str:
        command = [str(tmp_path / "new" / "bin" / "patrol"), *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "patrol account" in patrol("account", "--help")
    where = "import stream, geo; print(stream.__file__, geo.__file__)"
    found = subprocess.run([python, "-c", where], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert all(str(site) in path for path in found.stdout.split())
    words = accounted(tmp_path)
    patrol(*words, "--out", str(tmp_path / "installed"))
    invoke([*words, "--out", str(tmp_path / "sources")])
    for name in TABLES:
        assert (tmp_path / "installed" / name).read_bytes() == (tmp_path / "sources" / name).read_bytes()


def test_the_list_of_parts_is_every_package_and_names_no_address() -> None:
    """It follows CycloneDX's schema, has all that is locked with hashes, and is the same when made again."""
    text = parts()
    document = json.loads(text)
    # As the library has it: its schema refers to two more, by name.
    folder = Path(cyclonedx_schemas.__file__).parent / "_res"
    schemas = [
        (name, json.loads((folder / f"{stem}.SNAPSHOT.schema.json").read_text(encoding="utf-8")))
        for name, stem in (
            ("spdx.schema.json", "spdx"),
            ("jsf-0.82.schema.json", "jsf-0.82"),
            ("bom-1.6.schema.json", "bom-1.6"),
        )
    ]
    base = "http://cyclonedx.org/schema/"
    registry: Registry[object] = Registry().with_resources(
        [(f"{base}{name}", Resource.from_contents(found)) for name, found in schemas]
    )
    jsonschema.Draft7Validator(schemas[-1][1], registry=registry).validate(document)
    found = {item["purl"] for item in document["components"]}
    assert {f"pkg:pypi/{name}@{number}" for name, number, _ in locked(LOCK)} <= found
    assert any(purl.startswith("pkg:npm/maplibre-gl@") for purl in found)
    assert not [purl for purl in found if "typescript" in purl]
    assert all(item.get("hashes") or item.get("properties") for item in document["components"])
    assert re.findall(r'"[a-z]+://[^"]*"', text) == [f'"{document["$schema"]}"']
    assert document["metadata"]["component"]["version"] == version("patrol-visibility")
    assert parts() == text


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="install OpenSSH's client")
def test_checksums_and_signature_are_checked_by_common_tools(release: Path, tmp_path: Path) -> None:
    """``sha256sum`` and ``ssh-keygen`` accept a release as it is, and refuse one that was changed since."""
    given = tmp_path / "given"
    shutil.copytree(release, given)
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    sums = summed(given)
    signature = signed(sums, key)
    kind, public, *_ = key.with_suffix(".pub").read_text().split()
    (tmp_path / "signers").write_text(f'releases namespaces="{SIGNED_AS}" {kind} {public}\n')

    def checks(*words: str) -> bool:
        done = subprocess.run(
            words, cwd=given, input=sums.read_bytes(), capture_output=True, check=False, timeout=60
        )
        return done.returncode == 0

    verify = ["ssh-keygen", "-Y", "verify", "-f", str(tmp_path / "signers"), "-I", "releases"]
    verify += ["-n", SIGNED_AS, "-s", str(signature)]
    everything = ["sha256sum", "--check", "--strict", sums.name]
    assert checks(*verify)
    assert checks(*everything)
    [wheel] = given.glob("*.whl")
    wheel.write_bytes(wheel.read_bytes() + b" ")
    assert not checks(*everything)
    summed(given)
    assert checks(*everything)
    assert not checks(*verify)
