"""A basemap of the force's own under the live page: raster tiles, and a PMTiles file, both made here."""

from __future__ import annotations

import contextlib
import gzip
import http.server
import json
import math
import struct
import threading
import zlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.shell.screen import (
    Visitor,
    serving_alone,
    visiting,
)
from tests.shell.town import MINUTE, duty, town_called

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from stream.embedded import EmbeddedDatabase

pytestmark = pytest.mark.slow

GREEN = (20, 160, 60)
ZOOMS = range(6, 15)
AROUND = (-1.06, 52.47, -0.90, 52.55)
"""What the tiles cover: the town and some way around it."""


@dataclass(slots=True)
class Ground:
    """A town's database and a browser."""

    dsn: str
    browser: Browser


@pytest.fixture(scope="module")
def ground(database_server: EmbeddedDatabase, browser: Browser) -> Iterator[Ground]:
    """A town in which somebody patrols."""
    with town_called(database_server, "page_basemap") as town:
        town.begin(duty("O1", "N1", town.now, town.now + 480 * MINUTE))
        town.put(R1="west")
        town.go(10)
        yield Ground(town.dsn, browser)


def tile_of(lon: float, lat: float, zoom: int) -> tuple[int, int]:
    """Column and row of the tile that holds a point."""
    side = 2**zoom
    y = 0.5 - math.asinh(math.tan(math.radians(lat))) / (2 * math.pi)
    return int((lon + 180) / 360 * side), int(y * side)


def pyramid() -> Iterator[tuple[int, int, int]]:
    """Zoom, column and row of every tile."""
    west, south, east, north = AROUND
    for zoom in ZOOMS:
        left, top = tile_of(west, north, zoom)
        right, bottom = tile_of(east, south, zoom)
        for column in range(left, right + 1):
            for row in range(top, bottom + 1):
                yield zoom, column, row


def picture() -> bytes:
    """A PNG tile: all green."""

    def part(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    rows = (b"\0" + bytes(GREEN) * 256) * 256
    head = struct.pack(">IIBBBBB", 256, 256, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b"")
    )


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A server of files that says nothing; its tiles may be used by any page."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""

    def end_headers(self) -> None:
        """With leave for other origins."""
        self.send_header("Access-Control-Allow-Origin", "*")
        super().end_headers()


@contextlib.contextmanager
def serving_files(folder: Path) -> Iterator[str]:
    """A server of files, on this machine alone."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def varint(value: int) -> bytes:
    """A whole number, seven bits a byte."""
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*found, value))


def hilbert(zoom: int, column: int, row: int) -> int:
    """The tile's number: along a Hilbert curve, after all tiles of the zooms before."""
    number = ((1 << 2 * zoom) - 1) // 3
    side = (1 << zoom) // 2
    while side:
        right, lower = int(bool(column & side)), int(bool(row & side))
        number += side * side * ((3 * right) ^ lower)
        if not lower:
            if right:
                column, row = side - 1 - column, side - 1 - row
            column, row = row, column
        side //= 2
    return number


