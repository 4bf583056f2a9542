/** What a neighbourhood or an officer opens to, in the place of the list. */

import type { Activity, DutyDetail, Neighbourhood, OfficerAtHome, OfficerNow, Officer, Quality, Slice, TimelinePiece } from "./types.ts";
import { ProblemError, ask } from "./ask.ts";
import { ShareBar, hours, key, shareWords, strip, ticks } from "./bars.ts";
import { attribute, byId, h, roving, rovingStop } from "./dom.ts";
import type { LiveMap } from "./map.ts";
import { Playback } from "./playback.ts";
import { state } from "./state.ts";
import { Way } from "./track.ts";
import { view } from "./views.ts";
import { activityWords, ago, allOnBreak, away, clock, count, dayClock, duration, heading, headingWords, mayMiss, minutes, ms, noFigure, noFigureWords, nobodyWords, percent, promise, verdictClass, willMiss } from "./words.ts";

const REFRESH_MS = 5_000;

export type Route = { kind: "list" | "quality" } | { kind: "neighbourhood" | "officer" | "priority" | "nowhere"; id: string; duty?: string };

/** `#/n/…` a neighbourhood, `#/o/…` an officer, `#/o/…/d/…` one duty, `#/p/…` a priority area, `#/quality` what the data are worth; any other `#/…` leads nowhere. */
export function route(): Route {
  if (location.hash === "#/quality") return { kind: "quality" };
  const [, officer, duty] = /^#\/o\/([^/]+)\/d\/([^/]+)$/.exec(location.hash) ?? [];
  if (officer && duty) {
    try {
      return { kind: "officer", id: decodeURIComponent(officer), duty: decodeURIComponent(duty) };
    } catch {
      return { kind: "nowhere", id: location.hash };
    }
  }
  const [, letter, id] = /^#\/([nop])\/(.+)$/.exec(location.hash) ?? [];
  if (!letter || !id) return /^#\/./.test(location.hash) ? { kind: "nowhere", id: location.hash } : { kind: "list" };
  const kind = { n: "neighbourhood", o: "officer", p: "priority" }[letter] as "neighbourhood" | "officer" | "priority";
  try {
    return { kind, id: decodeURIComponent(id) };
  } catch {
    return { kind: "nowhere", id: location.hash };
  }
}

const GENERIC = "#/";

/** What was used to open something, so that the focus can go back to it. */
interface Opener {
  element: HTMLElement | null;
  href: string | null;
}

export class Detail {
  private readonly place = byId("detail");
  private readonly list = byId("list-view");
  private readonly playback: Playback;
  private shown = "";
  private readonly purposes = new Map<string, string>();
  private turn = 0;
  private timer = 0;
  private request: AbortController | null = null;
  private readonly openers = new Map<string, Opener>();
  private back: Opener | null = null;
  private behind = GENERIC;
  private duty: string | undefined;
  /** The neighbourhood that was shown last: there again at once when what lies over it closes. */
  private kept: Neighbourhood | null = null;

  constructor(private readonly map: LiveMap | null) {
    this.playback = new Playback(map);
    roving(this.place, "a.officer");
  }

