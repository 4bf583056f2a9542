/** Labels of the map stay whole: one that the edge of the map would cut is moved in from it. */

import type { Map as MapLibre } from "maplibre-gl";

/** Pixels between a label and the edge. */
const MARGIN = 4;
/** What stands farther outside than this reaches into no map, ems. */
const FARTHEST = 24;

export interface Lettering {
  font: string;
  /** Type size by zoom: the style's own stops, which it interpolates. */
  sizes: readonly (readonly [zoom: number, pixels: number])[];
  /** Type size of each line, as a part of the first one's. */
  parts: readonly number[];
  /** Where lines are broken, in ems. */
  widest: number;
  /** What stands around the letters, pixels. */
  around: number;
}

let pen: CanvasRenderingContext2D | null = null;

/** What the style's own interpolation gives between stops. */
export function interpolated(stops: Lettering["sizes"], zoom: number): number {
  let [below, size] = stops[0] ?? [0, 0];
  if (zoom <= below) return size;
  for (const [stop, value] of stops) {
    if (zoom <= stop) return size + ((value - size) * (zoom - below)) / (stop - below);
    [below, size] = [stop, value];
  }
  return size;
}

/**
 * How far a label has to be moved, in ems right and down, so that the edge of the map does not cut it.
 *
 * @param at where it stands.
 * @param lines its lines, as they are before they are broken.
 */
export function shift(map: MapLibre, at: [number, number], lines: readonly string[], how: Lettering): [number, number] {
  const { clientWidth: width, clientHeight: height } = map.getContainer();
  const { x, y } = map.project(at);
  const far = FARTHEST * interpolated(how.sizes, map.getZoom());
  if (x < -far || y < -far || x > width + far || y > height + far) return [0, 0];
  const size = interpolated(how.sizes, map.getZoom());
  pen ??= document.createElement("canvas").getContext("2d");
  if (!pen || !size) return [0, 0];
  let [wide, rows] = [0, 0];
  for (const [row, line] of lines.entries()) {
    pen.font = `${size * (how.parts[row] ?? how.parts.at(-1) ?? 1)}px ${how.font}`;
    const length = pen.measureText(line).width;
    const broken = Math.ceil(length / (how.widest * size));
    const word = Math.max(...line.split(/\s/).map((one) => pen?.measureText(one).width ?? 0));
    wide = Math.max(wide, broken > 1 ? Math.max(word, Math.min(length, how.widest * size)) : length);
    rows += broken;
  }
  const half = wide / 2 + how.around + MARGIN;
  const high = (rows * 1.2 * size) / 2 + how.around + MARGIN;
  // What is to be seen of it at all is to be seen whole.
  if (x + half < 0 || x - half > width || y + high < 0 || y - high > height) return [0, 0];
  const along = inside(x, half, width);
  const down = inside(y, high, height);
  return [Math.round((along / size) * 100) / 100, Math.round((down / size) * 100) / 100];
}

/** How far something of a half length has to go to lie between 0 and an end. */
function inside(middle: number, half: number, end: number): number {
  if (2 * half > end) return end / 2 - middle;
  return middle < half ? half - middle : middle > end - half ? end - half - middle : 0;
}
