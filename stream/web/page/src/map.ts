/**
 * The map: neighbourhoods by share and verdict, priority areas by their wait, premises, units.
 *
 * No basemap is needed and nothing is fetched: letters and pictures are drawn here. All units are one layer that is
 * given anew at most once a second; no element of the page stands for a unit.
 */

import {
  type ExpressionSpecification,
  type GeoJSONSource,
  type LayerSpecification,
  Map as MapLibre,
  type MapGeoJSONFeature,
  NavigationControl,
  ScaleControl,
  type SourceSpecification,
  type StyleSpecification,
  setWorkerUrl,
} from "maplibre-gl";
import type { Areas } from "./types.ts";
import { basemap } from "./basemap.ts";
import { beside } from "./here.ts";
import { addPicture } from "./icons.ts";
import { type Lettering, shift } from "./labels.ts";
import { DARK, LIGHT, type Palette } from "./palette.ts";
import { type Box, boxOf, labelPoint } from "./places.ts";
import { state } from "./state.ts";
import type { Way } from "./track.ts";
import { linesOf, Trail, TRAIL_POINTS } from "./trail.ts";
import { UnitsLayer } from "./units_layer.ts";
import { activityWords, ago, clockS, duration, noFigure, nobodyOnPatch, percent, since, verdictClass, waiting } from "./words.ts";
import { wholeForce } from "./mine.ts";

declare const MAP_WORKER: string;

const FONT = ["Inter Variable"];
const NAME_SIZES = [[8, 10.5], [11, 13], [14, 15]] as const;
const WAIT_SIZES = [[8, 9.5], [12, 11.5]] as const;
/** From this zoom on a priority area's label has its name, too. */
const NAMED_ZOOM = 13;
const HOUSE_SIZES = [[13, 11]] as const;
const HOUSE_WIDEST = 10;
/** How far below a house its name stands, ems. */
const HOUSE_BELOW = 0.9;
const NAME_WIDEST = 9;
const WAIT_WIDEST = 30;
/** What lies over the map's upper and lower edge: its buttons, its key and scale. */
const OVER_TOP = 54;
const OVER_BOTTOM = 46;
const UNITS_MS = 1_000;
const MIN_FIT = 100;
/** How far from a unit a pointer still means it, pixels: at least the 24 px across that a finger needs. */
const REACH = 12;
const TRAIL_MS = 10 * 60_000;
const MOST_TRAILS = 150_000;

type Collection = GeoJSON.FeatureCollection;
const nothing = (): Collection => ({ type: "FeatureCollection", features: [] });
const feature = (geometry: GeoJSON.Geometry, properties: GeoJSON.GeoJsonProperties): GeoJSON.Feature => ({
  type: "Feature",
  geometry,
  properties,
});

export interface Hit {
  kind: "unit" | "neighbourhood" | "priority" | "premises";
  id: string;
  officer?: string | null;
}

export interface MapOptions {
  onPick(hit: Hit): void;
  onHover(words: string[] | null, x: number, y: number): void;
  dark: boolean;
  scale: number;
}

export class LiveMap {
  readonly map: MapLibre;
  readonly linesOf = linesOf;
  trails = false;
  private palette: Palette;
  private readonly unitsLayer: UnitsLayer;
  private areas: Areas | null = null;
  private box: Box | null = null;
  private points = new Map<string, [number, number]>();
  private readonly paths = new Map<string, Trail>();
  private selected = "";
  private highlighted = "";
  private unitsDue = 0;
  private unitsAsked = 0;
  private figuresSaid = "";
  private areasSaid = "";
  private readonly data: Record<string, Collection> = {
    neighbourhoods: nothing(),
    names: nothing(),
    priority: nothing(),
    waits: nothing(),
    premises: nothing(),
    houses: nothing(),
    trails: nothing(),
    track: nothing(),
    ignored: nothing(),
    now: nothing(),
  };
  /** Milliseconds that making and handing over the units took, the last 600 times. */
  readonly handed: number[] = [];