  /** Shows what the address says. */
  go(): void {
    const wanted = route();
    // No name has control characters in it, and the database takes none.
    const unheard = (wanted.kind === "neighbourhood" || wanted.kind === "officer") && /\p{Cc}/u.test(wanted.id);
    const missing = unheard || wanted.kind === "nowhere" || (wanted.kind === "priority" && state.known && !state.areas.has(wanted.id));
    const open = wanted.kind === "neighbourhood" || wanted.kind === "officer" || wanted.kind === "quality" || missing;
    const duty = "id" in wanted ? wanted.duty : undefined;
    const signature = open ? `${wanted.kind} ${"id" in wanted ? wanted.id : ""}${duty === undefined ? "" : ` ${duty}`}` : "";
    if (signature === this.shown) return;
    this.duty = duty;
    window.clearTimeout(this.timer);
    this.request?.abort();
    this.turn += 1;
    const before = this.shown.split(" ", 1)[0] ?? "";
    const inner = before === "officer" && this.behind !== GENERIC;
    // Back to what lay behind an officer, or to the list: the focus returns to what opened the thing that closes.
    const closes = open ? inner && location.hash === this.behind : Boolean(before) && wanted.kind === "list";
    this.back = closes ? (this.openers.get(!open && inner ? "neighbourhood" : before) ?? null) : null;
    if (open && !closes) {
      const active = document.activeElement as HTMLElement | null;
      this.openers.set(wanted.kind, { element: active, href: active?.getAttribute("href") ?? null });
    }
    this.shown = signature;
    this.playback.close();
    this.map?.showTrack(null);
    attribute(document.body, "data-detail", open ? wanted.kind : null);
    this.list.hidden = open;
    this.place.hidden = !open;
    if (!open) {
      this.map?.select("");
      this.place.replaceChildren();
      if (closes) this.restore(byId("list-title"));
      this.behind = GENERIC;
      return;
    }
    this.place.scrollTop = 0;
    view("list");
    if (missing) {
      this.behind = GENERIC;
      this.map?.select("");
      if (unheard) this.nothing(`There is no ${wanted.kind} “${wanted.id.replace(/\p{Cc}/gu, "\u{fffd}")}”.`);
      else this.nothing(wanted.kind === "priority" ? `There is no priority area “${wanted.id}”: it may have been taken back, or the link is wrong.` : "This link leads nowhere: it names nothing that this page can show.");
      return;
    }
    this.place.replaceChildren(this.head("…", ""), h("div", { class: "loading", role: "status" }, "Loading…"));
    if (wanted.kind === "neighbourhood") {
      this.map?.select(wanted.id, true);
      this.behind = location.hash;
      const kept = closes && this.kept?.share.id === wanted.id ? this.kept : null;
      if (kept) this.show(kept, true);
      else if (closes) this.place.querySelector("h2")?.focus({ preventScroll: true });
      void this.neighbourhood(wanted.id, this.turn, !kept);
    } else if (wanted.kind === "officer") void this.officer(wanted.id, this.turn, true);
    else if (wanted.kind === "quality") {
      this.behind = GENERIC;
      this.map?.select("");
      void this.quality(this.turn, true);
    }
  }

  /** Closes the innermost thing that is open: the playback, then an officer, then a neighbourhood or a priority area. */
  close(): void {
    if (this.playback.isOpen) this.playback.close(true);
    else if (this.shown.startsWith("officer")) location.hash = this.behind;
    else if (route().kind !== "list") location.hash = GENERIC;
  }

  private restore(otherwise: HTMLElement | null): void {
    const { element, href } = this.back ?? { element: null, href: null };
    this.back = null;
    const same = element?.isConnected && element !== document.body && element.offsetParent ? element : null;
    const again = href === null ? null : document.querySelector<HTMLElement>(`main a[href="${CSS.escape(href)}"]`);
    (same ?? again ?? otherwise)?.focus();
  }

  private head(title: string, verdict: string): HTMLElement {
    const back = this.shown.startsWith("officer") && this.behind !== GENERIC ? this.behind : GENERIC;
    const name = this.behind !== GENERIC && back !== GENERIC ? this.called("neighbourhood", decodeURIComponent(back.slice(4))) : "All neighbourhoods";
    return h(
      "div",
      { class: "panel-head detail-head" },
      h("a", { class: "back", href: back }, h("span", { "aria-hidden": "true" }, "‹ "), name),
      h("h2", { tabindex: "-1" }, title),
      verdict ? h("span", { class: "verdict" }, verdict) : null,
    );
  }

