/**
 * The units, thousands of them: one draw call of point sprites, no element, no tile, no worker.
 *
 * Where each stands on the screen is worked out here in doubles for every frame (the map neither turns nor tilts),
 * which keeps a unit still at street level, where the 32-bit numbers of a graphics card no longer would.
 */

import type { CustomLayerInterface, Map as MapLibre } from "maplibre-gl";
import { ACTS, unitAtlas } from "./icons.ts";
import type { Palette } from "./palette.ts";
import type { Unit } from "./state.ts";

const FIELDS = 5;
const TILE = 512;
const CROWD = 500;

const VERTEX = `#version 300 es
in vec2 at;
in float turn;
in float cell;
in float alpha;
uniform vec2 view;
uniform float size;
out vec2 spin;
out float column;
out float opacity;
void main() {
  gl_Position = vec4(at.x / view.x * 2.0 - 1.0, 1.0 - at.y / view.y * 2.0, 0.0, 1.0);
  gl_PointSize = size;
  spin = vec2(cos(turn), sin(turn));
  column = cell;
  opacity = alpha;
}`;

const FRAGMENT = `#version 300 es
precision mediump float;
uniform sampler2D atlas;
uniform float cells;
in vec2 spin;
in float column;
in float opacity;
out vec4 colour;
void main() {
  vec2 p = gl_PointCoord - 0.5;
  p = vec2(p.x * spin.x + p.y * spin.y, p.y * spin.x - p.x * spin.y) + 0.5;
  if (p.x < 0.0 || p.x > 1.0 || p.y < 0.0 || p.y > 1.0) discard;
  colour = texture(atlas, vec2((column + p.x) / cells, p.y)) * opacity;
}`;

/** Mercator, 0 to 1 across the world. */
function mercator(lon: number, lat: number): [number, number] {
  const y = Math.log(Math.tan(Math.PI / 4 + (lat * Math.PI) / 360));
  return [(lon + 180) / 360, 0.5 - y / (2 * Math.PI)];
}

/** How old a position is, as a shade: heard within a minute, within five, or longer ago. */
export function shade(ageS: number): number {
  return ageS > 300 ? 0.35 : ageS > 60 ? 0.65 : 1;
}

export class UnitsLayer implements CustomLayerInterface {
  readonly id = "units";
  readonly type = "custom" as const;
  readonly renderingMode = "2d" as const;
  /** Between 0 and 1: fainter while an officer's track is shown. */
  strength = 1;
  private units: Unit[] = [];
  private world = new Float64Array(0);
  private looks = new Float32Array(0);
  private screen = new Float32Array(0);
  private map: MapLibre | null = null;
  private program: WebGLProgram | null = null;
  private vertices: WebGLVertexArrayObject | null = null;
  private buffer: WebGLBuffer | null = null;
  private texture: WebGLTexture | null = null;
  private painted: Palette | null = null;

  constructor(
    private palette: Palette,
    private readonly scale: () => number,
  ) {}

  /** Takes the units as they are now. */
  show(units: Iterable<Unit>, now: number): void {
    this.units = [...units];
    const count = this.units.length;
    if (this.world.length < 2 * count) {
      this.world = new Float64Array(2 * Math.ceil(count * 1.25));
      this.looks = new Float32Array(3 * Math.ceil(count * 1.25));
      this.screen = new Float32Array(FIELDS * Math.ceil(count * 1.25));
    }
    // Units that nobody on duty has lie below the others.
    this.units.sort((a, b) => Number(a.activity !== null) - Number(b.activity !== null));
    for (const [at, unit] of this.units.entries()) {
      const [x, y] = mercator(unit.lon, unit.lat);
      this.world[2 * at] = x;
      this.world[2 * at + 1] = y;
      const act = Math.max(0, (ACTS as readonly string[]).indexOf(unit.activity ?? "none"));
      const known = (ACTS as readonly string[]).includes(unit.activity ?? "none") ? act : ACTS.length - 1;
      this.looks[3 * at] = ((unit.heading ?? 0) * Math.PI) / 180;
      this.looks[3 * at + 1] = known * 4 + unit.kind * 2 + (unit.heading === null ? 0 : 1);
      this.looks[3 * at + 2] = shade((now - unit.t) / 1000);
    }
    this.map?.triggerRepaint();
  }

  dress(palette: Palette): void {
    this.palette = palette;
    this.map?.triggerRepaint();
  }

  /** The unit nearest to a point of the screen, within reach; null where there is none. */
  near(x: number, y: number, reach: number): Unit | null {
    const place = this.place();
    if (!place) return null;
    const [scale, left, top] = place;
    let best = reach * reach;
    let found: Unit | null = null;
    for (let at = 0; at < this.units.length; at++) {
      const dx = (this.world[2 * at] as number) * scale - left - x;
      const dy = (this.world[2 * at + 1] as number) * scale - top - y;
      const far = dx * dx + dy * dy;
      if (far <= best) [best, found] = [far, this.units[at] as Unit];
    }
    return found;
  }