  constructor(
    container: HTMLElement,
    private readonly options: MapOptions,
  ) {
    setWorkerUrl(beside(MAP_WORKER));
    this.palette = options.dark ? DARK : LIGHT;
    this.unitsLayer = new UnitsLayer(this.palette, () => options.scale);
    this.map = new MapLibre({
      container,
      style: { version: 8, sources: {}, layers: [] },
      attributionControl: false,
      dragRotate: false,
      pitchWithRotate: false,
      touchPitch: false,
      maxZoom: 18,
      minZoom: 5,
      center: [-1.5, 52.7],
      zoom: 8,
      fadeDuration: 0,
      canvasContextAttributes: { antialias: true },
    });
    this.map.touchZoomRotate.disableRotation();
    this.map.keyboard.disableRotation();
    this.map.addControl(new NavigationControl({ showCompass: false }), "top-right");
    this.map.addControl(new ScaleControl({ unit: "metric", maxWidth: 90 }), "bottom-right");
    // A style's pictures are drawn when asked for: tiles of the style before may ask the new one before it has loaded.
    this.map.setMissingStyleImageResolver((name) => addPicture(this.map, name, this.palette));
    this.map.on("style.load", () => {
      if (!this.map.getLayer("waits-other")) return; // the empty style that a map begins with
      this.unitsLayer.dress(this.palette);
      this.map.addLayer(this.unitsLayer, "waits-other");
      this.setShares();
      this.select(this.selected);
    });
    const canvas = this.map.getCanvas();
    canvas.setAttribute("aria-label", "Map. Arrow keys move it, plus and minus zoom. Everything on it is also in the lists.");
    canvas.setAttribute("aria-describedby", "map-note");
    this.map.on("click", (event) => {
      const hit = this.hit(event.point.x, event.point.y);
      if (hit) options.onPick(hit);
    });
    this.map.on("mousemove", (event) => this.hover(event.point.x, event.point.y));
    this.map.on("mouseout", () => options.onHover(null, 0, 0));
    this.map.on("movestart", () => options.onHover(null, 0, 0));
    // A map that was hidden when it was made (on a phone) is fitted when it is first seen.
    this.map.on("resize", () => {
      if (this.fitted < MIN_FIT && this.map.getContainer().clientWidth >= MIN_FIT) this.whole(false);
    });
    // What would be cut at the edge is moved in; where the edge is shows when the map rests.
    this.map.on("moveend", () => {
      this.figures();
      this.waits();
      this.houses();
    });
    state.on(["units"], () => this.askUnits());
    state.on(["figures"], () => this.figures());
    state.on(["areas"], () => this.waits());
    window.setInterval(() => this.waits(), 10_000);
  }

  /** Draws everything anew in light or dark. */
  async dress(dark: boolean, scale = this.options.scale): Promise<void> {
    this.options.scale = scale;
    this.palette = dark ? DARK : LIGHT;
    const turn = ++this.dressed;
    const below = await basemap(state.settings.basemap, this.palette).catch(() => ({ sources: {}, layers: [] }));
    // Letters are drawn from the page's own font, which must be there first.
    await document.fonts.load(`600 16px ${FONT[0]}`).catch(() => undefined);
    // Who wished for something else meanwhile is served by the later call.
    if (turn !== this.dressed) return;
    this.figuresSaid = "";
    this.areasSaid = "";
    this.figures(false);
    this.waits(false);
    this.map.setStyle(this.style(below.sources, below.layers), { diff: false });
  }

  private dressed = 0;

  setAreas(areas: Areas): void {
    this.areas = areas;
    this.points.clear();
    for (const kind of ["neighbourhood", "priority", "premises"] as const) {
      for (const item of areas[kind].features) {
        Object.assign(item.properties, { area_id: item.id }); // what layers know an area by
        this.points.set(`${kind}:${item.id}`, labelPoint(item.geometry));
      }
    }
    this.box = boxOf(areas.neighbourhood.features.map((item) => item.geometry));
    this.give("neighbourhoods", areas.neighbourhood);
    this.give("priority", areas.priority);
    this.give("premises", areas.premises);
    this.houses();
    this.figuresSaid = "";
    this.areasSaid = "";
    this.figures();
    this.waits();
    this.whole(false);
  }