  /** Asks why a track is looked at, where the server wants that said: it goes on record. */
  private purpose(name: string, show: (said: string) => void): void {
    const words = h("input", { id: "purpose", type: "text", required: true, maxlength: 500, autocomplete: "off" });
    const send = (event: Event) => {
      event.preventDefault();
      if (words.value.trim()) show(words.value.trim());
    };
    this.place.replaceChildren(
      this.head(name, ""),
      h(
        "form",
        { class: "empty", onsubmit: send },
        h("p", {}, h("label", { for: "purpose" }, "Why do you look at this track? It goes on record.")),
        h("p", {}, words),
        h("p", {}, h("button", { type: "submit" }, "Show the track")),
      ),
    );
    words.focus({ preventScroll: true });
  }

  private fail(error: unknown, again: () => void): void {
    if (error instanceof DOMException && error.name === "AbortError") return;
    const words = error instanceof ProblemError ? error.message : String(error);
    const wanted = route();
    if (error instanceof ProblemError && NO_SUCH.includes(error.status) && "id" in wanted) {
      // Where the address itself is refused, the server knows no name for what is asked.
      const said = error.status === 404 && / (?:neighbourhood|officer|duty) |not been/.test(words);
      return this.nothing(said ? `${sentence(words)}.` : `There is no ${wanted.kind} “${wanted.id}”.`);
    }
    this.place.replaceChildren(
      this.head("Not shown", ""),
      h("div", { class: "empty", role: "alert" }, h("p", {}, words), h("button", { type: "button", onclick: again }, "Try again")),
    );
    this.place.querySelector("h2")?.focus({ preventScroll: true });
  }

  /** What is asked for is not there: says so, and shows the way back. */
  private nothing(words: string): void {
    this.place.replaceChildren(
      this.head("Not found", ""),
      h("div", { class: "empty", role: "alert" }, h("p", {}, words), h("p", {}, h("a", { class: "button", href: GENERIC }, "Show all neighbourhoods"))),
    );
    this.place.querySelector("h2")?.focus({ preventScroll: true });
  }

  /** Puts new content in, and keeps the place scrolled to and the link with the focus. */
  private put(first: boolean, ...content: (Node | null)[]): void {
    const top = this.place.scrollTop;
    const focused = this.place.contains(document.activeElement) ? (document.activeElement as HTMLElement) : null;
    const href = focused?.getAttribute("href");
    const summary = focused?.tagName === "SUMMARY" ? focused.parentElement?.id : null;
    const opened = new Map([...this.place.querySelectorAll("details")].map((one) => [one.id, one.open]));
    this.place.replaceChildren(...content.filter((one): one is Node => one !== null));
    for (const one of this.place.querySelectorAll("details")) one.open = opened.get(one.id) ?? one.open;
    rovingStop(this.place, "a.officer");
    if (first) {
      if (this.back) this.restore(this.place.querySelector("h2"));
      else this.place.querySelector("h2")?.focus({ preventScroll: true });
      return;
    }
    this.place.scrollTop = top;
    if (!focused) return;
    const same = focused.isConnected ? focused : null;
    const link = href ? this.place.querySelector<HTMLElement>(`a[href="${CSS.escape(href)}"]`) : null;
    const opener = summary ? this.place.querySelector<HTMLElement>(`#${CSS.escape(summary)} > summary`) : null;
    (same ?? link ?? opener ?? this.place.querySelector("h2"))?.focus({ preventScroll: true });
  }

  private later(work: () => void, turn: number): void {
    this.timer = window.setTimeout(() => {
      if (turn !== this.turn) return;
      if (document.hidden) this.later(work, turn);
      else work();
    }, REFRESH_MS);
  }

  private signal(): AbortSignal {
    this.request = new AbortController();
    return this.request.signal;
  }

  // ── What the data are worth ─────────────────────────────────────────────────────────────────────────────

  private async quality(turn: number, first: boolean): Promise<void> {
    let found: Quality;
    try {
      found = await ask<Quality>("/quality", { signal: this.signal() });
    } catch (error) {
      if (turn !== this.turn) return;
      if (first) this.fail(error, () => void this.quality(turn, true));
      else this.later(() => void this.quality(turn, false), turn);
      return;
    }
    if (turn !== this.turn) return;
    this.put(
      first,
      this.head("Can the data be trusted?", ""),
      h("div", { class: "empty" }, h("p", {}, found.text), ...found.warnings.map((one) => h("p", { class: "quiet" }, one))),
      heardFacts(found),
      ...rejectedBlocks(found),
    );
    this.later(() => void this.quality(turn, false), turn);
  }

