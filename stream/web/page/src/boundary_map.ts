/** The map of the boundary page: what is in force, what is in the file, and the findings. */

import {
  type ExpressionSpecification,
  type GeoJSONSource,
  type LayerSpecification,
  Map as MapLibre,
  NavigationControl,
  ScaleControl,
  type SourceSpecification,
  setWorkerUrl,
} from "maplibre-gl";
import { beside } from "./here.ts";
import { DARK, LIGHT } from "./palette.ts";
import { boxOf, labelPoint } from "./places.ts";

declare const MAP_WORKER: string;

const FONT = ["Inter Variable"];
const nothing = (): GeoJSON.FeatureCollection => ({ type: "FeatureCollection", features: [] });
type Shape = GeoJSON.Polygon | GeoJSON.MultiPolygon;

export const SEVERITIES = {
  light: { error: "#b00117", warning: "#a35c00", note: "#1b5e96" },
  dark: { error: "#ff8a8a", warning: "#ffc266", note: "#8cc4f5" },
};

export class BoundaryMap {
  private readonly map: MapLibre;
  private readonly data: Record<string, GeoJSON.FeatureCollection> = {
    now: nothing(),
    file: nothing(),
    names: nothing(),
    findings: nothing(),
    chosen: nothing(),
  };

  constructor(container: HTMLElement, dark: boolean, onPick: (row: number) => void) {
    setWorkerUrl(beside(MAP_WORKER));
    this.map = new MapLibre({
      container,
      style: { version: 8, sources: {}, layers: [] },
      attributionControl: false,
      dragRotate: false,
      pitchWithRotate: false,
      center: [-1.5, 52.7],
      zoom: 7,
      fadeDuration: 0,
    });
    this.map.touchZoomRotate.disableRotation();
    this.map.addControl(new NavigationControl({ showCompass: false }), "top-right");
    this.map.addControl(new ScaleControl({ unit: "metric" }), "bottom-right");
    this.map.getCanvas().setAttribute("aria-label", "Map of the findings. Arrow keys move it, plus and minus zoom.");
    this.map.getCanvas().setAttribute("aria-describedby", "map-note");
    this.map.on("click", (event) => {
      const { x, y } = event.point;
      const found = this.map.queryRenderedFeatures(
        [
          [x - 5, y - 5],
          [x + 5, y + 5],
        ],
        { layers: ["findings-point", "findings-line", "findings-fill"].filter((one) => this.map.getLayer(one)) },
      )[0];
      if (found) onPick(Number(found.properties["row"]));
    });
    this.dress(dark);
  }

  show(name: "now" | "file" | "findings" | "chosen", data: GeoJSON.FeatureCollection): void {
    this.give(name, data);
    if (name !== "file") return;
    this.give("names", {
      type: "FeatureCollection",
      features: data.features.flatMap((item) => {
        const shape = item.geometry as Shape | null;
        if (!shape || (shape.type !== "Polygon" && shape.type !== "MultiPolygon")) return [];
        return [{ type: "Feature", geometry: { type: "Point", coordinates: labelPoint(shape) }, properties: item.properties } as GeoJSON.Feature];
      }),
    });
  }

  /** Goes to what is shown under a name, or to one geometry. */
  go(what: "now" | "file" | GeoJSON.Geometry): void {
    const shapes = typeof what === "string" ? (this.data[what]?.features ?? []).map((item) => item.geometry) : [what];
    const boxes = shapes.flatMap((shape) => {
      const points = shape ? [...positions(shape)] : [];
      return points.length ? [{ type: "Polygon", coordinates: [points] } as Shape] : [];
    });
    const box = boxOf(boxes);
    if (!box) return;
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.map.fitBounds(
      [
        [box[0], box[1]],
        [box[2], box[3]],
      ],
      { padding: typeof what === "string" ? 24 : 90, maxZoom: 17, duration: calm || typeof what === "string" ? 0 : 500 },
    );
  }

  private give(name: string, data: GeoJSON.FeatureCollection): void {
    this.data[name] = data;
    (this.map.getSource(name) as GeoJSONSource | undefined)?.setData(data);
  }

  dress(dark: boolean): void {
    const p = dark ? DARK : LIGHT;
    const s = dark ? SEVERITIES.dark : SEVERITIES.light;
    const colour = ["match", ["get", "severity"], "error", s.error, "warning", s.warning, s.note] as unknown as ExpressionSpecification;
    const source = (name: string): SourceSpecification => ({ type: "geojson", data: this.data[name] ?? nothing() });
    this.map.setStyle(
      {
        version: 8,
        sources: Object.fromEntries(Object.keys(this.data).map((name) => [name, source(name)])),
        layers: [
          { id: "sea", type: "background", paint: { "background-color": p.ground } },
          { id: "file-fill", type: "fill", source: "file", paint: { "fill-color": p.unit["on_patch"], "fill-opacity": 0.08 } },
          { id: "now-line", type: "line", source: "now", paint: { "line-color": p.edge, "line-width": 2.5 } },
          { id: "file-line", type: "line", source: "file", paint: { "line-color": p.unit["on_patch"], "line-width": 1.2, "line-dasharray": [4, 2] } },
          { id: "findings-fill", type: "fill", source: "findings", filter: ["==", ["geometry-type"], "Polygon"], paint: { "fill-color": colour, "fill-opacity": 0.35 } },
          { id: "findings-line", type: "line", source: "findings", filter: ["!=", ["geometry-type"], "Point"], paint: { "line-color": colour, "line-width": 2.5 } },
          {
            id: "findings-point",
            type: "circle",
            source: "findings",
            filter: ["==", ["geometry-type"], "Point"],
            paint: { "circle-color": colour, "circle-radius": 6, "circle-stroke-color": p.unitEdge, "circle-stroke-width": 1.5 },
          },
          { id: "chosen-line", type: "line", source: "chosen", paint: { "line-color": p.select, "line-width": 4, "line-opacity": 0.85 } },
          {
            id: "chosen-point",
            type: "circle",
            source: "chosen",
            filter: ["==", ["geometry-type"], "Point"],
            paint: { "circle-color": "transparent", "circle-radius": 12, "circle-stroke-color": p.select, "circle-stroke-width": 3 },
          },
          {
            id: "names",
            type: "symbol",
            source: "names",
            layout: { "text-field": ["coalesce", ["get", "name"], ["get", "id"]], "text-font": FONT, "text-size": 11, "text-max-width": 8, "text-padding": 4 },
            paint: { "text-color": p.label, "text-halo-color": p.halo, "text-halo-width": 1.4 },
          },
        ] as LayerSpecification[],
      },
      { diff: false },
    );
  }
}

function* positions(shape: GeoJSON.Geometry): Generator<GeoJSON.Position> {
  if (shape.type === "GeometryCollection") {
    for (const one of shape.geometries) yield* positions(one);
    return;
  }
  const stack: unknown[] = [shape.coordinates];
  while (stack.length) {
    const top = stack.pop() as unknown[];
    if (typeof top[0] === "number") yield top as GeoJSON.Position;
    else stack.push(...top);
  }
}
