/** Values → words: plain English, units, local time (Europe/London, whatever the machine's own zone is). */

import type { Activity, PriorityArea, Share, Verdict } from "./types.ts";

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

/** How long ago a position was, in seconds; one that a wrong clock dates ahead is called so, never 0 s old. */
export function ago(seconds: number): string {
  return seconds < -1 ? `dated ${duration(-seconds)} ahead` : `${duration(seconds)} ago`;
}

/** Minutes alone, for columns. */
export function minutes(seconds: number): string {
  return `${Math.round(seconds / 60).toLocaleString("en-GB")}\u00a0min`;
}

/**
 * A share in per cent, everywhere on the page as reports and tables say it (`stream.core.explaining.wording.percent`): one decimal, or
 * as many as the target has; what is below the target is shown below it, and what reaches it is shown so; 0% and
 * 100% are shown of nothing else than 0 and 1.
 */
export function percent(share: number | null | undefined, target?: number): string {
  if (share === null || share === undefined) return "–";
  let digits = 1;
  while (target !== undefined && digits < 7 && !whole(target * 10 ** (2 + digits))) digits += 1;
  const scale = 10 ** (2 + digits);
  let shown = half(share * scale);
  if (target !== undefined) {
    const line = whole(target * scale) ? Math.round(target * scale) : Math.ceil(target * scale);
    shown = share < target ? Math.min(shown, line - 1) : Math.max(shown, line);
  }
  if (share > 0) shown = Math.max(shown, 1);
  if (share < 1) shown = Math.min(shown, scale - 1);
  return `${(shown / 10 ** digits).toFixed(digits)}%`;
}

/** Numbers of six decimals are never quite themselves in binary: near enough to a whole one is one. */
const whole = (value: number) => Math.abs(value - Math.round(value)) < 1e-6;

/** To the nearest whole, halves to the even one. */
function half(value: number): number {
  const low = Math.floor(value);
  if (!whole(2 * value)) return Math.round(value);
  return whole(value) ? Math.round(value) : low % 2 ? low + 1 : low;
}

/** A promise in per cent, with as many decimals as it has. */
export function promise(target: number): string {
  return `${Number((target * 100).toPrecision(10))}%`;
}

export const VERDICTS: Record<string, string> = {
  met: "met",
  "not proven": "not proven",
  missed: "missed",
  none: "no figure",
};

/** Why a share has no figure, in two or three words; empty where it has one. */
export function noFigure(share: { without_share: Share["without_share"] }): string {
  switch (share.without_share) {
    case null:
      return "";
    case "no_position":
      return "no position known";
    case "far":
      return "positions far away";
    case "no_home_patch":
      return "no patch";
    default:
      return "no duty";
  }
}

/** The same as a sentence. */
export function noFigureWords(share: { without_share: Share["without_share"] }): string {
  switch (share.without_share) {
    case null:
      return "";
    case "no_position":
      return "No figure: no position is known of any of the duty time.";
    case "far":
      return "No figure: no position lies near any area. Are longitude and latitude exchanged, or are the boundaries of another force?";
    case "no_home_patch":
      return "No figure: no home patch.";
    default:
      return "No duty time yet.";
  }
}

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
  none: "not allocated",
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

/** Whether the target will be missed at the end of the shift: for certain, or if the last hour's pattern continues. */
export function willMiss(share: Share): boolean {
  return share.outlook === "certain_miss" || share.outlook === "likely_miss";
}

/** Where a share is heading, in a few letters; nothing where it is too early to tell, or nobody is on duty. */
export function heading(share: Share): string {
  const { target } = share;
  switch (share.outlook) {
    case "certain_miss":
      return `≤\u2009${percent(share.projected_best, target)}`;
    case "certain_met":
      return `≥\u2009${percent(share.projected_worst, target)}`;
    case "likely_miss":
    case "open":
      return percent(share.projected, target);
    default:
      return "–";
  }
}

/** The same in a sentence. */
export function headingWords(share: Share): string {
  const { target } = share;
  const [best, worst] = [percent(share.projected_best, target), percent(share.projected_worst, target)];
  switch (share.outlook) {
    case "certain_miss":
      return `Can no longer reach ${promise(target)}: at most ${best} at the end of the shift, even with everyone on patch from now on.`;
    case "certain_met":
      return `Certain to reach ${promise(target)}: at least ${worst} at the end of the shift.`;
    case "likely_miss":
    case "open":
      return `${mayMiss(share) ? `May miss ${promise(target)}. ` : ""}Heading for ${percent(share.projected, target)} at the end of the shift if the last hour's pattern continues; anything from ${worst} to ${best} is possible.`;
    case "too_early":
      return `Too early to tell how the shift will end: anything from ${worst} to ${best} is possible.`;
    default:
      return "";
  }
}

/** Whether it would be missed if it went on like the last hour, though too little is told to say so. */
export function mayMiss(share: Share): boolean {
  return share.outlook === "open" && typeof share.projected === "number" && share.projected < share.target;
}

/** Of those on duty nobody is on patch: whether they ought to be, or why not; empty where somebody is, or nobody is on duty. */
export function nobodyWords(share: Share): string {
  if (!share.officers_on_duty || share.officers_on_patch) return "";
  return nobodyOnPatch(share) ? "nobody on patch" : "nobody on patch: all on a break";
}

/** All who are on duty are on a break: nobody is on patch, by right. */
export function allOnBreak(share: Share): boolean {
  return Boolean(nobodyWords(share)) && !nobodyOnPatch(share);
}

/** Nobody on patch who ought to be: those on a break are not visible by right. */
export function nobodyOnPatch(share: Share): boolean {
  return share.officers_on_duty > share.officers_on_break && share.officers_on_patch === 0;
}
