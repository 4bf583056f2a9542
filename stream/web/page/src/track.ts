/** Where an officer was, from a duty's slices and its devices' fixes. Pure: values in, values out. */

import type { Activity, DutyDetail, Slice } from "./types.ts";
import { ms } from "./words.ts";

export interface Fix {
  time: number;
  at: [lon: number, lat: number];
}

export interface Stretch {
  activity: Activity;
  line: [number, number][];
}

/**
 * The way of one duty. In each slice it is that of the slice's own device (rule 9); fixes that no movement explains
 * (rule 3) are no part of it.
 */
export class Way {
  readonly ignored: Fix[] = [];
  /** From the first fix to the last one, milliseconds; null where there is none. */
  readonly span: [from: number, to: number] | null;
  private readonly fixes = new Map<string, Fix[]>();

  constructor(readonly slices: readonly Slice[], track: DutyDetail["track"]) {
    let [from, to] = [Infinity, -Infinity];
    for (const [at, time] of track.t_ms.entries()) {
      const fix: Fix = { time, at: [track.lon[at] as number, track.lat[at] as number] };
      if (track.ignored?.[at]) {
        this.ignored.push(fix);
        continue;
      }
      const device = track.device_id[at] as string;
      const own = this.fixes.get(device);
      if (own) own.push(fix);
      else this.fixes.set(device, [fix]);
      from = Math.min(from, time);
      to = Math.max(to, time);
    }
    for (const own of this.fixes.values()) own.sort((a, b) => a.time - b.time);
    this.span = from <= to ? [from, to] : null;
  }

  /** The slice at a time; the last one still stands at its very end. */
  slice(time: number): Slice | undefined {
    const last = this.slices.at(-1);
    return last && ms(last.end) === time ? last : this.slices.find((one) => ms(one.start) <= time && time < ms(one.end));
  }

  /** Where the officer was at a time, on the line between two fixes; null where nothing is known. */
  at(time: number): [number, number] | null {
    const slice = this.slice(time);
    return slice ? this.within(slice, time) : null;
  }

  private within(slice: Slice, time: number): [number, number] | null {
    const fixes = slice.activity === "unknown" ? undefined : this.fixes.get(slice.device_id ?? "");
    if (!fixes) return null;
    const after = lower(fixes, time);
    const b = fixes[after];
    if (b?.time === time) return b.at;
    const a = fixes[after - 1];
    if (!a || !b) return null;
    const part = (time - a.time) / (b.time - a.time);
    return [a.at[0] * (1 - part) + b.at[0] * part, a.at[1] * (1 - part) + b.at[1] * part];
  }

  /** A line for every slice of which the place is known. */
  stretches(): Stretch[] {
    const found: Stretch[] = [];
    for (const slice of this.slices) {
      const fixes = slice.activity === "unknown" ? undefined : this.fixes.get(slice.device_id ?? "");
      if (!fixes) continue;
      const [start, end] = [ms(slice.start), ms(slice.end)];
      const line: [number, number][] = [];
      for (let at = lower(fixes, start); at < fixes.length && (fixes[at] as Fix).time <= end; at++) line.push((fixes[at] as Fix).at);
      const [first, last] = [this.within(slice, start), this.within(slice, end)];
      if (first) line.unshift(first);
      if (last) line.push(last);
      if (line.length > 1) found.push({ activity: slice.activity, line });
    }
    return found;
  }
}

/** The first of the fixes, sorted by time, that is not before a time. */
function lower(fixes: readonly Fix[], time: number): number {
  let [low, high] = [0, fixes.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((fixes[middle] as Fix).time < time) low = middle + 1;
    else high = middle;
  }
  return low;
}
