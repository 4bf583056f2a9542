"""What damaged inputs are given to, and what may become of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, unquote_to_bytes

import numpy as np

from geo.areas import Kind
from geo.boundaries.crs import CrsError
from geo.boundaries.distrust import dataset_in, refuse_damaged, unpacked_archive
from geo.boundaries.formats import copied, format_of, refuse_pipes, refuse_references
from geo.boundaries.layer import LIMITS, AreaFileError
from geo.boundaries.reading import read_areas
from stream.core import frames, heard_frames
from stream.core.events import decode_duties, decode_positions, decode_states, uncountable
from stream.core.facts import SECOND
from stream.core.policy import Policies, limits
from stream.embedded import EmbeddedDatabase
from stream.files.foreign import ForeignError
from stream.files.roster.importing import tables_of
from stream.files.roster.mapping import RosterError, own_names, parse_mapping
from stream.files.roster.rows import choose, read_rows
from stream.settings import Settings
from stream.store.schema import connect, migrate
from stream.web.app import create_app
from tests import doctor_corpus, messages
from tests.core import boundary_corpus
from tests.damaged.mutating import TOKENS, damaged

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, MutableMapping, Sequence

RECEIVED: Final = 1_795_440_000 * SECOND
LIMITS_OF_RULES: Final = limits(Policies())


class DamageError(AssertionError):
    """What must not become of an input."""


class Target:
    """Something that takes inputs from outside.

    Attributes:
        together: how many inputs ``take`` is given at once.
    """

    together = 1

    def damage(self, chance: random.Random) -> list[Any]:
        """Inputs for one call of ``take``."""
        raise NotImplementedError

    def take(self, inputs: Sequence[Any]) -> None:
        """Gives it inputs, and looks at what comes of them.

        Raises:
            Exception: anything that it raises is a fault.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Leaves nothing behind."""


class Events(Target):
    """Messages of the raw topics, and frames of the internal ones."""

    together = 200

    def __init__(self) -> None:
        self.raw = [
            *(messages.POSITION, messages.DUTY, messages.STATE, messages.TRACCAR),
            *(b'{"time":1795420800}', b"[]", b"{}", b""),
        ]
        fixes = decode_positions([messages.POSITION] * 3, None, limits=LIMITS_OF_RULES)
        self.framed = [
            frames.encode(fixes.fixes),
            frames.encode_lines([messages.DUTY, messages.STATE]),
            heard_frames.encode(
                heard_frames.of_partitions(fixes, "radio.positions", {0: np.arange(3)}),
            ),
        ]

    def damage(self, chance: random.Random) -> list[Any]:
        """Messages and frames, three to one."""
        framed = [damaged(self.framed, chance) for _ in range(self.together // 4)]
        return [*framed, *(damaged(self.raw, chance) for _ in range(self.together - len(framed)))]

    def take(self, inputs: Sequence[Any]) -> None:
        """Each is taken or rejected, by every decoder, and what is taken can be framed."""
        received = np.full(len(inputs), RECEIVED, np.int64)
        for traccar in (False, True):
            found = decode_positions(inputs, received, limits=LIMITS_OF_RULES, traccar=traccar)
            _each_once(len(found.fixes), found.rejects, len(inputs))
            if frames.decode(frames.encode(found.fixes)).fixes.time.tolist() != found.fixes.time.tolist():
                raise DamageError("a frame has other fixes than went into it")
            if fault := uncountable(found.fixes):
                raise DamageError(f"taken and not countable: {fault}")
        for decode in (decode_duties, decode_states):
            taken, _, rejects = decode(inputs)
            _each_once(len(taken), rejects, len(inputs))
        for data in inputs:
            frames.decode_lines(data)
            with contextlib.suppress(frames.FrameError):
                uncountable(frames.decode(data).fixes)
            with contextlib.suppress(frames.FrameError):
                heard_frames.decode(data)


def _each_once(taken: int, rejects: Sequence[Any], offered: int) -> None:
    rejected = [reject.index for reject in rejects]
    if len(set(rejected)) != len(rejected) or taken + len(rejected) != offered:
        raise DamageError(f"{taken} taken and {len(rejected)} rejected of {offered}")
    for reject in rejects:
        one_line(f"{reject.reason} {reject.detail}")


def one_line(text: str, most: int = 2000) -> None:
    """What is told of a fault has to be a line, and text that any terminal and log takes.

    Raises:
        DamageError: it is not.
    """
    if "\n" in text or len(text) > most or not text.strip():
        raise DamageError(f"not one line: {text[:200]!r}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise DamageError(f"not text: {text[:200]!r}") from None


class Areas(Target):
    """Files of boundaries, in every form, up to where a process of its own opens them; each n-th beyond.

    Args:
        through: so many files are opened once by that process.
    """

    def __init__(self, through: int = 500) -> None:
        self._through = through
        self._count = 0
        with tempfile.TemporaryDirectory() as name:
            corpus = boundary_corpus
            makers = (corpus.geojson, corpus.gpkg, corpus.kml, corpus.shapefile, corpus.tab)
            made = [each(_folder(name, each.__name__)) for each in makers]
            self.corpus = [(path.suffix, path.read_bytes()) for path in made if path.is_file()]
        self._own = tempfile.TemporaryDirectory(dir=_memory())

    def damage(self, chance: random.Random) -> list[Any]:
        """A file with its ending, which may be another's."""
        suffix, _ = chance.choice(self.corpus)
        mine = [data for each, data in self.corpus if each == suffix]
        data = damaged(mine if chance.random() < 0.9 else [data for _, data in self.corpus], chance)
        return [(suffix, data)]

    def close(self) -> None:
        """Removes the folder that files are written into."""
        self._own.cleanup()

    def take(self, inputs: Sequence[Any]) -> None:
        """It is refused with a line, or found fit to be opened."""
        [(suffix, data)] = inputs
        path = Path(self._own.name, f"sent{suffix}")
        path.write_bytes(data)
        self._count += 1
        try:
            if self._count % self._through == 0:
                read_areas(path, Kind.NEIGHBOURHOOD)
                return
            refuse_pipes(path, path.name)
            with (
                unpacked_archive(path, LIMITS) as folder,
                tempfile.TemporaryDirectory(dir=self._own.name) as own,
            ):
                found, _ = dataset_in(folder or path, path.name, None)
                form = format_of(found, path.name)
                dataset = copied(found, form, Path(own).resolve(), path.name, LIMITS)
                refuse_damaged(dataset, path.name, LIMITS)
                refuse_references(dataset, form, path.name)
        except (AreaFileError, CrsError) as refusal:
            one_line(str(refusal))
        if path.read_bytes() != data:
            raise DamageError("the file was changed")


