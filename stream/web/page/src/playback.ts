/** Playback: a hand that moves along an officer's track. */

import type { DutyDetail, Slice } from "./api.ts";
import { byId, h, text } from "./dom.ts";
import { type LiveMap, position } from "./map.ts";
import { activityWords, clock, clockS, ms } from "./words.ts";

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
  private duty: DutyDetail | null = null;
  private readonly play = h("button", { type: "button", class: "play" });
  private readonly slider = h("input", { type: "range", min: "0", step: "1", "aria-label": "Time" });
  private readonly words = h("output", { class: "at" });
  private readonly pace = h("select", { "aria-label": "Speed" }, ...SPEEDS.map((one) => h("option", { value: one, selected: one === SPEEDS[1] }, `${one}×`)));
  private readonly title = h("span", { class: "whose" });

  constructor(private readonly map: LiveMap) {
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
      h("button", { type: "button", class: "close", onclick: () => this.close(), "aria-label": "Close the playback" }, "×"),
    );
  }

  open(duty: DutyDetail, name: string, from: number, to: number): void {
    this.duty = duty;
    this.from = duty.track.t_ms[0] ?? from;
    this.to = duty.track.t_ms.at(-1) ?? to;
    this.at = this.from;
    this.slider.max = String(Math.max(1, Math.round((this.to - this.from) / 1000)));
    text(this.title, name);
    this.place.hidden = false;
    this.map.showTrack(duty);
    this.start();
    this.play.focus();
  }

  close(): void {
    this.stop();
    this.duty = null;
    this.place.hidden = true;
    this.map.showNow(null);
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
    if (!this.duty) return;
    const slice = sliceAt(this.duty.slices, this.at);
    const words = slice ? activityWords(slice.activity) : "not on duty";
    this.slider.value = String(Math.round((this.at - this.from) / 1000));
    this.slider.setAttribute("aria-valuetext", `${clock(this.at)}, ${words}`);
    text(this.words, `${clockS(this.at)} · ${words}`);
    this.words.dataset["activity"] = slice?.activity ?? "none";
    // Where nothing is known, nothing is shown: the hand waits for the next fix.
    this.map.showNow(slice?.activity === "unknown" ? null : position(this.duty.track, this.at));
  }
}

function sliceAt(slices: readonly Slice[], time: number): Slice | undefined {
  return slices.find((one) => ms(one.start) <= time && time < ms(one.end));
}
