/** Pictures for the map, drawn here: nothing is fetched. A shape for each activity, so colour is never alone. */

import type { Map as MapLibre } from "maplibre-gl";
import type { Palette } from "./palette.ts";

const RATIO = 2;
export const ACTS = ["on_patch", "off_patch", "not_visible", "break", "unknown", "none"] as const;

type Pen = CanvasRenderingContext2D;

function draw(size: number, work: (pen: Pen, size: number) => void, height = size): ImageData {
  const canvas = document.createElement("canvas");
  canvas.width = size * RATIO;
  canvas.height = height * RATIO;
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  if (!pen) throw new Error("this browser draws no canvas");
  pen.scale(RATIO, RATIO);
  work(pen, size);
  return pen.getImageData(0, 0, canvas.width, canvas.height);
}

/** A unit: circle on patch, diamond off patch, square not visible, ring on a break or without a signal. */
function unit(act: string, vehicle: boolean, beak: boolean, palette: Palette): ImageData {
  const size = 30;
  return draw(size, (pen) => {
    const colour = palette.unit[act] ?? (palette.unit["none"] as string);
    const middle = size / 2;
    const reach = vehicle ? 7 : 5.2;
    const shape = () => {
      pen.beginPath();
      if (act === "off_patch") {
        const r = reach * 1.22;
        pen.moveTo(middle, middle - r);
        pen.lineTo(middle + r, middle);
        pen.lineTo(middle, middle + r);
        pen.lineTo(middle - r, middle);
        pen.closePath();
      } else if (act === "not_visible") {
        const r = reach * 0.9;
        pen.rect(middle - r, middle - r, 2 * r, 2 * r);
      } else pen.arc(middle, middle, reach, 0, 2 * Math.PI);
    };
    if (beak) {
      pen.beginPath();
      const tip = middle - reach - 5.5;
      pen.moveTo(middle, tip);
      pen.lineTo(middle + 4, middle - reach + 1);
      pen.lineTo(middle - 4, middle - reach + 1);
      pen.closePath();
      pen.fillStyle = colour;
      pen.strokeStyle = palette.unitEdge;
      pen.lineWidth = 2.4;
      pen.stroke();
      pen.fill();
    }
    shape();
    pen.strokeStyle = palette.unitEdge;
    pen.lineWidth = 3;
    pen.stroke();
    const hollow = act === "break" || act === "unknown" || act === "none";
    pen.fillStyle = hollow ? palette.unitEdge : colour;
    pen.fill();
    if (hollow) {
      pen.strokeStyle = colour;
      pen.lineWidth = 2;
      if (act === "unknown") pen.setLineDash([2.4, 2.2]);
      shape();
      pen.stroke();
      pen.setLineDash([]);
    }
    if (vehicle) {
      pen.beginPath();
      pen.arc(middle, middle, 2.1, 0, 2 * Math.PI);
      pen.fillStyle = hollow ? colour : palette.unitEdge;
      pen.fill();
    }
  });
}

function pill([fill, ink]: [string, string], edge: string): ImageData {
  return draw(
    24,
    (pen) => {
      pen.beginPath();
      pen.roundRect(1, 1, 22, 18, 9);
      pen.fillStyle = fill;
      pen.fill();
      pen.strokeStyle = edge || ink;
      pen.lineWidth = 1.2;
      pen.stroke();
    },
    20,
  );
}

function house(palette: Palette): ImageData {
  return draw(18, (pen) => {
    pen.beginPath();
    pen.moveTo(9, 2);
    pen.lineTo(16, 8);
    pen.lineTo(16, 16);
    pen.lineTo(2, 16);
    pen.lineTo(2, 8);
    pen.closePath();
    pen.fillStyle = palette.premises;
    pen.strokeStyle = palette.unitEdge;
    pen.lineWidth = 2;
    pen.stroke();
    pen.fill();
    pen.fillStyle = palette.unitEdge;
    pen.fillRect(7.2, 10.5, 3.6, 5.5);
  });
}