  private houses(): void {
    const how = this.lettering(HOUSE_SIZES, [1], HOUSE_WIDEST, 2);
    const features = (this.areas?.premises.features ?? []).map((item) => {
      const point = this.point("premises", item.id);
      const [along] = shift(this.map, point, [item.properties.name], how);
      return feature({ type: "Point", coordinates: point }, { ...item.properties, shift: [along, HOUSE_BELOW] });
    });
    const before = this.data["houses"]?.features;
    if (JSON.stringify(before) !== JSON.stringify(features)) this.give("houses", { type: "FeatureCollection", features });
  }

  /** Shows the whole force. */
  whole(animate = true): void {
    if (!this.box) return;
    this.fitted = this.map.getContainer().clientWidth;
    this.fit(this.box, 26, animate, [OVER_TOP, OVER_BOTTOM]);
  }

  private fitted = 0;

  fit(box: Box, padding = 60, animate = true, [over, under]: [number, number] = [0, 0]): void {
    const [west, south, east, north] = box;
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.map.fitBounds(
      [
        [west, south],
        [east, north],
      ],
      {
        padding: {
          left: padding * this.options.scale,
          right: padding * this.options.scale,
          top: Math.max(padding, over) * this.options.scale,
          bottom: Math.max(padding, under) * this.options.scale,
        },
        maxZoom: 15,
        duration: animate && !calm ? 500 : 0,
      },
    );
  }

  /** Marks a neighbourhood, and goes there where asked. */
  select(id: string, go = false): void {
    this.selected = id;
    if (this.map.getLayer("selected")) this.map.setFilter("selected", ["==", ["get", "area_id"], id]);
    if (go) this.goTo("neighbourhood", id);
  }

  /** Marks a priority area, and goes there. */
  showPriority(id: string): void {
    this.highlighted = id;
    if (this.map.getLayer("priority-selected")) {
      this.map.setFilter("priority-selected", ["==", ["get", "area_id"], id]);
    }
    if (id) this.goTo("priority", id, 140);
  }

  private goTo(kind: "neighbourhood" | "priority", id: string, padding = 60): void {
    const found = this.areas?.[kind].features.find((item) => item.id === id);
    const box = found && boxOf([found.geometry]);
    if (box) this.fit(box, padding);
  }

  /**
   * Shows an officer's way, coloured by what each part of it counted as, and a small cross for every fix that was
   * ignored; null takes it away.
   *
   * @param go whether the map goes there.
   */
  showTrack(way: Way | null, go = true): void {
    const lines = way?.stretches() ?? [];
    this.give("track", {
      type: "FeatureCollection",
      features: lines.map(({ activity, line }) => feature({ type: "LineString", coordinates: line }, { activity })),
    });
    this.give("ignored", {
      type: "FeatureCollection",
      features: (way?.ignored ?? []).map(({ time, at }) => feature({ type: "Point", coordinates: at }, { time })),
    });
    const box = go && boxOf([{ type: "MultiPolygon", coordinates: lines.map(({ line }) => [line]) }]);
    if (box) this.fit(box, 50);
    if (this.map.getLayer("missed")) {
      this.unitsLayer.strength = way ? 0.25 : 1;
      for (const layer of ["missed", "unproven"]) this.map.setPaintProperty(layer, "fill-opacity", way ? 0.2 : 1);
    }
    if (!way) this.give("now", nothing());
  }

  /** The playback's hand on the map. */
  showNow(at: [number, number] | null): void {
    this.give("now", at ? { type: "FeatureCollection", features: [feature({ type: "Point", coordinates: at }, {})] } : nothing());
  }

