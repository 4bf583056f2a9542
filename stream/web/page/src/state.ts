/** What the page knows: one value, changed by the feed, told to whoever listens. No element is touched here. */

import type { Alert, Fresh, Live, PriorityArea, Quality, Settings, Share, UnitColumns } from "./types.ts";
import { ms } from "./words.ts";

export interface Unit {
  id: string;
  kind: number;
  lon: number;
  lat: number;
  t: number;
  heading: number | null;
  activity: string | null;
  officer: string | null;
  name: string | null;
}

export type Topic = "figures" | "areas" | "alerts" | "units" | "fresh" | "connection" | "quality";
export type Connection = "connecting" | "open" | "lost";

const NO_SETTINGS: Settings = { target: 0.8, timezone: "Europe/London", basemap: null, stale_s: 15, jump_speed_mps: 80, max_gap_s: 300 };

class State {
  connection: Connection = "connecting";
  known = false;
  force: Share | null = null;
  neighbourhoods = new Map<string, Share>();
  areas = new Map<string, PriorityArea>();
  alerts = new Map<string, Alert>();
  units = new Map<string, Unit>();
  /** Devices that nobody on duty has: heard, and nobody is told where. */
  heardOnly = new Set<string>();
  settings: Settings = NO_SETTINGS;
  fresh: Fresh | null = null;
  /** What the facts behind the figures are worth, as of some seconds ago; null while it is not known. */
  quality: Quality | null = null;
  /** The server's data clock at the last word from it, milliseconds, and when that word came. */
  asOf = Number.NaN;
  heardAt = 0;

  private readonly listeners = new Map<Topic, Set<() => void>>();
  private readonly dirty = new Set<Topic>();
  private asked = false;

  on(topics: Topic[], listener: () => void): void {
    for (const topic of topics) {
      const all = this.listeners.get(topic) ?? new Set();
      all.add(listener);
      this.listeners.set(topic, all);
    }
  }

  /** Tells, once a frame, whoever listens to what changed. */
  changed(...topics: Topic[]): void {
    for (const topic of topics) this.dirty.add(topic);
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      const told = new Set<() => void>();
      for (const topic of this.dirty) for (const one of this.listeners.get(topic) ?? []) told.add(one);
      this.dirty.clear();
      for (const one of told) one();
    });
  }

  /** Now, on the clock of the data: what "since" and "ago" are counted from. */
  get now(): number {
    return Number.isNaN(this.asOf) ? Date.now() : this.asOf;
  }

  /** Age of the newest event as of this very moment, seconds. */
  get age(): number | null {
    const age = this.fresh?.age_s;
    return age === null || age === undefined ? null : age + Math.max(0, performance.now() - this.heardAt) / 1000;
  }

  /** What stands where figures would be while there are none: never a number, and never that there is nothing. */
  get absence(): string {
    return this.fresh || this.connection === "lost" ? "Not known while no figures can be read." : "Waiting for the first figures…";
  }

  heard(asOf: string | undefined, fresh: Fresh | undefined): void {
    const at = ms(asOf);
    if (!Number.isNaN(at)) this.asOf = at;
    if (fresh) {
      this.fresh = fresh;
      this.heardAt = performance.now();
    }
    this.changed("fresh");
    if (!this.known) this.changed("figures", "areas", "alerts");
  }

  snapshot(live: Live, units: UnitColumns): void {
    this.known = true;
    this.heard(live.as_of, live.fresh);
    this.settings = live.settings;
    this.force = live.force;
    this.neighbourhoods = new Map(live.neighbourhoods.map((item) => [item.id, item]));
    this.areas = new Map(live.priority_areas.map((item) => [item.id, item]));
    this.alerts = new Map(live.alerts.map((item) => [item.alert_id, item]));
    this.units = new Map();
    this.heardOnly = new Set();
    this.moved(units);
    this.changed("figures", "areas", "alerts", "units");
  }

  figures(force: Share | undefined, neighbourhoods: Share[]): void {
    if (force) this.force = force;
    for (const item of neighbourhoods) this.neighbourhoods.set(item.id, item);
    this.changed("figures");
  }

  moved(columns: UnitColumns): void {
    const { ids, kind, lon, lat, t_ms, heading, activity, officers, names } = columns;
    for (let row = 0; row < ids.length; row++) {
      const id = ids[row] as string;
      const [x, y] = [lon[row] ?? null, lat[row] ?? null];
      if (x === null || y === null) {
        this.heardOnly.add(id);
        this.units.delete(id);
        continue;
      }
      this.heardOnly.delete(id);
      let unit = this.units.get(id);
      if (!unit) {
        unit = { id, kind: 0, lon: 0, lat: 0, t: 0, heading: null, activity: null, officer: null, name: null };
        this.units.set(id, unit);
      }
      if (kind) unit.kind = kind[row] === "vehicle" ? 1 : 0;
      unit.lon = x;
      unit.lat = y;
      unit.t = t_ms[row] as number;
      unit.heading = heading[row] ?? null;
      unit.activity = activity[row] ?? null;
      if (officers) unit.officer = officers[row]?.[0] ?? null;
      if (names) unit.name = names[row] ?? null;
    }
    for (const id of columns.gone ?? []) {
      this.units.delete(id);
      this.heardOnly.delete(id);
    }
    this.changed("units");
  }

  alert(item: Alert): void {
    this.alerts.set(item.alert_id, item);
    this.changed("alerts");
  }

  /** What speaks against the facts behind a neighbourhood's figure, as of the last time they were looked at. */
  questioned(id: string): string[] {
    const mine = this.quality?.findings.filter((one) => one.neighbourhoods.includes(id) && one.finding !== "not_booked") ?? [];
    return [...new Set(mine.map((one) => one.finding.replaceAll("_", " ")))];
  }

  judged(quality: Quality | null): void {
    this.quality = quality;
    this.changed("quality");
  }

  visited(items: PriorityArea[]): void {
    for (const item of items) this.areas.set(item.id, item);
    this.changed("areas");
  }
}

export const state = new State();