  /** What speaks against the facts behind a neighbourhood's figure, beside its verdict; nothing where nothing does. */
  private inQuestion(id: string): HTMLElement | null {
    const kinds = state.questioned(id);
    return kinds.length ? h("p", { class: "quiet in-question" }, "Facts in question: ", h("a", { href: "#/quality" }, kinds.join(", "))) : null;
  }

  // ── A neighbourhood ─────────────────────────────────────────────────────────────────────────────────────

  private async neighbourhood(id: string, turn: number, first: boolean): Promise<void> {
    let found: Neighbourhood;
    try {
      found = await ask<Neighbourhood>(`/neighbourhoods/${encodeURIComponent(id)}`, { signal: this.signal() });
    } catch (error) {
      if (turn !== this.turn) return;
      if (first || gone(error)) this.fail(error, () => void this.neighbourhood(id, turn, true));
      else this.later(() => void this.neighbourhood(id, turn, false), turn);
      return;
    }
    if (turn !== this.turn) return;
    this.show(found, first);
    this.later(() => void this.neighbourhood(id, turn, false), turn);
  }

  private show(found: Neighbourhood, first: boolean): void {
    this.kept = found;
    const { share, officers } = found;
    const bar = new ShareBar();
    bar.update(share);
    const lost = away(share);
    const nobody = nobodyWords(share);
    const sorted = [...officers].sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name, "en-GB"));
    const [from, to] = span(sorted);
    this.put(
      first,
      this.head(share.name, noFigure(share) || (share.verdict ?? "")),
      h(
        "div",
        { class: "summary", "data-verdict": verdictClass(share.verdict), "data-nobody": Boolean(nobody) || null },
        h("p", { class: "figure" }, percent(share.share, share.target)),
        h(
          "div",
          {},
          bar.element,
          h("p", { class: "quiet" }, share.share === null ? noFigureWords(share) : `between ${percent(share.share_low, share.target)} and ${percent(share.share_high, share.target)}; promise ${promise(share.target)}${share.doubtful_s >= 60 ? `; ${minutes(share.doubtful_s)} of it doubtful: the facts contradict each other` : ""}`),
        ),
        h("p", { class: "hidden" }, shareWords(share)),
      ),
      this.inQuestion(share.id),
      h(
        "dl",
        { class: "facts" },
        ...fact("On patch now", `${share.officers_on_patch} of ${share.officers_on_duty}${allOnBreak(share) ? ", on a break" : ""}`, nobody ? "bad" : ""),
        ...fact("At shift end", share.outlook === "too_early" ? "too early" : `${heading(share)}${mayMiss(share) ? ", may miss" : ""}`, willMiss(share) ? "bad" : ""),
        ...fact("Away so far", lost >= 60 ? minutes(lost) : "none", ""),
      ),
      headingWords(share) ? h("p", { class: "quiet outlook" }, headingWords(share)) : null,
      share.abstraction.length
        ? h(
            "section",
            { class: "block" },
            h("h3", {}, "Where the time went"),
            h(
              "ul",
              { class: "wheres" },
              ...share.abstraction.map((one) =>
                h("li", {}, h("span", {}, one.where, one.state ? h("span", { class: "quiet" }, ` · ${one.state}`) : null), h("b", {}, minutes(one.seconds))),
              ),
            ),
          )
        : null,
      found.hours.length ? h("section", { class: "block" }, h("h3", {}, "The shift, hour by hour"), hours(found.hours, share.target), key()) : null,
      h(
        "section",
        { class: "block of-persons" },
        h("h3", {}, "Officers"),
        sorted.length
          ? h("ul", { class: "officers-list" }, ...sorted.map((one) => officerRow(one, from, to)))
          : h("p", { class: "empty" }, "None of this neighbourhood's officers is on duty now."),
        sorted.length ? ticks(from, to) : null,
      ),
    );
  }

  // ── An officer ──────────────────────────────────────────────────────────────────────────────────────────

  private async officer(id: string, turn: number, first: boolean): Promise<void> {
    let one: Officer | null;
    let duty: DutyDetail;
    const asked = this.duty;
    try {
      const signal = this.signal();
      const found = await ask<OfficerNow>(`/officers/${encodeURIComponent(id)}`, { signal });
      one = asked === undefined || asked === found.officer?.duty_id ? found.officer : null;
      const which = asked ?? one?.duty_id ?? found.duties[0]?.duty_id;
      if (!which) throw new ProblemError(404, `${found.name} has not been on duty`);
      const why = this.purposes.get(dutyPath(id, which));
      const headers: Record<string, string> = why ? { "Patrol-Purpose": encodeURIComponent(why) } : {};
      try {
        duty = await ask<DutyDetail>(dutyPath(id, which), { signal, headers });
      } catch (error) {
        if (!(error instanceof ProblemError && error.status === 428)) throw error;
        if (turn === this.turn) this.purpose(found.name, (said) => {
          this.purposes.set(dutyPath(id, which), said);
          void this.officer(id, this.turn, true);
        });
        return;
      }
    } catch (error) {
      if (turn !== this.turn) return;
      if (first || gone(error)) this.fail(error, () => void this.officer(id, turn, true));
      else this.later(() => void this.officer(id, turn, false), turn);
      return;
    }
    if (turn !== this.turn) return;
    const way = new Way(duty.slices, duty.track);
    this.way = way;
    if (first || !this.playback.isOpen) this.map?.showTrack(way, first);
    const { name, role, team } = duty.duty;
    const line = pieces(duty.slices);
    const from = ms(duty.duty.from);
    const to = one ? Math.max(state.now, line.at(-1)?.[1] ?? 0) : (line.at(-1)?.[1] ?? from + 1);
    const { figure } = duty;
    if (first) {
      const play = h("button", { type: "button", class: "primary" }, "Play the track");
      play.addEventListener("click", () => this.way && this.playback.open(this.way, name, play));
      this.play = play;
    }
    this.put(
      first,
      this.head(name, ""),
      h(
        "div",
        { class: "summary officer-summary", "data-activity": one?.activity ?? "none" },
        h("p", { class: "figure" }, percent(figure.share, figure.target)),
        h(
          "div",
          {},
          h("p", {}, h("b", {}, one ? now(one) : asked === undefined ? "not on duty now" : "an earlier duty"), one?.since ? ` since ${clock(one.since)}` : ""),
          h("p", { class: "quiet" }, [role ? roleWords(role) : "", team, one?.state_name ? `status: ${one.state_name}` : ""].filter(Boolean).join(" · ")),
        ),
      ),
      h(
        "dl",
        { class: "facts" },
        ...fact("On patch", figure.share === null ? noFigure(figure) : `${duration(figure.on_patch_s)} of ${duration(figure.duty_s)}`, ""),
        ...fact("Booked on", `${asked === undefined ? clock(duty.duty.from) : dayClock(duty.duty.from)}–${duty.duty.to ? (duty.duty.counted_to ? clock(duty.duty.to) : `${dayClock(duty.duty.to)}: too long, so it counts for nothing until it is revised`) : one || !duty.duty.counted_to ? "open" : `open, counted to ${dayClock(duty.duty.counted_to)}`}`, ""),
        ...fact("Last heard", one ? (one.last_fix ? ago((state.now - ms(one.last_fix)) / 1000) : "never") : way.span ? dayClock(new Date(way.span[1]).toISOString()) : "never", ""),
      ),
      h(
        "section",
        { class: "block" },
        h("h3", {}, one ? "This shift" : asked === undefined ? "The last shift" : "That shift"),
        strip(line, from, to, stripWords(name, line)),
        ticks(from, to),
        key(),
        way.span ? this.play : h("p", { class: "quiet" }, "No position has come from this officer's devices."),
        way.ignored.length
          ? h("p", { class: "quiet ignored" }, h("span", { "aria-hidden": "true" }, "✕ "), `${count(way.ignored.length, "position")} ignored: no movement explains ${way.ignored.length === 1 ? "it" : "them"} (rule 3)`)
          : null,
      ),
      h("details", { class: "block slices", id: "slices", open: true }, h("summary", {}, "Stretch by stretch"), this.slices(duty.slices)),
    );
    this.later(() => void this.officer(id, turn, false), turn);
  }

  private play: HTMLElement | null = null;
  private way: Way | null = null;

  private slices(all: readonly Slice[]): HTMLElement {
    const joined: { start: number; end: number; activity: Activity; words: string }[] = [];
    for (const one of all) {
      const words = this.where(one);
      const last = joined.at(-1);
      if (last && last.activity === one.activity && last.words === words && last.end === ms(one.start)) last.end = ms(one.end);
      else joined.push({ start: ms(one.start), end: ms(one.end), activity: one.activity, words });
    }
    return h(
      "table",
      { class: "slices-table" },
      h("thead", {}, h("tr", {}, ...["from", "what", "where and why", "for"].map((one) => h("th", { scope: "col" }, one)))),
      h(
        "tbody",
        {},
        ...joined
          .filter((one) => one.end - one.start >= 30_000)
          .reverse()
          .map((one) =>
            h(
              "tr",
              {},
              h("td", {}, clock(one.start)),
              h("td", {}, h("i", { class: `swatch ${one.activity}`, "aria-hidden": "true" }), activityWords(one.activity)),
              h("td", {}, one.words),
              h("td", { class: "number" }, duration((one.end - one.start) / 1000)),
            ),
          ),
      ),
    );
  }

  private called(kind: "neighbourhood" | "priority", id: string): string {
    return this.map?.nameOf(kind, id) ?? state.areas.get(id)?.name ?? state.neighbourhoods.get(id)?.name ?? id;
  }

  private where(one: Slice): string {
    if (one.activity === "unknown") return "–";
    const visited = one.priorities.map((id) => this.called("priority", id)).join(", ");
    const busy = ["available", "on duty", ""].includes(one.state_name) ? "" : one.state_name;
    return [one.where, visited, busy].filter(Boolean).join(" · ");
  }
}