  setTrails(on: boolean): void {
    this.trails = on;
    if (!on) this.give("trails", nothing());
    this.askUnits();
  }

  nameOf(kind: keyof Omit<Areas, "version">, id: string): string {
    return this.areas?.[kind].features.find((item) => item.id === id)?.properties.name ?? id;
  }

  /** Whether there is an area of that kind and id; null while that is unknown. */
  has(kind: keyof Omit<Areas, "version">, id: string): boolean | null {
    return this.areas && this.areas[kind].features.some((item) => item.id === id);
  }

  private point(kind: string, id: string): [number, number] {
    return this.points.get(`${kind}:${id}`) ?? [0, 0];
  }

  private give(name: string, data: Collection): void {
    this.data[name] = data;
    (this.map.getSource(name) as GeoJSONSource | undefined)?.setData(data);
  }

  // ── Figures ─────────────────────────────────────────────────────────────────────────────────────────────

  private figures(draw = true): void {
    if (!this.areas) return;
    const features: GeoJSON.Feature[] = [];
    for (const item of this.areas.neighbourhood.features) {
      const id = item.id;
      const share = state.neighbourhoods.get(id);
      const verdict = verdictClass(share?.verdict ?? null);
      const nobody = share ? nobodyOnPatch(share) : false;
      const figure =
        !share || share.share === null
          ? share
            ? noFigure(share)
            : wholeForce()
              ? "no duty"
              : ""
          : `${percent(share.share, share.target)} ${share.verdict ?? ""}`;
      const name = share?.name ?? item.properties.name;
      const lines = [name, ...(figure ? [figure] : []), ...(nobody ? ["nobody on patch"] : [])];
      const point = this.point("neighbourhood", id);
      features.push(
        feature(
          { type: "Point", coordinates: point },
          {
            area_id: id,
            name,
            figure: lines.slice(1).join("\n"),
            shift: shift(this.map, point, lines, this.lettering(NAME_SIZES, [1, 0.86], NAME_WIDEST, 2)),
            order: nobody ? 0 : verdict === "missed" ? 1 : verdict === "unproven" ? 2 : verdict === "met" ? 3 : 4,
            verdict,
            nobody,
          },
        ),
      );
    }
    const said = JSON.stringify(features.map((item) => item.properties));
    if (said === this.figuresSaid) return;
    this.figuresSaid = said;
    this.data["names"] = { type: "FeatureCollection", features };
    if (!draw) return;
    this.give("names", this.data["names"]);
    this.setShares();
  }

  private lettering(sizes: Lettering["sizes"], parts: readonly number[], widest: number, around: number): Lettering {
    const k = this.options.scale;
    return { font: `"${FONT[0]}"`, sizes: sizes.map(([zoom, size]) => [zoom, size * k] as const), parts, widest, around: around * k };
  }

  private setShares(): void {
    if (!this.map.getSource("neighbourhoods")) return;
    const by: Record<string, string[]> = { missed: [], unproven: [], nobody: [] };
    for (const item of this.data["names"]?.features ?? []) {
      const { area_id, verdict, nobody } = item.properties as { area_id: string; verdict: string; nobody: boolean };
      by[verdict]?.push(area_id);
      if (nobody) by["nobody"]?.push(area_id);
      const share = state.neighbourhoods.get(area_id)?.share ?? -1;
      this.map.setFeatureState({ source: "neighbourhoods", id: area_id }, { share });
    }
    for (const [layer, name] of [
      ["missed", "missed"],
      ["unproven", "unproven"],
      ["nobody", "nobody"],
    ] as const) {
      const filter: ExpressionSpecification = ["in", ["get", "area_id"], ["literal", by[name] ?? []]];
      if (JSON.stringify(this.map.getFilter(layer)) !== JSON.stringify(filter)) this.map.setFilter(layer, filter);
    }
  }

