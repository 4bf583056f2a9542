/** The first line of the screen: the force's figure, and the four questions with their answers. */

import type { PriorityArea, Share } from "./api.ts";
import { ShareBar } from "./bars.ts";
import { attribute, byId, h, text } from "./dom.ts";
import { byNeed } from "./list.ts";
import { state } from "./state.ts";
import { clock, clockS, count, day, duration, ms, nobodyOnPatch, percent, since, verdictClass, waiting, willMiss } from "./words.ts";

const SHOWN = 3;
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
  private shown = "";

  constructor(
    private readonly card: HTMLElement,
    question: string,
  ) {
    this.card.append(h("h2", { id: `${card.id}-title` }, question), this.big, this.list);
  }

  update(big: string, tone: "good" | "bad" | "doubt" | "calm", items: readonly Item[], quiet: string): void {
    text(this.big, big);
    attribute(this.card, "data-tone", tone);
    const signature = JSON.stringify([items, quiet]);
    if (signature === this.shown) return;
    this.shown = signature;
    // A link that has the focus keeps it.
    const focused = this.list.contains(document.activeElement) ? document.activeElement?.getAttribute("href") : null;
    const rest = items.length - SHOWN;
    this.list.replaceChildren(
      ...(items.length ? [] : [h("li", { class: "quiet" }, quiet)]),
      ...items.slice(0, SHOWN).map((item) =>
        item.href
          ? h("li", {}, h("a", { href: item.href }, item.words), item.detail ? h("span", {}, item.detail) : null)
          : h("li", { class: "quiet" }, item.words),
      ),
      ...(rest > 0 ? [h("li", { class: "quiet" }, `and ${rest} more`)] : []),
    );
    if (focused) this.list.querySelector<HTMLElement>(`a[href="${CSS.escape(focused)}"]`)?.focus();
  }
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

  state.on(["figures"], () => {
    const item = state.force;
    if (!item) return;
    const { target } = item;
    attribute(force, "data-verdict", verdictClass(item.verdict));
    text(figure, percent(item.share, target, 1));
    text(verdict, item.share === null ? "no duty time" : (item.verdict ?? ""));
    text(
      bounds,
      item.share === null
        ? "nobody with a patch is on duty"
        : `between ${percent(item.share_low, target, 1)} and ${percent(item.share_high, target, 1)}`,
    );
    bar.update(item);
    text(
      officers,
      item.officers_on_duty
        ? `${item.officers_on_patch.toLocaleString("en-GB")} of ${count(item.officers_on_duty, "officer")} on patch` +
            (typeof item.projected === "number" ? ` · ${percent(item.projected, target)} at shift end` : "")
        : "",
    );
    text(whole, `The promise is ${percent(target, target)}.`);

    const ordered = byNeed(state.neighbourhoods.values());
    const empty = ordered.filter(nobodyOnPatch);
    nobody.update(
      ordered.length ? String(empty.length) : "–",
      empty.length ? "bad" : ordered.length ? "good" : "doubt",
      empty.map((one) => ({
        words: one.name,
        detail: one.nobody_since ? `for ${duration((state.now - ms(one.nobody_since)) / 1000)}` : `${one.officers_on_duty} on duty`,
        href: link(one),
      })),
      ordered.some((one) => one.officers_on_duty > 0)
        ? "Every neighbourhood with officers on duty has somebody on patch."
        : "Nobody is on duty.",
    );
    const booked = ordered.filter((one) => one.officers_on_duty > 0);
    const told = booked.filter((one) => typeof one.projected === "number").length;
    const missing = ordered.filter(willMiss).sort((a, b) => (a.projected ?? 0) - (b.projected ?? 0));
    miss.update(
      told ? String(missing.length) : "–",
      missing.length ? "bad" : told ? "good" : "doubt",
      missing.map((one) => ({ words: one.name, detail: percent(one.projected, one.target), href: link(one) })),
      told
        ? told < booked.length
          ? `None of the ${told} that can be foreseen yet, of ${booked.length}.`
          : "All are on the way to it."
        : booked.length
          ? "Too early to tell: foreseen after half an hour of duty."
          : "Nobody is on duty.",
    );
  });

  const visits = () => {
    const all = [...state.areas.values()];
    const length = (area: PriorityArea) => since(area, state.now) ?? Number.POSITIVE_INFINITY;
    const waits = all.filter((area) => area.overdue).sort((a, b) => length(b) - length(a));
    const open = all.filter((area) => area.in_hours).length;
    wait.update(
      String(waits.length),
      waits.length ? "bad" : "good",
      waits.map((area) => ({ words: area.name, detail: waiting(area, state.now), href: `#/p/${encodeURIComponent(area.id)}` })),
      all.length ? `${open} of ${all.length} are in their hours now; none waits too long.` : "No priority areas are published.",
    );
  };
  state.on(["areas"], visits);
  window.setInterval(visits, 5_000);

  const trusted = () => {
    const fresh = state.fresh;
    if (!fresh) return;
    const age = state.age;
    const item = state.force;
    const lost = state.connection === "lost";
    const silent = item?.officers_silent ?? 0;
    const unknown = item?.duty_s ? item.unknown_s / item.duty_s : 0;
    const patchy = unknown >= MUCH_UNKNOWN || silent > MANY_SILENT * (item?.officers_on_duty ?? 0);
    const words = lost ? "No" : { live: patchy ? "Partly" : "Yes", late: "Partly", stale: "No", empty: "No data" }[fresh.state];
    const said: string[] = [];
    if (lost) said.push("no connection to the server");
    else if (fresh.state === "empty") said.push("nothing has arrived yet");
    else {
      said.push(`newest ${duration(Math.round(age ?? 0))} old`);
      if (silent) said.push(`${count(silent, "officer")} silent`);
      if (unknown >= 0.005) said.push(`${percent(unknown, 2)} without signal`);
    }
    trust.update(
      words,
      lost || fresh.state === "stale" ? "bad" : fresh.state === "live" && !patchy ? "good" : "doubt",
      said.map((one) => ({ words: one, detail: "", href: "" })),
      "",
    );
  };
  state.on(["fresh", "connection", "figures"], trusted);
  window.setInterval(trusted, 1_000);
}

