/** Where things on a map are: a good point for a label, and what encloses them. Pure. */

type Ring = GeoJSON.Position[];
type Shape = GeoJSON.Polygon | GeoJSON.MultiPolygon;

export type Box = [west: number, south: number, east: number, north: number];

function polygons(shape: Shape): Ring[][] {
  return shape.type === "Polygon" ? [shape.coordinates] : shape.coordinates;
}

export function boxOf(shapes: Iterable<Shape>): Box | null {
  const box: Box = [Infinity, Infinity, -Infinity, -Infinity];
  for (const shape of shapes) {
    for (const [outer] of polygons(shape)) {
      for (const [x, y] of outer ?? []) {
        box[0] = Math.min(box[0], x as number);
        box[1] = Math.min(box[1], y as number);
        box[2] = Math.max(box[2], x as number);
        box[3] = Math.max(box[3], y as number);
      }
    }
  }
  return box[0] <= box[2] ? box : null;
}

function ringArea(ring: Ring): number {
  let sum = 0;
  for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
    const [a, b] = [ring[j] as number[], ring[i] as number[]];
    sum += (a[0] as number) * (b[1] as number) - (b[0] as number) * (a[1] as number);
  }
  return Math.abs(sum / 2);
}

/** Distance of a point to the edge, negative outside; x is narrowed by `squeeze`. */
function depth(x: number, y: number, rings: Ring[], squeeze: number): number {
  let inside = false;
  let nearest = Infinity;
  for (const ring of rings) {
    for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
      const [ax, ay] = ring[i] as [number, number];
      const [bx, by] = ring[j] as [number, number];
      if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
      const dx = (bx - ax) * squeeze;
      const dy = by - ay;
      const px = (x - ax) * squeeze;
      const py = y - ay;
      const along = Math.max(0, Math.min(1, (px * dx + py * dy) / (dx * dx + dy * dy || 1)));
      const ex = px - along * dx;
      const ey = py - along * dy;
      nearest = Math.min(nearest, ex * ex + ey * ey);
    }
  }
  return (inside ? 1 : -1) * Math.sqrt(nearest);
}

/** The point of a shape that is farthest from its edge, near enough for a label. */
export function labelPoint(shape: Shape): [number, number] {
  const largest = polygons(shape).reduce((a, b) => (ringArea(b[0] ?? []) > ringArea(a[0] ?? []) ? b : a));
  const outer = largest[0] ?? [];
  const [west, south, east, north] = boxOf([{ type: "Polygon", coordinates: [outer] }]) ?? [0, 0, 0, 0];
  const squeeze = Math.cos((((south + north) / 2) * Math.PI) / 180);
  // Long borders are thinned: a label needs no vertex by vertex exactness.
  const step = Math.max(1, Math.floor(outer.length / 200));
  const rings = largest.map((ring) => ring.filter((_, at) => at % step === 0 || at === ring.length - 1));
  let best: [number, number, number] = [(west + east) / 2, (south + north) / 2, -Infinity];
  let [x0, y0, width, height] = [west, south, east - west, north - south];
  for (let round = 0; round < 3; round++) {
    const cells = 9;
    for (let i = 0; i < cells; i++) {
      for (let j = 0; j < cells; j++) {
        const x = x0 + ((i + 0.5) / cells) * width;
        const y = y0 + ((j + 0.5) / cells) * height;
        const deep = depth(x, y, rings, squeeze);
        if (deep > best[2]) best = [x, y, deep];
      }
    }
    width /= 4;
    height /= 4;
    x0 = best[0] - width / 2;
    y0 = best[1] - height / 2;
  }
  return [best[0], best[1]];
}