  private waits(draw = true): void {
    if (!this.areas) return;
    const features: GeoJSON.Feature[] = [];
    for (const item of this.areas.priority.features) {
      const id = item.id;
      const area = state.areas.get(id);
      const standing = !area ? "closed" : area.someone_there ? "there" : area.overdue ? "overdue" : area.in_hours ? "open" : "closed";
      const name = area?.name ?? item.properties.name;
      const wait = area ? (area.someone_there ? "now" : waiting(area, state.now)) : "";
      const point = this.point("priority", id);
      const line = this.map.getZoom() < NAMED_ZOOM ? wait : `${name} · ${wait}`;
      features.push(
        feature(
          { type: "Point", coordinates: point },
          {
            area_id: id,
            name,
            wait,
            shift: shift(this.map, point, [line], this.lettering(WAIT_SIZES, [1], WAIT_WIDEST, 8)),
            standing,
            order: { overdue: 0, open: 1e6, there: 2e6, closed: 3e6 }[standing] - ((area && since(area, state.now)) ?? 9e5) / 60,
          },
        ),
      );
    }
    const said = JSON.stringify(features.map((item) => item.properties));
    if (said === this.areasSaid) return;
    this.areasSaid = said;
    this.data["waits"] = { type: "FeatureCollection", features };
    if (!draw) return;
    this.give("waits", this.data["waits"]);
    for (const item of features) {
      const { area_id, standing } = item.properties as { area_id: string; standing: string };
      if (this.map.getSource("priority")) {
        this.map.setFeatureState({ source: "priority", id: area_id }, { open: standing !== "closed", overdue: standing === "overdue" });
      }
    }
  }

  // ── Units ───────────────────────────────────────────────────────────────────────────────────────────────

  private askUnits(): void {
    if (this.unitsAsked) return;
    const wait = Math.max(0, this.unitsDue - performance.now());
    this.unitsAsked = window.setTimeout(() => {
      this.unitsAsked = 0;
      this.unitsDue = performance.now() + UNITS_MS;
      if (!document.hidden) this.units();
    }, wait);
  }

  private units(): void {
    const began = performance.now();
    const now = state.now;
    this.unitsLayer.show(state.units.values(), now);
    for (const unit of state.units.values()) {
      let trail = this.paths.get(unit.id);
      if (!trail) {
        trail = new Trail();
        this.paths.set(unit.id, trail);
      }
      trail.add(unit.lon, unit.lat, unit.t);
    }
    if (this.paths.size > state.units.size) {
      for (const id of this.paths.keys()) if (!state.units.has(id)) this.paths.delete(id);
    }
    if (this.trails) this.drawTrails(now);
    this.handed.push(performance.now() - began);
    if (this.handed.length > 600) this.handed.shift();
  }

  /** Where the units in view came from; with very many, only the newest stretch of each. */
  private drawTrails(now: number): void {
    const view = this.map.getBounds();
    const seen = [...state.units.values()].filter((unit) => view.contains([unit.lon, unit.lat]));
    const most = Math.max(4, Math.min(TRAIL_POINTS, Math.floor(MOST_TRAILS / 10 / Math.max(1, seen.length))));
    const features: GeoJSON.Feature[] = [];
    for (const unit of seen) {
      const coordinates = this.paths.get(unit.id)?.lines(now - TRAIL_MS, most, state.settings) ?? [];
      if (coordinates.length) {
        features.push(feature({ type: "MultiLineString", coordinates }, { activity: unit.activity ?? "none" }));
      }
    }
    this.give("trails", { type: "FeatureCollection", features });
  }

  // ── What is under the pointer ───────────────────────────────────────────────────────────────────────────

  private under(x: number, y: number, layers: string[]): MapGeoJSONFeature | undefined {
    const there = layers.filter((layer) => this.map.getLayer(layer));
    if (!there.length) return undefined;
    return this.map.queryRenderedFeatures([x, y], { layers: there })[0];
  }