def pmtiles(image: bytes) -> bytes:
    """A PMTiles file of the third version in which every tile is the same picture."""
    numbers = sorted(hilbert(*tile) for tile in pyramid())
    steps = [after - before for before, after in zip([0, *numbers], numbers, strict=False)]
    directory = gzip.compress(
        b"".join(
            (
                varint(len(numbers)),
                *(varint(step) for step in steps),
                *(varint(1) for _ in numbers),
                *(varint(len(image)) for _ in numbers),
                *(varint(1) for _ in numbers),  # each begins where the file's tiles begin
            )
        )
    )
    metadata = gzip.compress(json.dumps({"name": "town"}).encode())
    start = 127
    west, south, east, north = (round(value * 1e7) for value in AROUND)
    header = struct.pack(
        "<7sB11Q6B4iB2i",
        b"PMTiles",
        3,
        *(start, len(directory)),
        *(start + len(directory), len(metadata)),
        *(0, 0),
        *(start + len(directory) + len(metadata), len(image)),
        *(len(numbers), len(numbers), 1),
        *(0, 2, 1, 2),  # not clustered; directories and metadata by gzip, tiles as they are; PNG
        *(ZOOMS[0], ZOOMS[-1]),
        *(west, south, east, north),
        12,
        *((west + east) // 2, (south + north) // 2),
    )
    assert len(header) == start
    return header + directory + metadata + image


def colour_beside_the_town(visitor: Visitor) -> list[int]:
    """What is drawn a little north of the town, where there is nothing but the basemap."""
    found: list[int] = visitor.value(
        """() => new Promise((done) => {
             const { map } = patrol.map;
             map.once('render', () => {
               const gl = map.getCanvas().getContext('webgl2');
               const ratio = map.getCanvas().width / map.getCanvas().clientWidth;
               const { x, y } = map.project([-0.98, 52.5215]);
               const pixel = new Uint8Array(4);
               const up = map.getCanvas().height - y * ratio;
               gl.readPixels(Math.round(x * ratio), Math.round(up), 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
               done([...pixel]);
             });
             map.triggerRepaint();
           })"""
    )
    return found


def green(visitor: Visitor) -> bool:
    """Whether that is green: paler than the tile, but no grey."""
    red, greenness, blue, _ = colour_beside_the_town(visitor)
    return greenness > red + 30 and greenness > blue + 30


def drawn(visitor: Visitor) -> None:
    """Waits for the map with its areas."""
    visitor.until("() => patrol.map.map.getLayer('names') && patrol.map.has('neighbourhood', 'N1')", "a map")


def until_green(visitor: Visitor) -> None:
    """Waits for the basemap."""
    visitor.until("() => patrol.map.map.getLayer('basemap') !== undefined", "a basemap")
    visitor.until("() => patrol.map.map.areTilesLoaded()", "its tiles")
    visitor.eventually(lambda: green(visitor), "drawn a basemap")


def readable(visitor: Visitor) -> None:
    """Fails where the names of the neighbourhoods are not drawn."""
    names = "() => patrol.map.map.queryRenderedFeatures({ layers: ['names'] }).length === 2"
    visitor.until(names, "names")


def test_raster_tiles_lie_under_the_areas(ground: Ground, tmp_path: Path) -> None:
    """A folder of raster tiles behind an address is drawn under the areas, and nothing else is asked for."""
    image = picture()
    for zoom, column, row in pyramid():
        path = tmp_path / str(zoom) / str(column) / f"{row}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image)
    with (
        serving_files(tmp_path) as tiles,
        serving_alone(ground.dsn, basemap=f"{tiles}/{{z}}/{{x}}/{{y}}.png") as web,
        visiting(ground.browser, web.address) as visitor,
    ):
        drawn(visitor)
        until_green(visitor)
        readable(visitor)
        visitor.shot("basemap-raster")
        elsewhere = {url for url in visitor.asked if not url.startswith((web.address, "data:", "blob:"))}
        assert elsewhere
        assert all(url.startswith(f"{tiles}/") for url in elsewhere)
        assert not [line for line in visitor.complaints if "404" not in line]


def test_pmtiles_file_lies_under_the_areas(ground: Ground, tmp_path: Path) -> None:
    """A PMTiles file is served by the program itself and drawn under the areas; no other machine is asked."""
    path = tmp_path / "town.pmtiles"
    path.write_bytes(pmtiles(picture()))
    with (
        serving_alone(ground.dsn, basemap=str(path)) as web,
        visiting(ground.browser, web.address) as visitor,
    ):
        drawn(visitor)
        until_green(visitor)
        readable(visitor)
        visitor.shot("basemap-pmtiles")
        visitor.undisturbed(web.address)


def test_pictures_are_there_however_quickly_the_map_is_drawn_anew(ground: Ground) -> None:
    """Light and dark may follow each other within frames: no picture is missed, and the units are there."""
    with (
        serving_alone(ground.dsn) as web,
        visiting(ground.browser, web.address) as visitor,
    ):
        drawn(visitor)
        visitor.page.evaluate(
            """async () => {
                const frame = () => new Promise(requestAnimationFrame);
                for (let turn = 0; turn < 30; turn++) {
                    patrol.map.dress(turn % 2 === 0);
                    for (let wait = 0; wait < turn % 5; wait++) await frame();
                }
            }"""
        )
        readable(visitor)
        hatched = "() => patrol.map.map.listImages().includes('hatch')"
        visitor.until(hatched, "the hatching of what is missed")
        layers = "() => patrol.map.map.getLayersOrder().includes('units')"
        visitor.until(layers, "the layer of units")
        visitor.undisturbed(web.address)


def test_map_is_readable_without_a_basemap(ground: Ground) -> None:
    """Without any basemap the areas stand with their names on plain ground."""
    with (
        serving_alone(ground.dsn) as web,
        visiting(ground.browser, web.address) as visitor,
    ):
        drawn(visitor)
        readable(visitor)
        assert not green(visitor)
        visitor.undisturbed(web.address)


def test_basemap_that_is_away_leaves_the_map_readable(ground: Ground) -> None:
    """Where the basemap's tiles cannot be had, the areas and their names are drawn all the same."""
    with (
        serving_alone(ground.dsn, basemap="http://127.0.0.1:9/{z}/{x}/{y}.png") as web,
        visiting(ground.browser, web.address) as visitor,
    ):
        drawn(visitor)
        readable(visitor)