function hatch(colour: string): ImageData {
  return draw(10, (pen, size) => {
    pen.strokeStyle = colour;
    pen.lineWidth = 1.5;
    pen.beginPath();
    for (const shift of [-size, 0, size]) {
      pen.moveTo(shift - 1, size + 1);
      pen.lineTo(shift + size + 1, -1);
    }
    pen.stroke();
  });
}

function dots(colour: string): ImageData {
  return draw(10, (pen) => {
    pen.fillStyle = colour;
    for (const [x, y] of [
      [2.5, 2.5],
      [7.5, 7.5],
    ] as const) {
      pen.beginPath();
      pen.arc(x, y, 1, 0, 2 * Math.PI);
      pen.fill();
    }
  });
}

function cursor(palette: Palette): ImageData {
  return draw(28, (pen) => {
    pen.beginPath();
    pen.arc(14, 14, 8, 0, 2 * Math.PI);
    pen.fillStyle = palette.select;
    pen.fill();
    pen.strokeStyle = palette.unitEdge;
    pen.lineWidth = 3;
    pen.stroke();
    pen.beginPath();
    pen.arc(14, 14, 3, 0, 2 * Math.PI);
    pen.fillStyle = palette.unitEdge;
    pen.fill();
  });
}

function cross(palette: Palette): ImageData {
  return draw(14, (pen) => {
    for (const [colour, width] of [
      [palette.unitEdge, 4],
      [palette.select, 1.8],
    ] as const) {
      pen.strokeStyle = colour;
      pen.lineWidth = width;
      pen.lineCap = "round";
      pen.beginPath();
      pen.moveTo(3.5, 3.5);
      pen.lineTo(10.5, 10.5);
      pen.moveTo(10.5, 3.5);
      pen.lineTo(3.5, 10.5);
      pen.stroke();
    }
  });
}

/** Draws the picture that a map's style asks for by name, and puts it on the map; another name is left missing. */
export function addPicture(map: MapLibre, name: string, palette: Palette): void {
  if (map.hasImage(name)) return;
  const put = (image: ImageData, options: Record<string, unknown> = {}) => map.addImage(name, image, { pixelRatio: RATIO, ...options });
  const colours = new Map(Object.entries(palette.pill)).get(name.replace(/^pill-/, ""));
  if (colours) {
    put(pill(colours, name === "pill-overdue" || name === "pill-there" ? palette.unitEdge : ""), {
      stretchX: [[10 * RATIO, 14 * RATIO]],
      stretchY: [[9 * RATIO, 11 * RATIO]],
      content: [7 * RATIO, 2 * RATIO, 17 * RATIO, 18 * RATIO],
    });
  } else if (name === "house") put(house(palette));
  else if (name === "hatch") put(hatch(palette.hatch));
  else if (name === "dots") put(dots(palette.dots));
  else if (name === "cursor") put(cursor(palette));
  else if (name === "cross") put(cross(palette));
}

/** All units' pictures side by side: an activity has four, a radio's and a vehicle's, each without and with a heading. */
export function unitAtlas(palette: Palette): ImageData {
  const pictures = ACTS.flatMap((act) =>
    [false, true].flatMap((vehicle) => [false, true].map((beak) => unit(act, vehicle, beak, palette))),
  );
  const size = pictures[0]?.width ?? 1;
  const whole = new ImageData(size * pictures.length, size);
  for (const [at, picture] of pictures.entries()) {
    for (let row = 0; row < size; row++) {
      const line = picture.data.subarray(4 * size * row, 4 * size * (row + 1));
      whole.data.set(line, 4 * (whole.width * row + size * at));
    }
  }
  return whole;
}

/** A unit's picture for the legend. */
export function unitPicture(act: string, vehicle: boolean, palette: Palette): HTMLCanvasElement {
  return picture(unit(act, vehicle, true, palette));
}

/** The picture of a fix that was ignored, for the legend. */
export function ignoredPicture(palette: Palette): HTMLCanvasElement {
  return picture(cross(palette));
}

function picture(image: ImageData): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = image.width;
  canvas.height = image.height;
  canvas.getContext("2d")?.putImageData(image, 0, 0);
  return canvas;
}
