/** Bars: a share with its bounds and the promise, a shift as a strip of time, the hours as columns. */

import type { Activity, Hour, Share, TimelinePiece } from "./types.ts";
import { attribute, h } from "./dom.ts";
import { ACTIVITIES, clock, duration, noFigure, percent, verdictClass } from "./words.ts";

/** A share as a bar, its bounds as whiskers, the promise as a line. */
export class ShareBar {
  readonly element: HTMLElement;
  private readonly fill = h("i", { class: "fill" });
  private readonly range = h("i", { class: "range" });
  private readonly line = h("i", { class: "line" });

  constructor() {
    this.element = h("span", { class: "bar-share", "aria-hidden": "true" }, this.fill, this.range, this.line);
  }

  update(share: Pick<Share, "share" | "share_low" | "share_high" | "target" | "verdict">): void {
    const low = share.share_low ?? share.share ?? 0;
    const high = share.share_high ?? share.share ?? 0;
    this.fill.style.width = `${(share.share ?? 0) * 100}%`;
    this.range.style.left = `${low * 100}%`;
    this.range.style.width = `${Math.max(0, high - low) * 100}%`;
    this.range.hidden = share.share === null;
    this.line.style.left = `${share.target * 100}%`;
    attribute(this.element, "data-verdict", verdictClass(share.verdict));
  }
}

/** A share in words: for the accessible name of a row. */
export function shareWords(share: Share): string {
  if (share.share === null) return noFigure(share);
  const { target, share_low, share_high } = share;
  const bounds =
    share_low !== null && share_high !== null
      ? `, between ${percent(share_low, target)} and ${percent(share_high, target)}`
      : "";
  return `${percent(share.share, target)}${bounds}, ${share.verdict ?? ""}`;
}

/** A shift as a strip: what each stretch of it counted as. */
export function strip(pieces: readonly TimelinePiece[], from: number, to: number, words: string): HTMLElement {
  const whole = h("div", { class: "strip", role: "img", "aria-label": words });
  const length = Math.max(1, to - from);
  for (const [start, end, activity] of pieces) {
    const left = Math.max(from, start);
    const right = Math.min(to, end);
    if (right <= left) continue;
    const piece = h("i", {
      class: activity,
      title: `${ACTIVITIES[activity]}, ${clock(start)}–${clock(end)} (${duration((end - start) / 1000)})`,
    });
    piece.style.left = `${((left - from) / length) * 100}%`;
    piece.style.width = `${((right - left) / length) * 100}%`;
    whole.append(piece);
  }
  return whole;
}

/** Hours as marks under a strip. */
export function ticks(from: number, to: number): HTMLElement {
  const row = h("div", { class: "ticks", "aria-hidden": "true" });
  const hour = 3_600_000;
  const step = to - from > 7 * hour ? 2 * hour : hour;
  for (let at = Math.ceil(from / hour) * hour; at <= to; at += step) {
    const share = (at - from) / (to - from);
    if (share > 0.97) break;
    const tick = h("span", {}, clock(at));
    tick.style.left = `${share * 100}%`;
    row.append(tick);
  }
  return row;
}

const STACK: Activity[] = ["on_patch", "off_patch", "not_visible", "unknown"];

/** Share over the hours: a column an hour, what its duty time went to, and the promise as a line across. */
export function hours(rows: readonly Hour[], target: number): HTMLElement {
  const chart = h("div", { class: "hours", "aria-hidden": "true" });
  const line = h("i", { class: "target" });
  line.style.bottom = `${target * 100}%`;
  const plot = h("div", { class: "plot" }, line);
  const names = h("div", { class: "names" });
  for (const row of rows) {
    const column = h("div", { class: "column" });
    const stack = h("div", { class: "stack" });
    for (const activity of STACK) {
      const seconds = row[`${activity}_s` as keyof Hour] as number;
      if (!seconds || !row.duty_s) continue;
      const piece = h("i", { class: activity, title: `${ACTIVITIES[activity]}: ${duration(seconds)}` });
      piece.style.height = `${(seconds / row.duty_s) * 100}%`;
      stack.append(piece);
    }
    column.append(h("b", {}, row.share === null ? "–" : percent(row.share, target).replace("%", "")), stack);
    plot.append(column);
    names.append(h("span", {}, clock(row.from)));
  }
  chart.append(plot, names);
  return h(
    "figure",
    { class: "hours-figure" },
    h("figcaption", {}, "Share on patch, hour by hour (%)"),
    chart,
    hoursTable(rows, target),
  );
}

/** The same as a table, for those who do not see the columns. */
function hoursTable(rows: readonly Hour[], target: number): HTMLElement {
  return h(
    "table",
    { class: "hidden" },
    h("caption", {}, "Share on patch, hour by hour"),
    h("thead", {}, h("tr", {}, ...["from", "share", ...STACK.map((one) => ACTIVITIES[one])].map((one) => h("th", { scope: "col" }, one)))),
    h(
      "tbody",
      {},
      ...rows.map((row) =>
        h(
          "tr",
          {},
          h("th", { scope: "row" }, clock(row.from)),
          h("td", {}, percent(row.share, target)),
          ...STACK.map((one) => h("td", {}, duration(row[`${one}_s` as keyof Hour] as number))),
        ),
      ),
    ),
  );
}

/** What the colours of strips and columns mean. */
export function key(): HTMLElement {
  return h(
    "ul",
    { class: "key" },
    ...(["on_patch", "off_patch", "not_visible", "break", "unknown"] as Activity[]).map((activity) =>
      h("li", {}, h("i", { class: activity, "aria-hidden": "true" }), ACTIVITIES[activity]),
    ),
  );
}
