/** Values → words: plain English, units, local time (Europe/London, whatever the machine's own zone is). */

import type { Activity, PriorityArea, Share, Verdict } from "./api.ts";

const ZONE = "Europe/London";
const format = (options: Intl.DateTimeFormatOptions) =>
  new Intl.DateTimeFormat("en-GB", { timeZone: ZONE, hourCycle: "h23", ...options });
const CLOCK = format({ hour: "2-digit", minute: "2-digit" });
const CLOCK_S = format({ hour: "2-digit", minute: "2-digit", second: "2-digit" });
const DAY = format({ weekday: "short", day: "numeric", month: "short" });
const DAY_YEAR = format({ day: "numeric", month: "short", year: "numeric" });

type When = string | number | null | undefined;

/** Milliseconds of a time as the server gives it; NaN where there is none. */
export function ms(time: When): number {
  return typeof time === "number" ? time : time ? Date.parse(time) : Number.NaN;
}

function said(formatter: Intl.DateTimeFormat, time: When): string {
  const at = ms(time);
  return Number.isNaN(at) ? "–" : formatter.format(at);
}

export const clock = (time: When): string => said(CLOCK, time);
export const clockS = (time: When): string => said(CLOCK_S, time);
export const day = (time: When): string => said(DAY, time);
export const dayYear = (time: When): string => said(DAY_YEAR, time);
export const dayClock = (time: When): string => `${said(DAY_YEAR, time)}, ${said(CLOCK, time)}`;

/** A length of time as people say it: 45 s, 25 min, 3 h 10 min. */
export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return "–";
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 90) return `${whole}\u00a0s`;
  const minutes = Math.round(whole / 60);
  if (minutes < 90) return `${minutes}\u00a0min`;
  const rest = minutes % 60;
  return `${Math.floor(minutes / 60)}\u00a0h${rest ? `\u00a0${rest}\u00a0min` : ""}`;
}

/** Minutes alone, for columns. */
export function minutes(seconds: number): string {
  return `${Math.round(seconds / 60).toLocaleString("en-GB")}\u00a0min`;
}

/**
 * A share in per cent. Rounding never lifts it to the target, or drops it below: 79.6 % of a promise of 80 %
 * is said as 79 %.
 */
export function percent(share: number | null | undefined, target = 0.8, digits = 0): string {
  if (share === null || share === undefined) return "–";
  const unit = 10 ** digits;
  let shown = Math.round(share * 100 * unit) / unit;
  const line = target * 100;
  if (share < target && shown >= line) shown = Math.floor(share * 100 * unit) / unit;
  return `${shown.toFixed(digits)}\u00a0%`;
}

export const VERDICTS: Record<string, string> = {
  met: "met",
  "not proven": "not proven",
  missed: "missed",
  none: "no duty",
};

/** A verdict as a word for class names. */
export function verdictClass(verdict: Verdict): "met" | "unproven" | "missed" | "none" {
  return verdict === "met" ? "met" : verdict === "missed" ? "missed" : verdict ? "unproven" : "none";
}

export const ACTIVITIES: Record<Activity | "none", string> = {
  on_patch: "on patch",
  off_patch: "off patch",
  not_visible: "not visible",
  break: "on a break",
  unknown: "no signal",
  off_duty: "off duty",
  none: "nobody has it",
};

export function activityWords(activity: string | null | undefined): string {
  return ACTIVITIES[(activity ?? "none") as Activity | "none"] ?? String(activity);
}

/** "1 officer", "3 officers". */
export function count(number: number, one: string, many = `${one}s`): string {
  return `${number.toLocaleString("en-GB")}\u00a0${number === 1 ? one : many}`;
}

/** Seconds since the last visit to a priority area; null where there was none. The server sends no ageing. */
export function since(area: PriorityArea, now: number): number | null {
  if (area.someone_there) return 0;
  return area.last_visit_end === null ? null : Math.max(0, (now - ms(area.last_visit_end)) / 1000);
}

/** How long a priority area has seen nobody, for a label. */
export function waiting(area: PriorityArea, now: number): string {
  if (area.someone_there) return "there now";
  const seconds = since(area, now);
  return seconds === null ? "no visit" : duration(seconds);
}

/** Away time of a figure: off patch and not visible. */
export function away(share: Share): number {
  return share.off_patch_s + share.not_visible_s;
}

/** Whether the target will be missed at the end of the shift, as far as the projection says. */
export function willMiss(share: Share): boolean {
  return share.officers_on_duty > 0 && typeof share.projected === "number" && share.projected < share.target;
}

export function nobodyOnPatch(share: Share): boolean {
  return share.officers_on_duty > 0 && share.officers_on_patch === 0;
}