def _folder(above: str, name: str) -> Path:
    folder = Path(above, name)
    folder.mkdir()
    return folder


def _memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None  # millions of small files


class Rosters(Target):
    """Exports of duty systems, with their mappings."""

    def __init__(self) -> None:
        exports = [*doctor_corpus.roster_exports(), *doctor_corpus.state_exports()]
        # A workbook is opened by a process of its own, which takes its time.
        self.texts = [
            (each.file, each.content[:1500]) for each in exports if not each.content.startswith(b"PK")
        ]
        names = b'[columns]\nofficer_id = "Collar No"\nstart = "Start Time"\nend = "End Time"\n'
        self.mappings = [
            names + b'date = "Duty Date"\n',
            names + b'[times]\nzone = "Europe/London"\n',
            b'[states]\nrest = 4\n[columns]\nofficer_id = "id"\ntime = "time"\nstate = "state"\n',
        ]
        self._own = tempfile.TemporaryDirectory(dir=_memory())

    def damage(self, chance: random.Random) -> list[Any]:
        """A file, and a mapping."""
        name, _ = chance.choice(self.texts)
        data = damaged([data for _, data in self.texts], chance)
        mapping = damaged(self.mappings, chance) if chance.random() < 0.3 else chance.choice(self.mappings)
        return [(Path(name).suffix, data, mapping)]

    def close(self) -> None:
        """Removes the folder that files are written into."""
        self._own.cleanup()

    def take(self, inputs: Sequence[Any]) -> None:
        """It is read row by row, each of which is taken or refused with a line; or refused as a whole."""
        [(suffix, data, mapping)] = inputs
        path = Path(self._own.name, f"sent{suffix}")
        path.write_bytes(data)
        try:
            understood = parse_mapping(mapping.decode(errors="replace"))
        except RosterError as refusal:
            one_line(str(refusal))
            understood = None
        try:
            found = tables_of(path, understood)
            for table in found:
                own = own_names(table.columns)
                for each in filter(None, (understood, own)):
                    with contextlib.suppress(RosterError):
                        read = read_rows(table, each)
                        for row in read.refused:
                            one_line(row.detail)
            choose(found, understood)
        except (ForeignError, RosterError) as refusal:
            one_line(str(refusal), 4000)
        if path.read_bytes() != data:
            raise DamageError("the file was changed")


