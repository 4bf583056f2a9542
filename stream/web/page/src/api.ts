/** What the server says, and how it is asked. Types only, and one function that fetches. */

export type Time = string; // RFC 3339, UTC
export type Activity = "on_patch" | "off_patch" | "not_visible" | "break" | "unknown" | "off_duty";
export type Verdict = "met" | "not proven" | "missed" | null;

/** What is said of the end of the shift: sure things first, then what is likely, else nothing yet. */
export type Outlook = "too_early" | "open" | "likely_miss" | "certain_miss" | "certain_met";

export interface Abstraction {
  where: string;
  place_id: string | null;
  state: string | null;
  seconds: number;
}

export interface Share {
  scope: "force" | "neighbourhood" | "officer";
  id: string;
  name: string;
  from: Time;
  to: Time;
  duty_s: number;
  on_patch_s: number;
  off_patch_s: number;
  not_visible_s: number;
  unknown_s: number;
  break_s: number;
  share: number | null;
  share_low: number | null;
  share_high: number | null;
  target: number;
  verdict: Verdict;
  officers_on_duty: number;
  officers_on_patch: number;
  officers_silent?: number;
  officers_on_break?: number;
  nobody_since?: Time | null;
  projected?: number | null;
  projected_low?: number | null;
  projected_high?: number | null;
  /** If all that is left of the shifts were on patch, or nothing of it. */
  projected_best?: number | null;
  projected_worst?: number | null;
  outlook?: Outlook | null;
  abstraction?: Abstraction[];
  need?: number;
}

export interface PriorityArea {
  id: string;
  name: string;
  issue: string | null;
  days: string | null;
  hours: string | null;
  in_hours: boolean;
  neighbourhood: string | null;
  last_visit_end: Time | null;
  someone_there: number;
  since_s: number | null;
  visits: number;
  officer_s: number;
  overdue: boolean;
}

export interface Alert {
  alert_id: string;
  kind: string;
  scope: string;
  id: string;
  since: Time;
  text: string;
  cleared: Time | null;
  acknowledged: { at: Time; by: string } | null;
  snoozed_until: Time | null;
  level: "act" | "look";
}

export interface Fresh {
  newest_event: Time | null;
  age_s: number | null;
  lag_s: number | null;
  state: "live" | "late" | "stale" | "empty";
  text: string;
  /** Why nothing can be read: the database is away, does not answer, or lacks its tables. */
  trouble?: string | null;
}

export type Basemap = { attribution?: string | null } & ({ kind: "raster"; tiles: string } | { kind: "pmtiles"; url: string });

export interface Settings {
  target: number;
  timezone: string;
  basemap: Basemap | null;
  stale_s: number;
}

export interface Live {
  as_of: Time;
  fresh: Fresh;
  force: Share;
  neighbourhoods: Share[];
  priority_areas: PriorityArea[];
  alerts: Alert[];
  settings: Settings;
}

/**
 * Units as columns: the same row of every column is one device. What seldom changes (`kind`, `officers`, `names`: what
 * the officers are called, in one line) is left out where it did not.
 */
export interface UnitColumns {
  as_of?: Time;
  ids: string[];
  kind?: ("radio" | "vehicle")[];
  lon?: number[];
  lat?: number[];
  t_ms?: number[];
  heading?: (number | null)[];
  activity?: (Activity | null)[];
  officers?: string[][];
  names?: (string | null)[];
  gone?: string[];
}

export type TimelinePiece = [start_ms: number, end_ms: number, activity: Activity];

export interface Officer {
  officer_id: string;
  name: string;
  role: string | null;
  team: string | null;
  duty_id: string;
  from: Time;
  to: Time | null;
  state: number | null;
  state_name: string;
  activity: Activity | null;
  place: string | null;
  since: Time | null;
  on_patch_s: number | null;
  duty_s: number | null;
  share: number | null;
  share_low: number | null;
  share_high: number | null;
  off_patch_since: Time | null;
  why: string | null;
  last_fix: Time | null;
  device_id: string | null;
  timeline?: TimelinePiece[];
}

export interface Hour {
  from: Time;
  to?: Time;
  share: number | null;
  duty_s: number;
  on_patch_s: number;
  off_patch_s: number;
  not_visible_s: number;
  unknown_s: number;
  break_s: number;
}

export interface NeighbourhoodDetail {
  share: Share;
  hours: Hour[];
  officers: Officer[];
}

/** `officer` is null where no duty of theirs is running; `duties` the newest first. */
export interface OfficerDetail {
  officer_id: string;
  name: string;
  officer: Officer | null;
  duties: { duty_id: string; from: Time; to: Time | null }[];
}

export interface Slice {
  start: Time;
  end: Time;
  activity: Activity;
  reason: string | null;
  where: string;
  neighbourhood: string | null;
  premises: string | null;
  priorities: string[];
  device_id: string | null;
  state: number | null;
  state_name: string;
}

export interface Track {
  device_id: string[];
  t_ms: number[];
  lon: number[];
  lat: number[];
  error_m: (number | null)[];
  /** Which fixes no movement explains (rule 3): they are not counted. */
  ignored?: boolean[];
}

export interface DutyDetail {
  duty: { duty_id: string; officer_id: string; name: string; role: string | null; team: string | null; from: Time; to: Time | null };
  slices: Slice[];
  track: Track;
  figure: Share;
}

export interface AreaProperties {
  area_id: string;
  name: string;
  [key: string]: unknown;
}
export type AreaCollection = GeoJSON.FeatureCollection<GeoJSON.Polygon | GeoJSON.MultiPolygon, AreaProperties>;

export interface Areas {
  neighbourhood: AreaCollection;
  priority: AreaCollection;
  premises: AreaCollection;
  version: string;
}

/** What the server refused, in its own words. */
export class ProblemError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

const BASE = "/api/v1";

/**
 * Asks the server and gives its answer.
 *
 * @throws ProblemError with plain words: what the server said, or that it cannot be reached (status 0).
 */
export async function ask<T>(path: string, init: RequestInit = {}): Promise<T> {
  let response: Response;
  try {
    response = await fetch(`${BASE}${path}`, { credentials: "same-origin", ...init });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ProblemError(0, "The server cannot be reached. Is patrol web running?");
  }
  const body: unknown = await response.json().catch(() => null);
  if (!response.ok) throw new ProblemError(response.status, said(body, response.status));
  return body as T;
}

/** Sends JSON. */
export function tell<T>(path: string, body: unknown): Promise<T> {
  return ask<T>(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
}

function said(body: unknown, status: number): string {
  const words = (body ?? {}) as Record<string, unknown>;
  for (const key of ["detail", "description", "title"]) {
    if (typeof words[key] === "string" && words[key]) return words[key];
  }
  return `The server answered with status ${status}.`;
}
