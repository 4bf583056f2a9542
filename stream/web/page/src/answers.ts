/** The first line of the screen: the force's figure, and the four questions with their answers. */

import type { PriorityArea, Share } from "./types.ts";
import { ShareBar } from "./bars.ts";
import { attribute, byId, h, text } from "./dom.ts";
import { byNeed } from "./list.ts";
import { state } from "./state.ts";
import { allOnBreak, clock, clockS, count, day, duration, heading, headingWords, ms, noFigure, noFigureWords, nobodyOnPatch, percent, promise, since, verdictClass, waiting, willMiss } from "./words.ts";
import { noAreas } from "./mine.ts";

/** How many lines of names a card has room for, whatever the type's size; and how many names are tried. */
const LINES = 4;
const TRIED = 4;
/** From here on the figures rest on too little: a tenth of the duty time, a fifth of the officers. */
const MUCH_UNKNOWN = 0.1;
const MANY_SILENT = 0.2;

interface Item {
  words: string;
  detail: string;
  href: string;
}

/** One question with a number for an answer and the names behind it. */
class Answer {
  private readonly big = h("p", { class: "big" });
  private readonly list = h("ul", {});
  private readonly rest = h("li", { class: "quiet" });
  private shown = "";
  private count = 0;
  private width = 0;

  constructor(
    private readonly card: HTMLElement,
    question: string,
  ) {
    this.card.append(h("h2", { id: `${card.id}-title` }, question), this.big, this.list);
    // Where names wrap follows from the width alone; a card that was not to be seen has none.
    new ResizeObserver(() => {
      if (this.list.clientWidth !== this.width) this.fit();
    }).observe(this.list);
    void document.fonts.ready.then(() => this.fit());
  }

  /**
   * Says the answer.
   *
   * @param big the number, or words in its place.
   * @param items names behind it, as many as fit.
   * @param quiet what stands there while there are none.
   * @param lead a line before the names; with it the answer is words, and stands above them.
   */
  update(big: string, tone: "good" | "bad" | "doubt" | "calm", items: readonly Item[], quiet: string, lead = ""): void {
    text(this.big, big);
    attribute(this.card, "data-tone", tone);
    attribute(this.card, "data-words", Boolean(lead) || null);
    const signature = JSON.stringify([items, quiet, lead]);
    if (signature === this.shown) return;
    this.shown = signature;
    // A link that has the focus keeps it.
    const focused = this.list.contains(document.activeElement) ? document.activeElement?.getAttribute("href") : null;
    this.count = items.length;
    this.list.replaceChildren(
      ...(lead ? [h("li", { class: "quiet" }, lead)] : []),
      ...(items.length || !quiet ? [] : [h("li", { class: "quiet" }, quiet)]),
      ...items.slice(0, TRIED).map((item) =>
        item.href
          ? h("li", { "data-name": true }, h("a", { href: item.href, title: item.words }, item.words), item.detail ? h("span", {}, item.detail) : null)
          : h("li", { class: "quiet" }, item.words),
      ),
      this.rest,
    );
    this.fit();
    if (focused) this.list.querySelector<HTMLElement>(`a[href="${CSS.escape(focused)}"]`)?.focus();
  }

  /** Shows as many names as there is room for, one at least, and says how many more there are. */
  private fit(): void {
    this.width = this.list.clientWidth;
    const names = [...this.list.querySelectorAll<HTMLElement>("[data-name]")];
    const style = getComputedStyle(this.list);
    // Words in the place of the number take a line of the names.
    const lines = LINES - Number(this.card.hasAttribute("data-words"));
    const room = lines * Number.parseFloat(style.lineHeight) + Number.parseFloat(style.paddingTop) + 2;
    for (let shown = names.length; shown >= 0; shown--) {
      for (const [at, one] of names.entries()) one.hidden = at >= shown;
      const more = names.length ? this.count - shown : 0;
      this.rest.hidden = more === 0;
      text(this.rest, more ? `and ${more} more` : "");
      const filled = [...this.list.children].reduce((sum, one) => sum + (one as HTMLElement).offsetHeight, Number.parseFloat(style.paddingTop));
      if (shown <= 1 || !this.width || filled <= room) return;
    }
  }
}

type Condition = "connecting" | "lost" | "away" | "live" | "late" | "stale" | "empty";

/** How far what is shown can be relied on. The page grows stale by itself where nothing more is heard. */
function condition(): Condition {
  const { fresh, connection, known, age } = state;
  if (connection === "lost") return "lost";
  if (!fresh) return "connecting";
  if (!known) return "away";
  return fresh.state === "live" && age !== null && age > state.settings.stale_s ? "stale" : fresh.state;
}

const link = (item: Share) => `#/n/${encodeURIComponent(item.id)}`;