  private hit(x: number, y: number): Hit | null {
    const unit = this.unitsLayer.near(x, y, REACH);
    if (unit) return { kind: "unit", id: unit.id, officer: unit.officer };
    const wait = this.under(x, y, ["waits", "waits-other"]) ?? this.under(x, y, ["priority-fill"]);
    if (wait) return { kind: "priority", id: String(wait.properties["area_id"]) };
    const ground = this.under(x, y, ["ground"]);
    if (ground) return { kind: "neighbourhood", id: String(ground.properties["area_id"]) };
    return null;
  }

  private hover(x: number, y: number): void {
    const canvas = this.map.getCanvas();
    const unit = this.unitsLayer.near(x, y, REACH);
    if (unit) {
      canvas.style.cursor = "pointer";
      const what = unit.kind ? "vehicle" : "radio";
      const age = ago((state.now - unit.t) / 1000);
      const device = unit.name ? ` · ${what} ${unit.id}` : "";
      this.options.onHover([unit.name ?? `${what} ${unit.id}`, `${activityWords(unit.activity)} · ${age}${device}`], x, y);
      return;
    }
    const ignored = this.under(x, y, ["ignored"]);
    if (ignored) {
      return this.options.onHover([`Ignored position, ${clockS(Number(ignored.properties["time"]))}`, "no movement explains it (rule 3)"], x, y);
    }
    const house = this.under(x, y, ["houses", "premises-fill"]);
    if (house) return this.options.onHover([String(house.properties["name"]), "premises: time inside is not visible"], x, y);
    const priority = this.under(x, y, ["waits", "waits-other"]) ?? this.under(x, y, ["priority-fill"]);
    if (priority) {
      const area = state.areas.get(String(priority.properties["area_id"]));
      canvas.style.cursor = "pointer";
      if (area) {
        const when = [area.days, area.hours].filter(Boolean).join(" ") || "any time";
        return this.options.onHover(
          [
            area.name,
            [area.issue, `${area.in_hours ? "in its hours now" : "outside its hours"} (${when})`].filter(Boolean).join(" · "),
            area.someone_there ? `${area.someone_there} there now` : area.last_visit_end ? `last visit ${duration(since(area, state.now))} ago` : "no visit yet",
          ],
          x,
          y,
        );
      }
    }
    const ground = this.under(x, y, ["ground"]);
    canvas.style.cursor = ground ? "pointer" : "";
    const share = ground && state.neighbourhoods.get(String(ground.properties["area_id"]));
    if (share) {
      this.options.onHover(
        [
          share.name,
          share.share === null ? noFigure(share) : `${percent(share.share, share.target)} on patch · ${share.verdict ?? ""}`,
          share.officers_on_duty ? `${share.officers_on_patch} of ${share.officers_on_duty} officers on patch` : "",
        ].filter(Boolean),
        x,
        y,
      );
    } else this.options.onHover(null, 0, 0);
  }

  // ── Style ───────────────────────────────────────────────────────────────────────────────────────────────