class Api(Target):
    """Requests to the application in this process, over an empty database.

    Args:
        database: an empty one.
    """

    together = 20

    def __init__(self, database: str) -> None:
        with connect(database) as connection:
            migrate(connection)
        self._app = create_app(replace(Settings(database=database), clock="events"))
        document = self._app.openapi()
        self.operations = [
            (method.upper(), path, [item["name"] for item in operation.get("parameters", ())])
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
            if "stream" not in path
        ]
        self.operations += [("GET", path, []) for path in _PAGES]
        self._runner = asyncio.Runner()
        self._values = [b"N1", b"2026-W05", b"2026-01", b"1", b"neighbourhoods", b"bbox", b"0,0,1,1", *TOKENS]

    def damage(self, chance: random.Random) -> list[Any]:
        """Requests: method, path, query, headers, body."""
        return [self._request(chance) for _ in range(self.together)]

    def _request(self, chance: random.Random) -> tuple[str, bytes, bytes, list[tuple[bytes, bytes]], bytes]:
        method, path, names = chance.choice(self.operations)
        if chance.random() < 0.05:
            method = chance.choice(["HEAD", "OPTIONS", "PUT", "TRACE", "PATCH", "DELETE", "X" * 50])
        parts = [self._filled(part, chance) for part in path.encode().split(b"/")]
        query = b"&".join(
            quote(name).encode() + b"=" + self._said(chance)
            for name in names
            for _ in range(chance.choice([0, 1, 1, 2]))
        )
        headers = [(b"host", b"localhost")]
        headers += [(name, self._said(chance)) for name in _HEADERS if chance.random() < 0.1]
        body = b""
        if method not in {"GET", "HEAD"}:
            body = damaged(_BODIES, chance)
            if not any(name == b"content-type" for name, _ in headers):
                headers.append((b"content-type", chance.choice(_TYPES)))
        return method, b"/".join(parts), query, headers, body

    def _filled(self, part: bytes, chance: random.Random) -> bytes:
        return self._said(chance) if part.startswith(b"{") or chance.random() < 0.02 else part

    def _said(self, chance: random.Random) -> bytes:
        value = damaged(self._values, chance) if chance.random() < 0.6 else chance.choice(self._values)
        value = value[:2000].replace(b"\n", b"").replace(b"\r", b"").replace(b"\x00", b"")
        return quote(value, safe="!$'()*+,;:@=~").encode() if chance.random() < 0.9 else _visible(value)

    def close(self) -> None:
        """Ends the application, and its connections."""

        async def over() -> None:
            async with self._app.router.lifespan_context(self._app):
                pass

        self._runner.run(over())
        self._runner.close()

    def take(self, inputs: Sequence[Any]) -> None:
        """Each gets an answer, which is no fault of the server's."""
        self._runner.run(self._all(inputs))

    async def _all(self, inputs: Sequence[Any]) -> None:
        for method, path, query, headers, body in inputs:
            status = await self._one(method, path, query, headers, body)
            if status >= 500 and status not in {501, 503}:
                raise DamageError(
                    f"{status}: {method} {path[:300]!r}?{query[:300]!r} {headers} {body[:300]!r}"
                )

    async def _one(
        self, method: str, path: bytes, query: bytes, headers: list[tuple[bytes, bytes]], body: bytes
    ) -> int:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote_to_bytes(path).decode("utf-8", "replace"),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": [*headers, (b"content-length", str(len(body)).encode())],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        sent: list[MutableMapping[str, Any]] = []
        told = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def receive() -> dict[str, Any]:
            return next(told, {"type": "http.disconnect"})

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        await self._app(scope, receive, send)
        return int(sent[0]["status"])


_PAGES = ("/", "/weeks", "/months", "/postcode", "/restatements", "/boundaries", "/basemap.pmtiles")
_HEADERS = (b"accept", b"cookie", b"range", b"if-none-match", b"content-type", b"origin", b"accept-language")
_TYPES = (
    *(b"application/json", b"multipart/form-data; boundary=x"),
    *(b"application/x-www-form-urlencoded", b"text/x"),
)
_BODIES = [
    json.dumps({"by": "A", "minutes": 30, "why": "x"}).encode(),
    b"{}",
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.geojson"\r\n\r\n{}\r\n--x--\r\n',
    b"by=A&minutes=30",
]


def _visible(value: bytes) -> bytes:
    return bytes(byte for byte in value if 0x20 < byte < 0x7F and byte not in b"?#")


NAMES: Final = ("events", "areas", "rosters", "api")


@contextlib.contextmanager
def target(name: str) -> Iterator[Target]:
    """A target by name; the API's has a database of its own."""
    with contextlib.ExitStack() as stack:
        if name == "api":
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            folder.chmod(0o755)  # the server runs as another user
            server = stack.enter_context(EmbeddedDatabase(folder / "database"))
            found: Target = Api(server.dsn)
        else:
            found = {"events": Events, "areas": Areas, "rosters": Rosters}[name]()
        stack.callback(found.close)
        yield found
