"""The files of a version: built twice from the same sources, and given out only where both are the same.

- a wheel, with pages and migrations in it, and the sources as an archive;
- ``requirements.lock``: every package that the wheel needs, with its hashes;
- ``parts.cdx.json``: the parts as CycloneDX lists them, Python's and those of the pages;
- ``SHA256SUMS`` of all of it, and ``SHA256SUMS.sig``, which ``ssh-keygen`` makes and checks.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).resolve().parents[2]
LOCK = PROJECT / "deploy" / "requirements.lock"
PAGES = PROJECT / "stream" / "web" / "page" / "package-lock.json"
PARTS = "parts.cdx.json"
SUMS = "SHA256SUMS"
SIGNED_AS = "patrol-visibility"
"""What a signature is for: one that the same key made for another purpose does not pass."""


class ReleaseError(Exception):
    """Why there is no release, in one line that says what to do."""


def built(folder: Path, epoch: int) -> list[Path]:
    """Wheel and sources of the project as it stands, built twice.

    Args:
        folder: where they are put.
        epoch: the time that everything in them has, seconds since 1970.

    Raises:
        ReleaseError: they cannot be built, or two builds of the same sources differ.
    """
    with tempfile.TemporaryDirectory() as name:
        tries = [Path(name, which) for which in ("first", "second")]
        for each in tries:
            done = subprocess.run(
                [sys.executable, "-m", "hatchling", "build", "-d", str(each)],
                cwd=PROJECT,
                env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch), "PYTHONHASHSEED": str(len(str(each)))},
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise ReleaseError(f"the build failed: {done.stderr.strip().splitlines()[-1:]}")
        first, second = ({path.name: path.read_bytes() for path in each.iterdir()} for each in tries)
        if first != second:
            others = [each for each in first.keys() | second.keys() if first.get(each) != second.get(each)]
            raise ReleaseError(f"built twice, these differ: {', '.join(sorted(others))}")
        return sorted(Path(shutil.copy(path, folder)) for path in tries[0].iterdir())


def parts() -> str:
    """The parts of a version as a CycloneDX document: the same for the same locks, no address in it."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    name, version = project["name"], project["version"]
    bom = Bom()
    bom.metadata.component = Component(
        type=ComponentType.APPLICATION,
        name=name,
        version=version,
        licenses=[LicenseExpression(project["license"])],
        purl=PackageURL("pypi", name=name, version=version),
        bom_ref=name,
    )
    found = [*_python_parts(), *_page_parts()]
    bom.components = found
    bom.register_dependency(bom.metadata.component, found)
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    # What differs each time: a release is told by its checksums.
    del document["serialNumber"], document["metadata"]["timestamp"]
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def _python_parts() -> Iterator[Component]:
    for name, version, hashes in locked(LOCK):
        yield Component(
            type=ComponentType.LIBRARY,
            name=name,
            version=version,
            purl=PackageURL("pypi", name=name, version=version),
            bom_ref=f"pypi:{name}@{version}",  # of some there are two, each for other versions of Python
            # Of each of its files for some system: any of these may be the one that is installed.
            properties=[Property(name="patrol:locked", value=f"sha256:{each}") for each in hashes],
        )


def locked(path: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Name, version and SHA-256 of each package in a lock."""
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            wanted, *hashes = line.split("--hash=sha256:")
            name, version = wanted.split(";")[0].strip().split("==")
            yield name, version, [each.strip() for each in hashes]


def _page_parts() -> Iterator[Component]:
    """What the pages are bundled from, as npm's lock has it; not the tools that bundle them."""
    packages: dict[str, dict[str, Any]] = json.loads(PAGES.read_text(encoding="utf-8"))["packages"]
    for place, item in sorted(packages.items()):
        if not place or item.get("dev"):
            continue
        *scope, name = place.rpartition("node_modules/")[2].split("/")
        algorithm, _, digest = str(item["integrity"]).partition("-")
        yield Component(
            type=ComponentType.LIBRARY,
            group=scope[0] if scope else None,
            name=name,
            version=item["version"],
            licenses=[LicenseExpression(item["license"])] if "license" in item else (),
            purl=PackageURL("npm", scope[0] if scope else None, name, item["version"]),
            bom_ref=f"npm:{place}",
            hashes=[HashType(alg=_ALGORITHMS[algorithm], content=_hexadecimal(digest))],
        )


_ALGORITHMS = {"sha512": HashAlgorithm.SHA_512, "sha1": HashAlgorithm.SHA_1}


def _hexadecimal(digest: str) -> str:
    return base64.b64decode(digest).hex()


def summed(folder: Path) -> Path:
    """Writes the checksums of everything in a folder, as ``sha256sum --check`` reads them."""
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(folder.iterdir())
        if not path.name.startswith(SUMS)
    ]
    (folder / SUMS).write_text("".join(lines), encoding="ascii")
    return folder / SUMS


def signed(sums: Path, key: Path) -> Path:
    """Signs the checksums with an SSH key, which may be on a token that an agent speaks to.

    Raises:
        ReleaseError: ``ssh-keygen`` is not there or refuses.
    """
    signature = sums.with_name(f"{sums.name}.sig")
    signature.unlink(missing_ok=True)
    words = ["ssh-keygen", "-Y", "sign", "-f", str(key), "-n", SIGNED_AS, str(sums)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise ReleaseError("ssh-keygen is not there: install OpenSSH's client") from None
    if done.returncode:
        raise ReleaseError(f"ssh-keygen does not sign: {' '.join(done.stderr.split())}")
    return signature
