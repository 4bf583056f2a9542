/** Playback: a hand that moves along an officer's track. */

import { byId, h, text } from "./dom.ts";
import type { LiveMap } from "./map.ts";
import type { Way } from "./track.ts";
import { activityWords, clock, clockS } from "./words.ts";

const SPEEDS = [60, 300, 900];
const SHOWN_MS = 1000 / 30;

export class Playback {
  private readonly place = byId("playback");
  private frame = 0;
  private last = 0;
  private drawn = 0;
  private at = 0;
  private from = 0;
  private to = 0;
  private speed = SPEEDS[1] as number;
  private way: Way | null = null;
  private opener: HTMLElement | null = null;
  private readonly play = h("button", { type: "button", class: "play" });
  private readonly slider = h("input", { type: "range", min: "0", step: "1", "aria-label": "Time" });
  private readonly words = h("output", { class: "at" });
  private readonly pace = h("select", { "aria-label": "Speed" }, ...SPEEDS.map((one) => h("option", { value: one, selected: one === SPEEDS[1] }, `${one}×`)));
  private readonly title = h("span", { class: "whose" });

  constructor(private readonly map: LiveMap | null) {
    this.play.addEventListener("click", () => this.toggle());
    this.slider.addEventListener("input", () => {
      this.stop();
      this.at = this.from + Number(this.slider.value) * 1000;
      this.show();
    });
    this.pace.addEventListener("change", () => {
      this.speed = Number(this.pace.value);
    });
    this.place.append(
      this.title,
      this.play,
      this.slider,
      this.words,
      this.pace,
      h("button", { type: "button", class: "close", onclick: () => this.close(true), "aria-label": "Close the playback" }, "×"),
    );
  }

  get isOpen(): boolean {
    return this.way !== null;
  }

  /**
   * @param way what is played; it has fixes.
   * @param name whose way it is.
   * @param opener what has the focus again when it is closed.
   */
  open(way: Way, name: string, opener: HTMLElement): void {
    if (!way.span) return;
    this.way = way;
    this.opener = opener;
    [this.from, this.to] = way.span;
    this.at = this.from;
    this.slider.max = String(Math.max(1, Math.round((this.to - this.from) / 1000)));
    text(this.title, name);
    this.place.hidden = false;
    this.map?.showTrack(way);
    this.start();
    this.play.focus();
  }

  /** @param back whether the focus goes back to what opened it. */
  close(back = false): void {
    if (!this.way) return;
    this.stop();
    this.way = null;
    this.place.hidden = true;
    this.map?.showNow(null);
    if (back && this.opener?.isConnected) this.opener.focus();
    this.opener = null;
  }

  private toggle(): void {
    if (this.frame) return this.stop();
    if (this.at >= this.to) this.at = this.from;
    this.start();
  }

  private start(): void {
    this.last = performance.now();
    const step = (now: number) => {
      this.at = Math.min(this.to, this.at + (now - this.last) * this.speed);
      this.last = now;
      if (now - this.drawn >= SHOWN_MS) {
        this.drawn = now;
        this.show();
      }
      if (this.at >= this.to) {
        this.stop();
        this.show();
      } else this.frame = requestAnimationFrame(step);
    };
    this.frame = requestAnimationFrame(step);
    this.label();
  }

  private stop(): void {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    this.label();
  }

  private label(): void {
    text(this.play, this.frame ? "Pause" : "Play");
  }

  private show(): void {
    if (!this.way) return;
    const slice = this.way.slice(this.at);
    const words = slice ? activityWords(slice.activity) : "not on duty";
    this.slider.value = String(Math.round((this.at - this.from) / 1000));
    this.slider.setAttribute("aria-valuetext", `${clock(this.at)}, ${words}`);
    text(this.words, `${clockS(this.at)} · ${words}`);
    this.words.dataset["activity"] = slice?.activity ?? "none";
    // Where nothing is known, nothing is shown: the hand waits for the next fix.
    this.map?.showNow(this.way.at(this.at));
  }
}
