"""The documents say what the code does: commands, settings, targets, words and links, and nothing private.

Only texts, the command's own description of itself and values are looked at; nothing is run.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from dataclasses import MISSING, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click
import pytest

from stream.cli import patrol
from stream.core.events import Reason
from stream.core.policy import COUNTS, Policy, parse_policies
from stream.core.quality.findings import FINDINGS, SCOPES
from stream.core.slices import ACTIVITIES
from stream.pipeline.processes import PARTS, in_words
from stream.settings import SETTINGS, Settings
from stream.topics import specs
from tests.shell.composed import filled_in

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).resolve().parents[2]
INSIDE = "stream/README.md"
RUNNING = "deploy/README.md"
PICTURES = "deploy/pictures/"
FILES = {"patrol.dump", "patrol.po", "patrol.pot", "patrol.force", "duty.time"}
"""What looks like a topic's name and is none."""

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)|(?:href|src)=\"([^\"]+)\"")
"""Where a link, a picture or an HTML tag leads."""

HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@cache
def _files() -> tuple[str, ...]:
    """What git tracks or would track: the project's own files."""
    asked = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(asked, cwd=PROJECT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs git and a checkout of the project, to know which files are its own")
    names = set(listed.decode().split("\0")) - {""}
    return tuple(sorted(name for name in names if (PROJECT / name).is_file()))


@cache
def _text(name: str) -> str:
    return (PROJECT / name).read_text(encoding="utf-8")


def _documents() -> list[str]:
    return [name for name in _files() if name.endswith(".md")]


def _rows(name: str, heading: str) -> list[list[str]]:
    """The cells of the tables under a heading, without their heads, as written."""
    _, found, rest = _text(name).partition(f"\n## {heading}\n")
    assert found, f"{name} has no section '{heading}'"
    section = re.split(r"^## ", rest, maxsplit=1, flags=re.MULTILINE)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    rules = [at for at, row in enumerate(cells) if set(row[0]) <= set("-:") and row[0]]
    heads = {at - 1 for at in rules} | set(rules)
    return [row for at, row in enumerate(cells) if at not in heads]


def _links(text: str) -> list[str]:
    """Where the links and pictures of a text lead."""
    return ["".join(found) for found in LINK.findall(text)]


def _console(name: str) -> list[str]:
    """The commands of the console blocks (after ``$``) and the sh blocks of a document."""
    lines: list[str] = []
    for language, body in FENCE.findall(_text(name)):
        if language == "console":
            lines += [line[2:] for line in body.splitlines() if line.startswith("$ ")]
        elif language == "sh":
            lines += body.splitlines()
    return lines


def _words(line: str) -> list[list[str]]:
    """The simple commands of a line, each as words, without the variables set before it."""
    commands: list[list[str]] = [[]]
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    for word in lexer:
        if set(word) <= set("&|;()"):
            commands.append([])
        else:
            commands[-1].append(word)
    bare = []
    for words in commands:
        while words and re.fullmatch(r"\w+=.*", words[0]):
            words = words[1:]  # noqa: PLW2901 # what is left of the words
        bare.append(words)
    return [words for words in bare if words]


def _commands(group: click.Group, *above: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        yield (*above, name), command
        if isinstance(command, click.Group):
            yield from _commands(command, *above, name)


def _complaint(words: list[str]) -> str:
    """What click has against a call of ``patrol``; empty where nothing. Files need not exist."""
    command: click.Command = patrol
    context = click.Context(command, info_name="patrol")
    try:
        while isinstance(command, click.Group):
            if not words or words[0] in {"--help", "--version"}:
                return ""
            _, found, words = command.resolve_command(context, words)
            assert found is not None
            command = found
            context = click.Context(command, info_name=command.name, parent=context)
        given, left, _ = command.make_parser(context).parse_args(list(words))
    except click.ClickException as failure:
        return failure.format_message()
    if given.get("help"):
        return ""
    missing = [item.name for item in command.params if item.required and not given.get(item.name or "")]
    return f"left over: {left}" if left else f"missing: {missing}" if missing else ""


def test_every_command_is_named_in_the_documents() -> None:
    """The root README's table has every command of `patrol`, no other; what is below one is told too."""
    named = {
        word
        for cell, *_ in _rows("README.md", "Commands")
        for word in re.findall(r"`patrol (\w[\w-]*)`", cell)
    }
    assert named == set(patrol.commands)
    everything = "".join(_text(name) for name in _documents())
    for path, _ in _commands(patrol):
        assert f"patrol {' '.join(path)}" in everything or f"`{path[-1]}`" in _text("README.md"), path


def test_the_commands_shown_are_ones() -> None:
    """Every `patrol` line in a console or sh block names a command, with options that it takes."""
    found = 0
    for name in _documents():
        for line in _console(name):
            for words in _words(line):
                if Path(words[0]).name == "patrol":
                    found += 1
                    assert not _complaint(words[1:]), f"{name}: {line}: {_complaint(words[1:])}"
    assert found > 8


@pytest.mark.parametrize(
    "words",
    ["fly", "up --faster", "areas load", "areas load a.gpkg --kind premises", "export", "init twice"],
)
def test_a_wrong_command_in_a_document_would_be_noticed(words: str) -> None:
    """Commands and options that do not exist are complained of, and needed ones that are missing."""
    assert _complaint(words.split())


def test_the_table_shown_is_that_of_the_demonstration() -> None:
    """The columns of the table that the root README shows are those that `patrol demo` prints."""
    shown = [body for _, body in FENCE.findall(_text("README.md")) if "  neighbourhood  " in body]
    [body] = shown
    head = next(line for line in body.splitlines() if line.startswith("  neighbourhood  "))
    for label in re.split(r"\s{2,}", head.strip()):
        assert f'"{label}"' in _text("stream/cli/demo.py"), label


def test_the_settings_table_is_the_settings() -> None:
    """The table of deploy/README.md has every setting with its default, the file's name, and nothing else."""
    rows = {row[0].strip("`"): row[1].strip("`") for row in _rows(RUNNING, "Settings")}
    assert rows.pop("PATROL_CONFIG") == ""
    assert set(rows) == {f"PATROL_{name.upper()}" for name in SETTINGS}
    assert {item.name for item in fields(Settings)} == set(SETTINGS)
    for item in fields(Settings):
        assert item.default is not MISSING
        shown = rows[f"PATROL_{item.name.upper()}"]
        assert type(item.default)(shown or 0 if item.type != "str" else shown) == item.default, item.name


def test_the_documents_say_what_up_runs() -> None:
    """Whatever says what `patrol up` runs names all of its parts: its own help, sentences, remarks."""
    parts = in_words(PARTS)
    assert set(PARTS) <= set(patrol.commands)
    assert f"Runs {parts} " in (patrol.commands["up"].help or "")
    told = 0
    for name in _documents():
        for sentence in re.split(r"[.;] |\n\n|\n\||\n\$ ", _text(name)):
            if re.search(r"`patrol up`|^patrol up\s", sentence) and re.search(
                rf"\bruns\b|\b{'|'.join(PARTS)}\b", sentence
            ):
                told += 1
                assert parts in " ".join(sentence.split()), f"{name}: {sentence}"
    assert told >= 4


def test_the_parts_are_those_that_are_deployed() -> None:
    """What runs where there are no containers is what the compose file runs and deploy/README.md tells of."""
    rows = {row[0].strip("`").removeprefix("patrol ") for row in _rows(RUNNING, "What runs")}
    assert set(PARTS) < rows
    commands = re.findall(r"^    command: \[(\w+)", _text("docker-compose.yml"), re.MULTILINE)
    assert set(commands) == {"init", *PARTS}


def test_the_documents_say_what_is_needed() -> None:
    """Versions of Python, PostgreSQL and Kafka are those of the metadata, the schema and the compose file."""
    compose = filled_in(_text("docker-compose.yml"))
    [python] = re.findall(r'^requires-python = ">=(3\.\d+)"$', _text("pyproject.toml"), re.MULTILINE)
    [postgresql] = re.findall(r"PostgreSQL (\d+) or newer", _text("deploy/migrations/0001_first_light.sql"))
    [kafka] = re.findall(r"image: apache/kafka:(\d+)\.", compose)
    for what, wanted, documents in (
        (r"Python (?=\d)", f"{python} or newer", ["README.md", RUNNING, "CONTRIBUTING.md"]),
        (r"PostgreSQL (?=\d)", f"{postgresql} or newer", ["README.md", RUNNING]),
        (r"Apache Kafka (?=\d)", kafka, [RUNNING]),
    ):
        for name in documents:
            found = re.findall(rf"{what}(.{{{len(wanted)}}})", _text(name))
            assert found, f"{name}: {what}"
            assert set(found) == {wanted}, name
    [server] = re.findall(r"image: postgres:(\d+)\.", compose)
    assert int(server) >= int(postgresql)


def test_the_documents_name_ports_that_are_listened_on() -> None:
    """Every port of this machine in the documents is `patrol web`'s, one that compose opens, or of health."""
    compose = _text("docker-compose.yml")
    [web] = [option.default for option in patrol.commands["web"].params if option.name == "port"]
    opened = re.findall(r"^ +- 127\.0\.0\.1:(\d+):\d+$", compose, re.MULTILINE)
    assert len(opened) == 4
    health = re.findall(r'^ +PATROL_HEALTH_PORT: "(\d+)"$', compose, re.MULTILINE)
    assert health
    for name in ["README.md", RUNNING, "docker-compose.yml"]:
        ports = re.findall(r"(?:127\.0\.0\.1|localhost):(\d{4,})", _text(name))
        assert ports
        assert set(ports) <= {str(web), *opened, *health}, name


def test_no_document_speaks_of_a_setting_that_is_none() -> None:
    """Every PATROL_ variable in a document or in the compose file is a setting, or the name of its file."""
    known = {f"PATROL_{name.upper()}" for name in SETTINGS} | {"PATROL_CONFIG"}
    for name in [*_documents(), "docker-compose.yml", "deploy/Dockerfile"]:
        for found in re.findall(r"PATROL_[A-Z][A-Z_]*[A-Z]", _text(name)):
            assert found.removesuffix("_FILE") in known, f"{name}: {found}"


def test_the_policy_table_is_the_policy() -> None:
    """The policy's table has every setting of the accounting with its default, and nothing else."""
    rows = {row[0].strip("`"): row for row in _rows(INSIDE, "The policy")}
    assert set(rows) == {item.name for item in fields(Policy)}
    for item in fields(Policy):
        if item.name == "states":
            assert set(COUNTS) <= set(re.findall(r"`(\w+)`", rows["states"][3]))
        else:
            assert float(rows[item.name][1]) == item.default, item.name
        # Team facts have no rule of the accounting's; their settings stand among its settings all the same.
        assert re.fullmatch(r"\d+a?(, \d+a?)*|teams", rows[item.name][2]), f"{item.name}: which rule?"


def test_the_policy_files_shown_are_ones() -> None:
    """Every TOML block of stream/README.md is a policy file that is taken, and changes something."""
    shown = [body for language, body in FENCE.findall(_text(INSIDE)) if language == "toml"]
    assert shown
    for body in shown:
        policies = parse_policies(body)
        assert len(policies.policies) > 1
        assert policies.policies[0] == Policy()
        assert policies.policies[-1] != Policy()


def test_every_target_of_make_that_is_named_exists() -> None:
    """Every `make` target in a document is in the Makefile, and each of the Makefile's is in a document."""
    targets = set(re.findall(r"^([a-z]+):.*## ", _text("Makefile"), re.MULTILINE))
    for name in _documents():
        spoken = set(re.findall(r"`make ([a-z]+)\b", _text(name)))
        spoken |= {words[1] for line in _console(name) for words in _words(line) if words[0] == "make"}
        assert spoken <= targets, f"{name}: {sorted(spoken - targets)}"
    both = _text("README.md") + _text("CONTRIBUTING.md")
    unnamed = {target for target in targets - {"help"} if f"make {target}" not in both}
    assert not unnamed


def test_the_first_screen_shows_both_pictures() -> None:
    """Before its first heading README.md has both pictures, each described, and none is over 150 kB."""
    first, _, _ = _text("README.md").partition("\n## ")
    shown = re.findall(r'<img src="([^"]+)" [^>]*alt="[^"]{20,}"', first)
    assert shown == [name for name in _files() if name.startswith(PICTURES)]
    for name in shown:
        assert (PROJECT / name).stat().st_size <= 150_000, f"{name}: make pictures draws it too large"


def test_the_layout_has_every_folder() -> None:
    """README.md's layout names every folder of the two packages that has code of its own, and no other."""
    listed = {path.rstrip("/") for row in _rows("README.md", "Repository layout") for path in _links(row[0])}
    folders = {str(Path(name).parent) for name in _files() if re.fullmatch(r"(geo|stream)/\w+/\w+\.py", name)}
    assert listed == {"geo", "stream", "deploy", "tests"} | folders


def test_how_long_topics_keep_messages_is_told() -> None:
    """deploy/README.md lists every topic once, with the days for which `patrol init` has Kafka keep it."""
    told = {
        topic: int(days[1])
        for what, where, kept in _rows(RUNNING, "What is kept, and for how long")
        if where == "Kafka" and (days := re.match(r"(\d+) days", kept))
        for topic in re.findall(r"`([\w.]+)`", what)
    }
    assert told == {item.name: int(item.topic_configs["retention.ms"]) // 86_400_000 for item in specs()}


def test_topics_have_one_name_everywhere() -> None:
    """Whatever looks like a topic in a document, a table or a diagram is one of the topics that there are."""
    known = {item.name for item in specs()}
    for name in _documents():
        spoken = re.findall(r"\b(?:radio|vehicle|duty|patrol|visibility|dead)\.[a-z]+\b", _text(name))
        assert set(spoken) - FILES <= known, name


def _slug(heading: str) -> str:
    """The anchor that a heading gets where documents are shown."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def test_every_relative_link_leads_somewhere() -> None:
    """Every relative link of every document leads to a file, folder or heading of the project."""
    own = set(_files()) | {str(up) for name in _files() for up in Path(name).parents}
    checked = 0
    for name in _documents():
        for target in _links(FENCE.sub("", _text(name))):
            parts = urlsplit(target)
            if parts.scheme:
                continue
            checked += 1
            path = os.path.normpath(Path(name).parent / parts.path) if parts.path else name
            assert path in own, f"{name}: {target} leads nowhere"
            if parts.fragment:
                anchors = {_slug(found) for found in HEADING.findall(FENCE.sub("", _text(path)))}
                assert parts.fragment in anchors, f"{name}: {target}: no such heading"
    assert checked > 30


def test_every_file_named_exists() -> None:
    """Every path below a folder of the project that a document names between backticks is there."""
    own = set(_files()) | {str(up) for name in _files() for up in Path(name).parents}
    checked = 0
    for name in _documents():
        for path in re.findall(r"`((?:geo|stream|deploy|tests)/[\w./-]+)`", _text(name)):
            made = path.startswith(
                ("deploy/kafka/target", "deploy/secrets/", "deploy/config/", "deploy/migrations/NNNN")
            )
            checked += 1
            assert made or path.rstrip("/") in own, f"{name}: {path}"
    assert checked > 5


def test_the_glossary_has_every_activity_and_reason() -> None:
    """The glossary explains each activity of rule 11 and each reason for which a message is rejected."""
    words = {row[0].strip("`*") for row in _rows(INSIDE, "Glossary")}
    assert {*ACTIVITIES, *Reason} <= words


def test_the_rules_table_has_every_rule() -> None:
    """The table of interpretations has each accounting rule once, in order, with its parts."""
    heading = "The accounting rules and their interpretation"
    found = [re.findall(r"(\d+)([a-z]?)", row[0])[0] for row in _rows(INSIDE, heading)]
    numbers = [int(number) for number, part in found if not part]
    assert numbers == list(range(1, 23))
    assert found == sorted(found, key=lambda rule: (int(rule[0]), rule[1]))
    assert len(set(found)) == len(found)


def test_the_findings_are_told() -> None:
    """stream/README.md lists every finding about the facts once, with scopes that there are."""
    rows = _rows(INSIDE, "The findings about the facts")
    assert sorted(name for row in rows for name in re.findall(r"`(\w+)`", row[0])) == sorted(FINDINGS)
    assert all(set(row[1].split(", ")) <= set(SCOPES) for row in rows)


def test_the_layout_has_every_room() -> None:
    """Every module and package of stream is in stream/README.md's layout."""
    own = {Path(name).parts[1] for name in _files() if re.fullmatch(r"stream/(.+/)?\w+\.py", name)}
    listed = {
        Path(target).parts[0] for row in _rows(INSIDE, "Repository layout") for target in _links(row[0])
    }
    assert own - {"__init__.py"} == {item for item in listed if item != ".."}


def test_the_schema_is_told_in_brief() -> None:
    """Every table and view of the migrations is named in stream/README.md."""
    sql = "".join(_text(name) for name in _files() if re.fullmatch(r"deploy/migrations/.*\.sql", name))
    made = set(re.findall(r"^create (?:table|view) (\w+)", sql, re.MULTILINE))
    assert made - set(re.findall(r"`(\w+)`", _text(INSIDE))) <= {"activity"}


def test_the_changelog_says_what_is_unreleased() -> None:
    """The changelog has an Unreleased section with something in it, above all versions."""
    sections = re.findall(r"^## (.+)$", _text("CHANGELOG.md"), re.MULTILINE)
    assert sections[0] == "[Unreleased]"
    assert re.search(r"^## \[Unreleased\]\n(?s:.)+?^- ", _text("CHANGELOG.md"), re.MULTILINE)


def test_the_tests_are_told_by_folder_and_marker() -> None:
    """tests/README.md has every folder of tests and every marker."""
    told = _text("tests/README.md")
    for folder in {Path(name).parts[1] for name in _files() if re.fullmatch(r"tests/\w+/.+\.py", name)}:
        assert f"[{folder}/]" in told or f"\n| {folder}/ |" in told, folder
    markers = re.findall(r'^    "(\w+): ', _text("pyproject.toml").partition("markers = [")[2], re.MULTILINE)
    assert markers
    assert all(f"\n| `{marker}` |" in told for marker in markers)


# Written so that these lines are not what they look for.
PRIVATE = re.compile(
    rb"(?<![\w.$}])/(?:work|root|home/\w+|Users/\w+)\b"
    rb"|pypi[.]org|pythonhosted[.]org|registry[.]npmjs|registry[.]yarnpkg|repo1?[.]maven|deb[.]debian[.]org"
    rb"|security[.]debian[.]org|proxy[.]golang"
)


def test_no_file_names_a_machine_or_a_registry() -> None:
    """No file of the project holds a path of somebody's machine or the host of a package registry."""
    indexes = {name: value for name, value in os.environ.items() if re.search(r"(INDEX|REGISTRY)\w*$", name)}
    hosts = {host for value in indexes.values() if (host := urlsplit(value).hostname)}
    for name in _files():
        content = (PROJECT / name).read_bytes()
        found = PRIVATE.search(content)
        assert found is None, f"{name}: {found[0]!r}" if found else ""
        for host in hosts - {"localhost", "127.0.0.1"}:
            assert host.encode() not in content, f"{name}: {host}"


@pytest.mark.parametrize("text", ["see {}work/x", "cd {}root", "'{}home/ann/x'"])
def test_a_private_path_would_be_noticed(text: str) -> None:
    """Paths below a home or a work folder are found wherever they stand; paths that merely end so are not."""
    assert PRIVATE.search(text.format("/").encode())
    assert not PRIVATE.search(text.format("patrol/").encode())
