"""``make release``: the files of a version in ``dist/``, from a clean checkout."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.release.making import LOCK, PARTS, PROJECT, ReleaseError, built, parts, signed, summed

ENGINES = ("docker", "podman")


def main() -> None:
    """Makes them as the command line says."""
    parser = argparse.ArgumentParser(prog="make release", description=__doc__)
    parser.add_argument("--out", type=Path, default=PROJECT / "dist", metavar="FOLDER", help="dist")
    parser.add_argument("--key", type=Path, metavar="FILE", help="an SSH key that signs the checksums")
    parser.add_argument("--image", metavar="NAME", help="also build the image under this name")
    given = parser.parse_args()
    try:
        make(given.out, given.key, given.image)
    except ReleaseError as error:
        sys.exit(f"no release: {error}")


def make(out: Path, key: Path | None, image: str | None) -> None:
    """Puts all files of a version into an empty folder, and says what they are.

    Raises:
        ReleaseError: what is missing.
    """
    if said("status", "--porcelain"):
        raise ReleaseError("there are changes that are not committed: 'git status' lists them")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    commit, epoch = said("log", "-1", "--format=%H"), int(said("log", "-1", "--format=%ct"))
    built(out, epoch)
    shutil.copy(LOCK, out)
    (out / PARTS).write_text(parts(), encoding="utf-8")
    if image:
        (out / "image.txt").write_text(f"{image} {image_of(image, epoch)}\n", encoding="ascii")
    sums = summed(out)
    if key is not None:
        signed(sums, key)
    print(sums.read_text(encoding="ascii"), end="")
    print(f"{out}, of {commit[:12]}: {'signed' if key else 'not signed; --key FILE signs the checksums'}")
    if not image:
        print("without an image; --image NAME builds one where Docker or Podman is")


def image_of(name: str, epoch: int) -> str:
    """Builds the image, and gives its id.

    Raises:
        ReleaseError: there is no engine, or it does not build.
    """
    engine = next(filter(None, map(shutil.which, ENGINES)), None)
    if engine is None:
        raise ReleaseError("an image needs Docker or Podman: install one, or leave --image out")
    build = [engine, "build", "--file", "deploy/Dockerfile", "--tag", name, "."]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch)}
    if subprocess.run(build, cwd=PROJECT, env=environment, check=False).returncode:
        raise ReleaseError(f"{Path(engine).name} does not build the image: it says above why")
    words = [engine, "image", "inspect", "--format", "{{.Id}}", name]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def said(*words: str) -> str:
    """What git says of the project.

    Raises:
        ReleaseError: this is no checkout, or git is not there.
    """
    try:
        done = subprocess.run(["git", *words], cwd=PROJECT, capture_output=True, text=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        raise ReleaseError("it is made from a checkout, with git") from None
    return done.stdout.strip()


if __name__ == "__main__":
    main()
