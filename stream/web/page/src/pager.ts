/**
 * Lists on the wall: nobody scrolls there, so what does not fit is shown page by page, and the page says which rows of
 * how many. It stands still under a pointer or the focus, when it is told to, and where motion is not wanted.
 */

import { attribute, h, text } from "./dom.ts";

/** How long a page stands; the first, with what needs it most, twice as long. */
const TURN_MS = 10_000;
const NARROW = "(max-width: 760px)";

export class Pager {
  private readonly element = h("div", { class: "pager", hidden: true });
  private readonly words = h("span", { class: "pager-words" });
  private readonly stop = h("button", { type: "button", class: "plain" });
  private starts: number[] = [0];
  private page = 0;
  private paused = matchMedia("(prefers-reduced-motion: reduce)").matches;
  private hands = false;
  private turned = performance.now();

  /**
   * @param box what is cut where its content is higher.
   * @param list whose children are the rows.
   * @param head where "1–12 of 31" goes.
   * @param what the rows are, in the plural.
   */
  constructor(
    private readonly box: HTMLElement,
    private readonly list: HTMLElement,
    head: HTMLElement,
    what: string,
  ) {
    const turn = (by: number, words: string, sign: string) =>
      h("button", { type: "button", class: "plain", "aria-label": `${words} page of ${what}`, onclick: () => this.turn(by) }, sign);
    this.stop.addEventListener("click", () => {
      this.paused = !this.paused;
      this.turned = performance.now();
      this.label();
    });
    attribute(this.stop, "data-what", what);
    this.element.append(turn(-1, "Previous", "‹"), this.words, turn(1, "Next", "›"), this.stop);
    head.append(this.element);
    this.label();
    const panel = box.closest(".panel") ?? box;
    panel.addEventListener("pointerenter", () => {
      this.hands = true;
    });
    panel.addEventListener("pointerleave", () => {
      this.hands = false;
      this.turned = performance.now();
    });
    new ResizeObserver(() => this.refresh()).observe(box);
    new MutationObserver(() => this.refresh()).observe(document.documentElement, { attributeFilter: ["data-wall"] });
    window.setInterval(() => {
      const still = this.paused || this.hands || panel.contains(document.activeElement) || document.hidden;
      if (still) this.turned = Math.max(this.turned, performance.now() - TURN_MS / 2);
      else if (performance.now() - this.turned >= (this.page === 0 ? 2 * TURN_MS : TURN_MS)) this.turn(1);
    }, 500);
  }

  private get active(): boolean {
    return document.documentElement.hasAttribute("data-wall") && !matchMedia(NARROW).matches;
  }

  /** Sorts the rows into pages anew; to be called when they have changed. */
  refresh(): void {
    const rows = [...this.list.children] as HTMLElement[];
    attribute(this.box, "data-paged", this.active || null);
    // How high each is shows when all are there.
    for (const row of rows) attribute(row, "data-off-page", null);
    if (!this.active || !rows.length) {
      this.element.hidden = true;
      return;
    }
    const heights = rows.map((row) => row.getBoundingClientRect().height);
    // What stands above the rows stays there on every page.
    const above = this.list === this.box ? 0 : this.list.getBoundingClientRect().top - this.box.getBoundingClientRect().top + this.box.scrollTop;
    const room = this.box.clientHeight - above;
    this.starts = [0];
    let filled = 0;
    for (const [at, height] of heights.entries()) {
      if (filled + height > room + 1 && filled > 0) {
        this.starts.push(at);
        filled = 0;
      }
      filled += height;
    }
    this.show(Math.min(this.page, this.starts.length - 1));
  }

  private turn(by: number): void {
    this.turned = performance.now();
    if (this.active && this.starts.length > 1) this.show((this.page + by + this.starts.length) % this.starts.length);
  }

  private show(page: number): void {
    this.page = page;
    const rows = [...this.list.children] as HTMLElement[];
    const first = this.starts[page] ?? 0;
    const end = this.starts[page + 1] ?? rows.length;
    for (const [at, row] of rows.entries()) attribute(row, "data-off-page", at < first || at >= end || null);
    this.box.scrollTop = 0;
    this.element.hidden = this.starts.length < 2;
    text(this.words, `${first + 1}–${end} of ${rows.length}`);
  }

  private label(): void {
    const what = this.stop.dataset["what"] ?? "";
    text(this.stop, this.paused ? "▸" : "❚❚");
    attribute(this.stop, "aria-label", this.paused ? `Turn the pages of ${what} automatically` : `Stop turning the pages of ${what}`);
  }
}