  onAdd(map: MapLibre, context: WebGLRenderingContext | WebGL2RenderingContext): void {
    const gl = context as WebGL2RenderingContext;
    this.map = map;
    const program = gl.createProgram();
    for (const [kind, source] of [
      [gl.VERTEX_SHADER, VERTEX],
      [gl.FRAGMENT_SHADER, FRAGMENT],
    ] as const) {
      const shader = gl.createShader(kind);
      if (!program || !shader) return;
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    this.program = program;
    this.vertices = gl.createVertexArray();
    this.buffer = gl.createBuffer();
    this.texture = gl.createTexture();
    this.painted = null;
  }

  onRemove(_map: MapLibre, context: WebGLRenderingContext | WebGL2RenderingContext): void {
    const gl = context as WebGL2RenderingContext;
    gl.deleteProgram(this.program);
    gl.deleteVertexArray(this.vertices);
    gl.deleteBuffer(this.buffer);
    gl.deleteTexture(this.texture);
    this.program = null;
  }

  render(context: WebGLRenderingContext | WebGL2RenderingContext): void {
    const gl = context as WebGL2RenderingContext;
    const place = this.place();
    if (!this.map || !this.program || !place) return;
    if (this.painted !== this.palette) this.paint(gl);
    const [scale, left, top] = place;
    const canvas = this.map.getCanvas();
    const ratio = canvas.width / canvas.clientWidth;
    const zoom = this.map.getZoom();
    // A whole force on one screen is a cloud of dots; a neighbourhood shows which way each is heading.
    const least = this.units.length > CROWD ? 0.34 : 0.55;
    const size = 30 * this.scale() * Math.min(1, Math.max(least, least + (zoom - 8.5) * 0.1));
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    let drawn = 0;
    for (let at = 0; at < this.units.length; at++) {
      const x = (this.world[2 * at] as number) * scale - left;
      const y = (this.world[2 * at + 1] as number) * scale - top;
      if (x < -size || y < -size || x > width + size || y > height + size) continue;
      const to = FIELDS * drawn++;
      this.screen[to] = x;
      this.screen[to + 1] = y;
      this.screen[to + 2] = this.looks[3 * at] as number;
      this.screen[to + 3] = this.looks[3 * at + 1] as number;
      this.screen[to + 4] = (this.looks[3 * at + 2] as number) * this.strength;
    }
    if (!drawn) return;
    gl.useProgram(this.program);
    gl.bindVertexArray(this.vertices);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffer);
    gl.bufferData(gl.ARRAY_BUFFER, this.screen.subarray(0, FIELDS * drawn), gl.DYNAMIC_DRAW);
    for (const [name, length, start] of [
      ["at", 2, 0],
      ["turn", 1, 2],
      ["cell", 1, 3],
      ["alpha", 1, 4],
    ] as const) {
      const where = gl.getAttribLocation(this.program, name);
      gl.enableVertexAttribArray(where);
      gl.vertexAttribPointer(where, length, gl.FLOAT, false, 4 * FIELDS, 4 * start);
    }
    gl.uniform2f(gl.getUniformLocation(this.program, "view"), width, height);
    gl.uniform1f(gl.getUniformLocation(this.program, "size"), size * ratio);
    gl.uniform1f(gl.getUniformLocation(this.program, "cells"), 4 * ACTS.length);
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    gl.uniform1i(gl.getUniformLocation(this.program, "atlas"), 0);
    gl.disable(gl.DEPTH_TEST);
    gl.disable(gl.STENCIL_TEST);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.drawArrays(gl.POINTS, 0, drawn);
    gl.bindVertexArray(null);
  }

  /** Pictures onto the card; within a frame, after which the map takes nothing of the card's state for granted. */
  private paint(gl: WebGL2RenderingContext): void {
    this.painted = this.palette;
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    gl.pixelStorei(gl.UNPACK_FLIP_Y_WEBGL, false);
    gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, true);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, unitAtlas(this.palette));
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.LINEAR);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR);
  }

  /** Pixels of the world, and where the screen's corner is in them. */
  private place(): [scale: number, left: number, top: number] | null {
    if (!this.map) return null;
    const canvas = this.map.getCanvas();
    const centre = this.map.getCenter();
    const scale = TILE * 2 ** this.map.getZoom();
    const [x, y] = mercator(centre.lng, centre.lat);
    return [scale, x * scale - canvas.clientWidth / 2, y * scale - canvas.clientHeight / 2];
  }
}