/** What the server answers where a name is none that could be. */
const NO_SUCH = [400, 404, 422];
const gone = (error: unknown) => error instanceof ProblemError && error.status === 404;

function sentence(words: string): string {
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}`.replace(/\.$/, "");
}

function dutyPath(officer: string, duty: string): string {
  return `/officers/${encodeURIComponent(officer)}/duties/${encodeURIComponent(duty)}`;
}

function fact(name: string, value: string, tone: string): [HTMLElement] {
  return [h("div", { "data-tone": tone || null }, h("dt", {}, name), h("dd", {}, value))];
}

/** What was heard of all devices, and how late. */
function heardFacts(found: Quality): HTMLElement {
  const { reports, delay_median_s: median, delay_p95_s: p95 } = found.heard;
  const clocks = new Set(found.findings.filter((one) => one.finding === "clock_offset").map((one) => one.id)).size;
  return h(
    "dl",
    { class: "facts" },
    ...fact("Positions heard", reports.toLocaleString("en-GB"), ""),
    ...fact("Usual delay", median === null ? "not known" : duration(median), ""),
    ...fact("95 in 100 within", p95 === null ? "not known" : duration(p95), ""),
    ...fact("Clocks that are wrong", clocks ? count(clocks, "device") : "none", clocks ? "bad" : ""),
  );
}

/** Positions that could not be used, by reason, and the devices of which many could not. */
function rejectedBlocks(found: Quality): HTMLElement[] {
  const reasons = Object.entries(found.heard.rejected).sort(([, a], [, b]) => b - a);
  const devices = found.findings.filter((one) => one.finding === "rejected");
  const row = (what: string, detail: string, number: number) =>
    h("li", {}, h("span", {}, what, detail ? h("span", { class: "quiet" }, ` · ${detail}`) : null), h("b", {}, number.toLocaleString("en-GB")));
  const words = (reason: string) => reason.replaceAll("_", " ");
  const block = (title: string, rows: HTMLElement[], more: number) =>
    rows.length
      ? [h("section", { class: "block" }, h("h3", {}, title), h("ul", { class: "wheres" }, ...rows), more > 0 ? h("p", { class: "quiet" }, `and ${more} more`) : null)]
      : [];
  return [
    ...block("Positions that could not be used", reasons.map(([reason, number]) => row(words(reason), "", number)), 0),
    ...block(
      "Devices of which many could not",
      devices.slice(0, MOST_DEVICES).map((one) => row(one.id, words(one.detail), one.count)),
      devices.length - MOST_DEVICES,
    ),
  ];
}

const MOST_DEVICES = 20;

const ROLES: Record<string, string> = { npt: "neighbourhood officer", pcso: "PCSO", response: "response" };
const roleWords = (role: string) => ROLES[role] ?? role;

const ORDER: Record<string, number> = { unknown: 0, off_patch: 1, not_visible: 2, break: 3, on_patch: 4 };
const rank = (one: Officer) => ORDER[one.activity ?? "unknown"] ?? 0;

/** Slices of one activity, joined. */
function pieces(slices: readonly Slice[]): TimelinePiece[] {
  const line: TimelinePiece[] = [];
  for (const one of slices) {
    const last = line.at(-1);
    const [start, end] = [ms(one.start), ms(one.end)];
    if (last && last[2] === one.activity && last[1] === start) last[1] = end;
    else line.push([start, end, one.activity]);
  }
  return line;
}

/** From the first duty's start to now. */
function span(officers: readonly Officer[]): [number, number] {
  const from = Math.min(...officers.map((one) => ms(one.from)), state.now - 1);
  return [from, Math.max(state.now, from + 1)];
}

/** What an officer does, in the server's words, or in ours where it has none. */
function now(one: Officer): string {
  return one.why || activityWords(one.activity);
}

function stripWords(name: string, line: readonly TimelinePiece[]): string {
  const sums = new Map<Activity, number>();
  for (const [start, end, activity] of line) sums.set(activity, (sums.get(activity) ?? 0) + end - start);
  return `${name}'s shift: ${[...sums].map(([activity, time]) => `${activityWords(activity)} ${duration(time / 1000)}`).join(", ")}`;
}

function officerRow(one: OfficerAtHome, from: number, to: number): HTMLElement {
  const target = state.settings.target;
  const line = one.timeline;
  const gone = one.off_patch_since ? duration((state.now - ms(one.off_patch_since)) / 1000) : "";
  return h(
    "li",
    {},
    h(
      "a",
      { class: "officer", href: `#/o/${encodeURIComponent(one.officer_id)}`, "data-activity": one.activity ?? "none", tabindex: "-1" },
      h("span", { class: "name" }, one.name, one.role && one.role !== "npt" ? h("span", { class: "quiet" }, ` ${roleWords(one.role)}`) : null),
      h("span", { class: "percent" }, percent(one.share, target)),
      h("span", { class: "state" }, h("i", { class: `swatch ${one.activity ?? "unknown"}`, "aria-hidden": "true" }), now(one), h("span", { class: "quiet" }, one.since ? ` since ${clock(one.off_patch_since ?? one.since)}` : "", gone ? ` (${gone})` : "")),
      h("span", { class: "spent quiet" }, one.duty_s === null ? "" : `${duration(one.on_patch_s)} of ${duration(one.duty_s)}`),
      strip(line, from, to, stripWords(one.name, line)),
    ),
  );
}
