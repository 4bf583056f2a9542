/** A basemap of the force's own, below everything else: raster tiles, or a PMTiles file. None is the default. */

import { type LayerSpecification, type SourceSpecification, addProtocol } from "maplibre-gl";
import type { Basemap } from "./types.ts";
import type { Palette } from "./palette.ts";
import { HERE } from "./here.ts";

interface Below {
  sources: Record<string, SourceSpecification>;
  layers: LayerSpecification[];
}

let spoken = false;

export async function basemap(wanted: Basemap | null, palette: Palette): Promise<Below> {
  if (!wanted) return { sources: {}, layers: [] };
  const whole = (address: string) => new URL(address, document.baseURI).href.replaceAll("%7B", "{").replaceAll("%7D", "}");
  if (wanted.kind === "raster") {
    return {
      sources: { basemap: { type: "raster", tiles: [whole(wanted.tiles)], tileSize: 256, maxzoom: 19 } },
      layers: [raster(palette)],
    };
  }
  const address = whole(HERE + wanted.url);
  const { PMTiles, Protocol, TileType } = await import("pmtiles");
  if (!spoken) {
    addProtocol("pmtiles", new Protocol().tile);
    spoken = true;
  }
  const file = new PMTiles(address);
  const header = await file.getHeader();
  if (header.tileType !== TileType.Mvt) {
    return {
      sources: { basemap: { type: "raster", url: `pmtiles://${address}`, tileSize: 256 } },
      layers: [raster(palette)],
    };
  }
  const metadata = (await file.getMetadata()) as { vector_layers?: { id: string }[] };
  const there = new Set((metadata.vector_layers ?? []).map((layer) => layer.id));
  return {
    sources: { basemap: { type: "vector", url: `pmtiles://${address}` } },
    layers: drawn(there, palette),
  };
}

function raster(palette: Palette): LayerSpecification {
  const dark = palette.ground.startsWith("#1");
  return {
    id: "basemap",
    type: "raster",
    source: "basemap",
    paint: dark ? { "raster-saturation": -0.7, "raster-brightness-max": 0.45 } : { "raster-saturation": -0.4, "raster-opacity": 0.85 },
  };
}

/** Water, roads and rails under the names that the usual vector files give them; the rest would be clutter. */
function drawn(there: Set<string>, palette: Palette): LayerSpecification[] {
  const layers: LayerSpecification[] = [];
  const put = (name: string, layer: Record<string, unknown>) => {
    if (there.has(name)) layers.push({ id: `basemap-${name}`, source: "basemap", "source-layer": name, ...layer } as LayerSpecification);
  };
  for (const water of ["water", "ocean", "water_polygons"]) {
    put(water, { type: "fill", filter: ["==", ["geometry-type"], "Polygon"], paint: { "fill-color": palette.water } });
  }
  const width = ["interpolate", ["exponential", 1.6], ["zoom"], 9, 0.4, 12, 1, 16, 6];
  for (const road of ["roads", "transportation", "streets", "highways"]) {
    put(road, { type: "line", paint: { "line-color": palette.road, "line-width": width } });
  }
  return layers;
}
