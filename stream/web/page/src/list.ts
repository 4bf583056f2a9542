/** The list of neighbourhoods by need. */

import type { Share } from "./types.ts";
import { ShareBar, shareWords } from "./bars.ts";
import { Calm } from "./calm.ts";
import { Keyed, attribute, byId, h, roving, rovingStop, text } from "./dom.ts";
import { Pager } from "./pager.ts";
import { state } from "./state.ts";
import { allOnBreak, away, count, duration, heading, headingWords, mayMiss, minutes, ms, noFigure, nobodyWords, percent, promise, verdictClass, willMiss } from "./words.ts";
import { noAreas } from "./mine.ts";

const WHERES = 2;

class Row {
  readonly element: HTMLLIElement;
  private readonly link = h("a", { class: "row" });
  private readonly name = h("span", { class: "name" });
  private readonly verdict = h("span", { class: "verdict" });
  private readonly bar = new ShareBar();
  private readonly share = h("span", { class: "percent" });
  private readonly officers = h("span", { class: "officers", "aria-hidden": "true" });
  private readonly projected = h("span", {});
  private readonly may = h("span", { class: "may", hidden: true }, "may miss");
  private readonly end = h("span", { class: "projected", "aria-hidden": "true" }, this.projected, this.may);
  private readonly question = h("span", { class: "question" });
  private readonly away = h("span", { class: "away" });
  private readonly words = h("span", { class: "hidden" });

  constructor(id: string) {
    attribute(this.link, "href", `#/n/${encodeURIComponent(id)}`);
    attribute(this.link, "tabindex", "-1");
    const seen = { "aria-hidden": "true" };
    this.link.append(
      this.name,
      this.words,
      h("span", { class: "column-share", ...seen }, this.bar.element, this.share),
      this.officers,
      this.end,
      h("span", { class: "second", ...seen }, this.verdict, this.question, this.away),
    );
    this.element = h("li", {}, this.link);
  }

  update(item: Share): void {
    const { target } = item;
    const nobody = nobodyWords(item);
    text(this.name, item.name);
    attribute(this.name, "title", item.name);
    const questioned = state.questioned(item.id);
    text(this.verdict, noFigure(item) || (item.verdict ?? ""));
    text(this.question, questioned.length ? " · facts in question" : "");
    attribute(this.question, "title", questioned.join(", ") || null);
    this.bar.update(item);
    text(this.share, percent(item.share, target));
    text(this.officers, item.officers_on_duty ? `${item.officers_on_patch}\u2009/\u2009${item.officers_on_duty}` : "–");
    const early = item.outlook === "too_early";
    text(this.projected, early ? "too early" : heading(item));
    attribute(this.end, "data-early", early || null);
    this.may.hidden = !mayMiss(item);
    const where = places(item).slice(0, WHERES).map(([name, seconds]) => `${name}\u00a0${Math.round(seconds / 60)}`);
    const lost = away(item);
    const why = lost >= 60 ? `${minutes(lost)} away${where.length ? `: ${where.join(", ")}` : ""}` : "";
    text(this.away, `${nobody ? ` · ${nobody}` : ""}${why ? ` · ${why}` : ""}`);
    attribute(this.away, "title", why || null);
    const long = item.nobody_since ? `nobody on patch for ${duration((state.now - ms(item.nobody_since)) / 1000)}` : nobody;
    attribute(this.officers, "title", long || null);
    attribute(this.link, "data-verdict", verdictClass(item.verdict));
    attribute(this.link, "data-nobody", Boolean(nobody) || null);
    attribute(this.link, "data-miss", willMiss(item) || null);
    const silent = item.officers_silent ? `, ${count(item.officers_silent, "officer")} silent` : "";
    text(
      this.words,
      `: ${shareWords(item)}. ` +
        (item.officers_on_duty
          ? `${item.officers_on_patch} of ${count(item.officers_on_duty, "officer")} on patch${allOnBreak(item) ? ", all on a break" : ""}${silent}. ` +
            `${headingWords(item)} ${lost >= 60 ? `${duration(lost)} away${where.length ? `: ${where.join(", ")}` : ""}.` : ""}`
          : "Nobody on duty.") +
        (questioned.length ? ` Facts in question: ${questioned.join(", ")}.` : ""),
    );
  }
}

/** Where the time away was spent, whatever the status there: the longest first. */
function places(item: Share): [where: string, seconds: number][] {
  const sums = new Map<string, number>();
  for (const one of item.abstraction) sums.set(one.where, (sums.get(one.where) ?? 0) + one.seconds);
  return [...sums].filter(([, seconds]) => seconds >= 30).sort((a, b) => b[1] - a[1]);
}

/** Neighbourhoods in the order of need; those with nobody on duty last, by name. */
export function byNeed(shares: Iterable<Share>): Share[] {
  const duty = (item: Share) => (item.officers_on_duty > 0 ? 2 : item.duty_s > 0 ? 1 : 0);
  return [...shares].sort(
    (a, b) => duty(b) - duty(a) || b.need - a.need || a.name.localeCompare(b.name, "en-GB"),
  );
}

export function startList(): void {
  const list = byId<HTMLOListElement>("list");
  const find = byId<HTMLInputElement>("find");
  const keyed = new Keyed<Share, Row>(list, (item) => item.id, (item) => new Row(item.id));
  const pager = new Pager(byId("list-box"), list, byId("list-head"), "neighbourhoods");
  let order: string[] = [];

  const show = () => {
    const wanted = find.value.trim().toLocaleLowerCase("en-GB");
    const all = state.neighbourhoods;
    // A row must not slip away under the pointer or the focus: the order stands while the list is in use.
    const sorted = byNeed(all.values()).map((item) => item.id);
    const known = order.length === all.size && order.every((id) => all.has(id));
    if (!known || !calmly.used) order = sorted;
    byId("list-held").hidden = order.every((id, at) => id === sorted[at]);
    const items = order
      .map((id) => all.get(id) as Share)
      .filter((item) => !wanted || item.name.toLocaleLowerCase("en-GB").includes(wanted));
    keyed.show(items);
    rovingStop(list, "a.row");
    pager.refresh();
    attribute(list, "data-empty", items.length === 0 || null);
    list.dataset["said"] = !state.known
      ? state.absence
      : all.size === 0
        ? noAreas("neighbourhoods", " GIS staff publish them on the boundary page.")
        : items.length === 0
          ? `No neighbourhood is called “${find.value.trim()}”.`
          : "";
  };
  const calmly = new Calm(byId("list-box"), show);
  roving(list, "a.row");
  find.addEventListener("input", show);
  find.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown") list.querySelector<HTMLElement>("a.row")?.focus();
  });
  state.on(["figures", "connection", "quality"], () => {
    text(byId("column-share"), `share, promise ${promise(state.settings.target)}`);
    show();
  });
}
