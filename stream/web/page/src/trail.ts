/** Where a unit came from: its last positions, as lines that somebody can have driven. Pure: values in, values out. */

export const TRAIL_POINTS = 60;

/** Mean radius of the earth, metres (the accounting rules' own). */
const EARTH_RADIUS_M = 6_371_008.8;
const RADIANS = Math.PI / 180;

/** What separates two lines: a leg faster than anybody drives (rule 4a), or longer than one may assume a straight line (rule 4). */
export interface Limits {
  jump_speed_mps: number;
  max_gap_s: number;
}

/** A position: longitude and latitude in degrees, time in milliseconds. */
export type Position = readonly [lon: number, lat: number, time: number];

/** Great-circle metres, by the haversine formula. */
function metres([lon0, lat0]: Position, [lon1, lat1]: Position): number {
  const [south, north] = [lat0 * RADIANS, lat1 * RADIANS];
  const chord = Math.sin((north - south) / 2) ** 2 + Math.cos(south) * Math.cos(north) * Math.sin(((lon1 - lon0) * RADIANS) / 2) ** 2;
  return 2 * EARTH_RADIUS_M * Math.asin(Math.sqrt(Math.min(chord, 1)));
}

/** Lines through positions in time order; a position with a gap before and behind it is in none. */
export function linesOf(positions: readonly Position[], limits: Limits): [number, number][][] {
  const lines: [number, number][][] = [];
  let line: [number, number][] = [];
  for (const [at, here] of positions.entries()) {
    const before = positions[at - 1];
    const seconds = before ? (here[2] - before[2]) / 1000 : 0;
    if (before && (seconds > limits.max_gap_s || metres(before, here) > limits.jump_speed_mps * seconds)) {
      lines.push(line);
      line = [];
    }
    line.push([here[0], here[1]]);
  }
  lines.push(line);
  return lines.filter((one) => one.length > 1);
}

/** The last positions of a unit: a ring of numbers. */
export class Trail {
  private readonly x = new Float64Array(TRAIL_POINTS);
  private readonly y = new Float64Array(TRAIL_POINTS);
  private readonly t = new Float64Array(TRAIL_POINTS);
  private length = 0;
  private head = 0;

  add(x: number, y: number, t: number): void {
    const last = (this.head + TRAIL_POINTS - 1) % TRAIL_POINTS;
    if (this.length && this.t[last] === t) return;
    this.x[this.head] = x;
    this.y[this.head] = y;
    this.t[this.head] = t;
    this.head = (this.head + 1) % TRAIL_POINTS;
    this.length = Math.min(this.length + 1, TRAIL_POINTS);
  }

  lines(after: number, most: number, limits: Limits): [number, number][][] {
    const points: Position[] = [];
    for (let at = Math.max(0, this.length - most); at < this.length; at++) {
      const slot = (this.head + TRAIL_POINTS - this.length + at) % TRAIL_POINTS;
      if ((this.t[slot] as number) >= after) points.push([this.x[slot] as number, this.y[slot] as number, this.t[slot] as number]);
    }
    return linesOf(points, limits);
  }
}