export function startAnswers(): void {
  const force = byId("force");
  const figure = h("p", { class: "figure" });
  const bar = new ShareBar();
  const verdict = h("span", { class: "verdict" });
  const bounds = h("p", { class: "bounds" });
  const officers = h("p", { class: "quiet" });
  const whole = h("p", { class: "hidden" });
  force.append(
    h("h2", { id: "force-title" }, "The force, shifts now running"),
    h("div", { class: "force-line" }, figure, h("div", { class: "force-words" }, verdict, bounds)),
    bar.element,
    officers,
    whole,
  );
  const nobody = new Answer(byId("answer-nobody"), "Nobody on patch");
  const miss = new Answer(byId("answer-miss"), "Will miss the promise");
  const wait = new Answer(byId("answer-waiting"), "Waiting for a visit");
  const trust = new Answer(byId("answer-trust"), "Can the data be trusted?");

  const unknown = () => {
    if (state.known) return;
    text(figure, "–");
    text(bounds, state.absence);
    for (const one of [nobody, miss, wait]) one.update("–", "doubt", [], state.absence);
  };
  state.on(["fresh", "connection"], unknown);
  unknown();

  state.on(["figures"], () => {
    const item = state.force;
    if (!item) return;
    const { target } = item;
    attribute(force, "data-verdict", verdictClass(item.verdict));
    text(figure, percent(item.share, target));
    text(verdict, noFigure(item) || (item.verdict ?? ""));
    text(
      bounds,
      item.share === null
        ? item.duty_s > 0
          ? noFigureWords(item)
          : "nobody with a patch is on duty"
        : `between ${percent(item.share_low, target)} and ${percent(item.share_high, target)}`,
    );
    bar.update(item);
    text(
      officers,
      item.officers_on_duty
        ? `${item.officers_on_patch.toLocaleString("en-GB")} of ${count(item.officers_on_duty, "officer")} on patch` +
            (item.outlook && item.outlook !== "too_early" ? ` · ${heading(item)} at shift end` : "")
        : "",
    );
    text(whole, `The promise is ${promise(target)}. ${headingWords(item)}`);

    const ordered = byNeed(state.neighbourhoods.values());
    const empty = ordered.filter(nobodyOnPatch);
    const resting = ordered.filter(allOnBreak);
    nobody.update(
      ordered.length ? String(empty.length) : "–",
      empty.length ? "bad" : ordered.length ? "good" : "doubt",
      empty.map((one) => ({
        words: one.name,
        detail: one.nobody_since ? `for ${duration((state.now - ms(one.nobody_since)) / 1000)}` : `${one.officers_on_duty} on duty`,
        href: link(one),
      })),
      resting.length
        ? `Nobody is missing: ${resting.length === 1 ? `in ${resting[0]?.name ?? ""} all are` : `in ${resting.length} neighbourhoods all are`} on a break.`
        : ordered.some((one) => one.officers_on_duty > 0)
          ? "Every neighbourhood with officers on duty has somebody on patch."
          : ordered.length
            ? "Nobody is on duty."
            : noAreas("neighbourhoods"),
    );
    const booked = ordered.filter((one) => one.officers_on_duty > 0);
    const early = booked.filter((one) => one.outlook === "too_early").length;
    const told = booked.filter((one) => one.outlook).length - early;
    // Who cannot reach it any more comes before who would not if it went on so.
    const likely = (one: Share) => (one.outlook === "certain_miss" ? (one.projected_best ?? 0) - 1 : (one.projected ?? 0));
    const missing = booked.filter(willMiss).sort((a, b) => likely(a) - likely(b));
    const below = booked.filter((one) => one.share !== null && one.share < one.target).sort((a, b) => (a.share ?? 0) - (b.share ?? 0));
    const undecided = early > 0 && !told;
    miss.update(
      undecided ? "Too early to tell" : told ? String(missing.length) : "–",
      missing.length ? "bad" : told && !early ? "good" : "doubt",
      undecided
        ? below.map((one) => ({ words: one.name, detail: percent(one.share, one.target), href: link(one) }))
        : missing.map((one) => ({ words: one.name, detail: heading(one), href: link(one) })),
      told
        ? early
          ? `None of the ${told} that can be projected yet, of ${booked.length}.`
          : "None expected."
        : undecided
          ? ""
          : ordered.length
            ? booked.length
              ? "Nothing can be projected yet."
              : "Nobody is on duty."
            : noAreas("neighbourhoods"),
      undecided ? `${below.length || "None"} below ${promise(target)} so far${below.length ? ":" : "."}` : "",
    );
  });

  const visits = () => {
    if (!state.known) return;
    const all = [...state.areas.values()];
    const length = (area: PriorityArea) => since(area, state.now) ?? Number.POSITIVE_INFINITY;
    const waits = all.filter((area) => area.overdue).sort((a, b) => length(b) - length(a));
    const open = all.filter((area) => area.in_hours).length;
    wait.update(
      all.length ? String(waits.length) : "–",
      waits.length ? "bad" : all.length ? "good" : "doubt",
      waits.map((area) => ({ words: area.name, detail: waiting(area, state.now), href: `#/p/${encodeURIComponent(area.id)}` })),
      all.length ? `${open} of ${all.length} are in their hours now; none waits too long.` : noAreas("priority areas"),
    );
  };
  state.on(["areas"], visits);
  window.setInterval(visits, 5_000);

  const trusted = () => {
    const { fresh, force: item } = state;
    const standing = condition();
    const silent = item?.officers_silent ?? 0;
    const unknown = item?.duty_s ? item.unknown_s / item.duty_s : 0;
    const doubtful = item?.duty_s ? item.doubtful_s / item.duty_s : 0;
    const mistakes = state.quality?.warnings.length ?? 0;
    const patchy = mistakes > 0 || unknown + doubtful >= MUCH_UNKNOWN || silent > MANY_SILENT * (item?.officers_on_duty ?? 0);
    const words = {
      connecting: "…",
      lost: "No",
      away: "No",
      live: patchy ? "Partly" : "Yes",
      late: "Partly",
      stale: "No",
      empty: "No data",
    }[standing];
    const said: string[] = [];
    if (standing === "connecting") said.push("waiting for the server");
    else if (standing === "lost") said.push("no connection to the server");
    else if (standing === "empty") said.push("nothing has arrived yet");
    else if (fresh && (standing === "away" || fresh.state === "stale")) said.push(plain(fresh.text));
    else if (state.age !== null) said.push(`newest ${duration(Math.round(state.age))} old`);
    if (state.known && standing !== "empty") {
      if (silent) said.push(`${count(silent, "officer")} silent`);
      if (unknown >= 0.005) said.push(`${percent(unknown)} no signal`);
      if (doubtful >= 0.005) said.push(`${percent(doubtful)} doubtful`);
    }
    trust.update(
      words,
      ["lost", "away", "stale"].includes(standing) ? "bad" : standing === "live" && !patchy ? "good" : "doubt",
      [
        ...said.map((one) => ({ words: one, detail: "", href: "" })),
        ...(mistakes && state.known ? [{ words: mistakes === 1 ? "a probable mistake" : `${mistakes} probable mistakes`, detail: "", href: "#/quality" }] : []),
        ...(!mistakes && state.known && state.quality?.heard.reports ? [{ words: "what was heard", detail: "", href: "#/quality" }] : []),
      ],
      "",
    );
  };
  state.on(["fresh", "connection", "figures", "quality"], trusted);
  window.setInterval(trusted, 1_000);
  trusted();
}