/** The bar at the top, the banner, the title: how old is what is shown, and is anybody there. */
export function startTrust(): void {
  const chip = byId("trust");
  const words = byId("trust-text");
  const banner = byId("banner");
  const time = byId("clock");
  const body = document.body;
  const tick = () => {
    const { fresh, connection } = state;
    const age = state.age;
    const patience = state.settings.stale_s;
    // The page grows stale by itself where nothing more is heard.
    const condition =
      connection === "lost"
        ? "lost"
        : !fresh
          ? "connecting"
          : fresh.state === "live" && age !== null && age > patience
            ? "stale"
            : fresh.state;
    attribute(body, "data-fresh", condition);
    attribute(chip, "data-state", condition);
    const old = age === null ? "" : duration(Math.round(age));
    text(
      words,
      {
        lost: `No connection${old ? ` · data ${old} old` : ""}`,
        connecting: "Connecting…",
        live: `Live · data ${old} old`,
        late: `Late · data ${old} old`,
        stale: `Stale · data ${old} old`,
        empty: "No data yet",
      }[condition],
    );
    // The clock of the data: in a replay it is not the one on the wall.
    text(time, Number.isNaN(state.asOf) ? "" : `${day(state.asOf)}, ${clock(state.asOf)}`);
    const newest = fresh?.newest_event ? ` The newest is of ${clockS(fresh.newest_event)}.` : "";
    const warning = {
      lost: `The connection to the server is lost; trying again.${state.known ? " What you see is old." : ""}`,
      stale: `No position has arrived for ${old}.${newest} What you see is old: do not rely on it.`,
      empty: "No position has arrived yet. The page fills by itself when the first one does.",
      connecting: "",
      live: "",
      late: "",
    }[condition];
    text(banner, warning);
    // Told once to those who listen, not every second with its new age.
    if (banner.dataset["kind"] !== condition) {
      banner.dataset["kind"] = condition;
      text(byId("warned"), warning);
    }
    banner.hidden = !warning;
    attribute(byId("main"), "data-known", state.known);
    const open = [...state.alerts.values()].filter((one) => !one.cleared && !one.acknowledged).length;
    const share = state.force?.share;
    document.title = [
      open ? `(${open})` : "",
      condition === "live" || condition === "late" ? "" : condition === "stale" || condition === "lost" ? "STALE" : "",
      typeof share === "number" ? percent(share, state.force?.target, 1) : "",
      "Patrol Visibility",
    ]
      .filter(Boolean)
      .join(" ");
  };
  state.on(["fresh", "connection", "alerts", "figures"], tick);
  window.setInterval(tick, 1_000);
  tick();
}