  private style(below: Record<string, SourceSpecification>, lower: LayerSpecification[]): StyleSpecification {
    const p = this.palette;
    const k = this.options.scale;
    const source = (name: string, more: Record<string, unknown> = {}): SourceSpecification =>
      ({ type: "geojson", data: this.data[name] ?? nothing(), ...more }) as SourceSpecification;
    const colour = ["match", ["get", "activity"], ...Object.entries(p.unit).flat(), p.unit["none"]] as unknown as ExpressionSpecification;
    const share = ["feature-state", "share"] as unknown as ExpressionSpecification;
    const solid = lower.length ? 0.62 : 1;
    const sizes = (stops: Lettering["sizes"]) =>
      ["interpolate", ["linear"], ["zoom"], ...stops.flatMap(([zoom, size]) => [zoom, size * k])] as unknown as ExpressionSpecification;
    // Where features are asked for, not drawn, lists have become text.
    const shifted = ["get", "shift"];
    const moved = [
      ...["case", ["==", ["typeof", shifted], "string"], ["literal", [0, 0]]],
      ["array", "number", 2, shifted],
    ] as unknown as ExpressionSpecification;
    return {
      version: 8,
      sources: {
        ...below,
        neighbourhoods: source("neighbourhoods", { promoteId: "area_id", tolerance: 0.2 }),
        names: source("names"),
        priority: source("priority", { promoteId: "area_id" }),
        waits: source("waits"),
        premises: source("premises"),
        houses: source("houses"),
        trails: source("trails", { maxzoom: 14 }),
        track: source("track"),
        ignored: source("ignored"),
        now: source("now"),
      },
      layers: [
        { id: "sea", type: "background", paint: { "background-color": p.ground } },
        ...lower,
        {
          id: "ground",
          type: "fill",
          source: "neighbourhoods",
          paint: {
            "fill-color": [
              "case",
              ["<", ["coalesce", share, -1], 0],
              p.none,
              ["interpolate", ["linear"], ["coalesce", share, 0], ...p.scale.flat()],
            ] as unknown as ExpressionSpecification,
            "fill-opacity": solid,
          },
        },
        {
          id: "missed",
          type: "fill",
          source: "neighbourhoods",
          filter: ["in", ["get", "area_id"], ["literal", []]],
          paint: { "fill-pattern": "hatch" },
        },
        {
          id: "unproven",
          type: "fill",
          source: "neighbourhoods",
          filter: ["in", ["get", "area_id"], ["literal", []]],
          paint: { "fill-pattern": "dots" },
        },
        {
          id: "edges",
          type: "line",
          source: "neighbourhoods",
          layout: { "line-join": "round" },
          paint: { "line-color": p.edge, "line-width": ["interpolate", ["linear"], ["zoom"], 7, 0.5, 12, 1.4] },
        },
        {
          id: "nobody",
          type: "line",
          source: "neighbourhoods",
          filter: ["in", ["get", "area_id"], ["literal", []]],
          layout: { "line-join": "round" },
          paint: { "line-color": p.edgeStrong, "line-width": 3 * k },
        },
        {
          id: "priority-fill",
          type: "fill",
          source: "priority",
          paint: {
            "fill-color": p.priority,
            "fill-opacity": ["case", ["boolean", ["feature-state", "overdue"], false], 0.3, ["boolean", ["feature-state", "open"], false], 0.14, 0.04],
          },
        },
        {
          id: "priority-edge",
          type: "line",
          source: "priority",
          paint: {
            "line-color": ["case", ["boolean", ["feature-state", "open"], false], p.priorityOpen, p.priority],
            "line-width": ["case", ["boolean", ["feature-state", "open"], false], 2 * k, 1 * k],
            "line-dasharray": [2.5, 1.6],
          },
        },
        {
          id: "premises-fill",
          type: "fill",
          source: "premises",
          paint: { "fill-color": p.premises, "fill-opacity": 0.35, "fill-outline-color": p.premises },
        },
        {
          id: "selected",
          type: "line",
          source: "neighbourhoods",
          filter: ["==", ["get", "area_id"], this.selected],
          layout: { "line-join": "round" },
          paint: { "line-color": p.select, "line-width": 2.6 * k },
        },
        {
          id: "priority-selected",
          type: "line",
          source: "priority",
          filter: ["==", ["get", "area_id"], this.highlighted],
          paint: { "line-color": p.select, "line-width": 3 * k },
        },
        {
          id: "trails",
          type: "line",
          source: "trails",
          layout: { "line-join": "round", "line-cap": "round" },
          paint: { "line-color": colour, "line-width": 1.6 * k, "line-opacity": 0.6 },
        },
        {
          id: "track-halo",
          type: "line",
          source: "track",
          layout: { "line-join": "round", "line-cap": "round" },
          paint: { "line-color": p.unitEdge, "line-width": 5.5 * k, "line-opacity": 0.85 },
        },
        {
          id: "track",
          type: "line",
          source: "track",
          layout: { "line-join": "round", "line-cap": "round" },
          paint: { "line-color": colour, "line-width": 3 * k },
        },
        {
          id: "houses",
          type: "symbol",
          source: "houses",
          minzoom: 9,
          layout: {
            "icon-image": "house",
            "icon-size": 0.85 * k,
            "icon-allow-overlap": true,
            "icon-ignore-placement": true,
            "text-field": ["step", ["zoom"], "", 13, ["get", "name"]],
            "text-font": FONT,
            "text-size": sizes(HOUSE_SIZES),
            "text-max-width": HOUSE_WIDEST,
            "text-anchor": "top",
            "text-offset": moved,
            "text-optional": true,
          },
          paint: { "text-color": p.label, "text-halo-color": p.halo, "text-halo-width": 1.4 },
        },
        {
          id: "waits-other",
          filter: ["!=", ["get", "standing"], "overdue"],
          type: "symbol",
          source: "waits",
          layout: {
            "icon-image": ["concat", "pill-", ["get", "standing"]],
            "icon-text-fit": "both",
            "icon-text-fit-padding": [1, 1, 1, 1],
            "text-padding": 1,
            "icon-padding": 1,
            "text-field": ["step", ["zoom"], ["get", "wait"], NAMED_ZOOM, ["concat", ["get", "name"], " · ", ["get", "wait"]]],
            "text-font": FONT,
            "text-size": sizes(WAIT_SIZES),
            "text-max-width": WAIT_WIDEST,
            "text-offset": moved,
            "symbol-sort-key": ["get", "order"],
          },
          paint: {
            "text-color": ["match", ["get", "standing"], "overdue", p.pill.overdue[1], "there", p.pill.there[1], "open", p.pill.open[1], p.pill.closed[1]],
          },
        },
        {
          id: "names",
          type: "symbol",
          source: "names",
          layout: {
            "text-field": [
              "format",
              ["get", "name"],
              { "font-scale": 1 },
              "\n",
              {},
              ["get", "figure"],
              { "font-scale": 0.86 },
            ] as unknown as ExpressionSpecification,
            "text-font": FONT,
            "text-size": sizes(NAME_SIZES),
            "text-line-height": 1.15,
            "text-max-width": NAME_WIDEST,
            "text-padding": 3,
            "text-offset": moved,
            "symbol-sort-key": ["get", "order"],
          },
          paint: { "text-color": p.label, "text-halo-color": p.halo, "text-halo-width": 1.6 },
        },
        {
          id: "waits",
          filter: ["==", ["get", "standing"], "overdue"],
          type: "symbol",
          source: "waits",
          layout: {
            "icon-image": ["concat", "pill-", ["get", "standing"]],
            "icon-text-fit": "both",
            "icon-text-fit-padding": [1, 1, 1, 1],
            // Over a whole force the longest wait of a crowd stands for it; nearer, all are shown.
            "icon-overlap": ["step", ["zoom"], "never", 10.5, "always"] as unknown as "never",
            "text-overlap": ["step", ["zoom"], "never", 10.5, "always"] as unknown as "never",
            "text-field": ["step", ["zoom"], ["get", "wait"], NAMED_ZOOM, ["concat", ["get", "name"], " · ", ["get", "wait"]]],
            "text-font": FONT,
            "text-size": sizes(WAIT_SIZES),
            "text-max-width": WAIT_WIDEST,
            "text-offset": moved,
            "symbol-sort-key": ["get", "order"],
          },
          paint: {
            "text-color": ["match", ["get", "standing"], "overdue", p.pill.overdue[1], "there", p.pill.there[1], "open", p.pill.open[1], p.pill.closed[1]],
          },
        },
        {
          id: "ignored",
          type: "symbol",
          source: "ignored",
          layout: { "icon-image": "cross", "icon-size": k, "icon-allow-overlap": true, "icon-ignore-placement": true },
        },
        {
          id: "now",
          type: "symbol",
          source: "now",
          layout: { "icon-image": "cursor", "icon-size": k, "icon-allow-overlap": true, "icon-ignore-placement": true },
        },
      ] as LayerSpecification[],
    };
  }
}