/** The first of what the server says of the data, without the word that stands beside it already. */
function plain(words: string): string {
  return words.replace(/^(?:Stale|Late|Catching up|No figures(?: yet)?): */, "").split(/[.;](?: |$)/, 1)[0] ?? "";
}

/** The bar at the top, the banner, the title: how old is what is shown, and is anybody there. */
export function startTrust(): void {
  const chip = byId("trust");
  const words = byId("trust-text");
  const banner = byId("banner");
  const time = byId("clock");
  const body = document.body;
  const tick = () => {
    const { fresh } = state;
    const age = state.age;
    const standing = condition();
    attribute(body, "data-fresh", standing);
    attribute(chip, "data-state", standing);
    const old = age === null ? "" : ` · data ${duration(Math.round(age))} old`;
    text(
      words,
      {
        lost: `No connection${old}`,
        connecting: "Connecting…",
        away: "No figures",
        live: `Live${old}`,
        late: `Late${old}`,
        stale: `Stale${old}`,
        empty: "No data yet",
      }[standing],
    );
    // The clock of the data: in a replay it is not the one on the wall.
    text(time, Number.isNaN(state.asOf) ? "" : `${day(state.asOf)}, ${clock(state.asOf)}`);
    const newest = fresh?.newest_event ? ` The newest is of ${clockS(fresh.newest_event)}.` : "";
    // What the server says, where it says it; a page that grew stale by itself says so in its own words.
    const stale = fresh?.state === "stale" ? fresh.text : `No position has arrived for ${duration(Math.round(age ?? 0))}.`;
    const warning = {
      lost: `The connection to the server is lost; trying again.${state.known ? " What you see is out of date." : ""}`,
      stale: `${stale}${newest} What you see is out of date: do not rely on it.`,
      away: fresh?.text ?? "",
      empty: fresh?.text || "No position has arrived yet. The page fills itself when the first one does.",
      connecting: "",
      live: "",
      late: "",
    }[standing];
    text(banner, warning);
    // Told once to those who listen, not every second with its new age.
    const kind = `${standing} ${warning.replace(/\d.*/, "")}`;
    if (banner.dataset["kind"] !== kind) {
      banner.dataset["kind"] = kind;
      text(byId("warned"), warning);
    }
    banner.hidden = !warning;
    attribute(byId("main"), "data-known", state.known);
    const open = [...state.alerts.values()].filter((one) => !one.cleared && !one.acknowledged).length;
    const share = state.force?.share;
    document.title = [
      open ? `(${open})` : "",
      ["stale", "lost"].includes(standing) ? "STALE" : standing === "away" ? "NO FIGURES" : "",
      typeof share === "number" ? percent(share, state.force?.target) : "",
      "Patrol Visibility",
    ]
      .filter(Boolean)
      .join(" ");
  };
  state.on(["fresh", "connection", "alerts", "figures"], tick);
  window.setInterval(tick, 1_000);
  tick();
}
