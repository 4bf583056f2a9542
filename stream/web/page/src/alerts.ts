/** Alerts, to act on or to look at, and the priority areas by how long they wait. */

import type { Alert, PriorityArea } from "./api.ts";
import { ProblemError, tell } from "./api.ts";
import { Keyed, attribute, byId, h, text } from "./dom.ts";
import { state } from "./state.ts";
import { clock, count, duration, ms, since, waiting } from "./words.ts";

const SNOOZES = [15, 30, 60];
const CLEARED_MS = 10 * 60_000;
const NAME = "patrol.name";

export function target(item: { scope: string; id: string }): string | null {
  const id = encodeURIComponent(item.id);
  return { neighbourhood: `#/n/${id}`, officer: `#/o/${id}`, priority: `#/p/${id}`, priority_area: `#/p/${id}` }[item.scope] ?? null;
}

type Standing = "open" | "acknowledged" | "snoozed" | "cleared";

function standing(item: Alert): Standing {
  if (item.cleared) return "cleared";
  if (ms(item.snoozed_until) > state.now) return "snoozed";
  return item.acknowledged ? "acknowledged" : "open";
}

class Row {
  readonly element = h("li", { class: "alert" });
  private readonly words = h("p", { class: "words" });
  private readonly when = h("p", { class: "quiet" });
  private readonly actions = h("div", { class: "actions" });
  private readonly trouble = h("p", { class: "trouble", role: "alert", hidden: true });
  private mode: "idle" | "snooze" | "name" = "idle";
  private wanted: (() => void) | null = null;
  private shown = "";
  private item: Alert;

  constructor(item: Alert) {
    this.item = item;
    this.element.append(this.words, this.when, this.actions, this.trouble);
  }

  update(item: Alert): void {
    this.item = item;
    const stand = standing(item);
    attribute(this.element, "data-level", item.level);
    attribute(this.element, "data-standing", stand);
    const href = target(item);
    if (this.words.textContent !== item.text) {
      this.words.replaceChildren(href ? h("a", { href }, item.text) : item.text);
    }
    const open = `since ${clock(item.since)} · ${duration((state.now - ms(item.since)) / 1000)}`;
    text(
      this.when,
      {
        open,
        acknowledged: `${open} · seen by ${item.acknowledged?.by ?? ""} at ${clock(item.acknowledged?.at)}`,
        snoozed: `${open} · asleep until ${clock(item.snoozed_until)}`,
        cleared: `over since ${clock(item.cleared)}, after ${duration((ms(item.cleared) - ms(item.since)) / 1000)}`,
      }[stand],
    );
    this.buttons(stand);
  }

  private buttons(stand: Standing): void {
    const signature = `${stand} ${this.mode}`;
    if (signature === this.shown) return;
    this.shown = signature;
    const focused = this.actions.contains(document.activeElement);
    const button = (words: string, work: () => void, label?: string) =>
      h("button", { type: "button", onclick: work, "aria-label": label ?? null }, words);
    const about = this.item.text;
    let all: HTMLElement[] = [];
    if (this.mode === "snooze") {
      all = [
        ...SNOOZES.map((long) => button(`${long} min`, () => this.signed(() => this.snooze(long)), `Snooze for ${long} minutes`)),
        button("Cancel", () => this.turn("idle")),
      ];
    } else if (this.mode === "name") {
      const input = h("input", { type: "text", maxlength: "80", "aria-label": "Your name, for the record", placeholder: "Your name", autocomplete: "name" });
      const form = h("form", { class: "sign" }, input, h("button", { type: "submit" }, "Sign"), button("Cancel", () => this.turn("idle")));
      form.addEventListener("submit", (event) => {
        event.preventDefault();
        const name = input.value.trim();
        if (!name) return input.focus();
        localStorage.setItem(NAME, name);
        this.turn("idle");
        this.wanted?.();
      });
      all = [form];
    } else if (stand === "snoozed") {
      all = [button("Wake", () => this.signed(() => this.post("unsnooze", {})), `Wake: ${about}`)];
    } else if (stand === "open" || stand === "acknowledged") {
      all = [
        ...(stand === "open" ? [button("Acknowledge", () => this.signed(() => this.post("acknowledge", {})), `Acknowledge: ${about}`)] : []),
        button("Snooze", () => this.turn("snooze"), `Snooze: ${about}`),
      ];
    }
    this.actions.replaceChildren(...all);
    if (focused || this.mode !== "idle") this.actions.querySelector<HTMLElement>("input, button")?.focus();
  }

  private turn(mode: "idle" | "snooze" | "name"): void {
    this.mode = mode;
    this.buttons(standing(this.item));
  }

  /** Does it now, or after the name is known. */
  private signed(work: () => void): void {
    this.wanted = work;
    if (localStorage.getItem(NAME)) {
      this.turn("idle");
      work();
    } else this.turn("name");
  }

  private snooze(long: number): void {
    this.post("snooze", { minutes: long });
  }

  private post(what: string, body: Record<string, unknown>): void {
    this.trouble.hidden = true;
    tell<Partial<Alert>>(`/alerts/${encodeURIComponent(this.item.alert_id)}/${what}`, { by: localStorage.getItem(NAME), ...body })
      .then((answer) => {
        if (answer.alert_id) state.alert({ ...this.item, ...answer });
      })
      .catch((error: unknown) => {
        this.trouble.hidden = false;
        text(this.trouble, error instanceof ProblemError ? error.message : String(error));
      });
  }
}

const RANK: Record<Standing, number> = { open: 0, acknowledged: 1, snoozed: 2, cleared: 3 };

export function startAlerts(): void {
  const list = byId<HTMLUListElement>("alerts");
  const number = byId("alerts-count");
  const tab = byId("tab-alerts");
  const said = byId("said");
  const keyed = new Keyed<Alert, Row>(list, (item) => item.alert_id, (item) => new Row(item));
  let told: Set<string> | null = null;

  const show = () => {
    const all = [...state.alerts.values()].filter(
      (item) => !item.cleared || state.now - ms(item.cleared) < CLEARED_MS,
    );
    all.sort(
      (a, b) =>
        RANK[standing(a)] - RANK[standing(b)] ||
        Number(b.level === "act") - Number(a.level === "act") ||
        ms(b.since) - ms(a.since),
    );
    keyed.show(all);
    const open = all.filter((item) => standing(item) === "open");
    text(number, open.length ? `${open.length} open` : "");
    text(tab, open.length ? String(open.length) : "");
    list.dataset["said"] = state.known && !all.length ? "Nothing to act on." : "";
    attribute(list, "data-empty", all.length === 0 || null);
    if (!state.known) return;
    // What is new is said once, politely; what was there when the page opened is in the list.
    const fresh = told ? open.filter((item) => !told?.has(item.alert_id)) : [];
    told ??= new Set();
    for (const item of all) told.add(item.alert_id);
    if (fresh.length === 1) text(said, `New alert: ${fresh[0]?.text ?? ""}`);
    else if (fresh.length) text(said, `${count(fresh.length, "new alert")}: ${fresh.map((item) => item.text).join(" ")}`);
    for (const item of fresh) keyed.rows.get(item.alert_id)?.element.classList.add("new");
  };
  state.on(["alerts"], show);
  window.setInterval(show, 5_000);
}

class AreaRow {
  readonly element: HTMLLIElement;
  private readonly name = h("span", { class: "name" });
  private readonly since = h("span", { class: "since" });
  private readonly about = h("span", { class: "quiet" });
  private readonly link: HTMLAnchorElement;

  constructor(item: PriorityArea) {
    this.link = h("a", { class: "area-row", href: `#/p/${encodeURIComponent(item.id)}` }, this.name, this.since, this.about);
    this.element = h("li", { id: `area-${item.id}` }, this.link);
  }

  update(item: PriorityArea): void {
    text(this.name, item.name);
    text(this.since, waiting(item, state.now));
    const when = [item.days, item.hours].filter(Boolean).join(" ") || "any time";
    const issue = item.issue && !item.name.includes(item.issue) ? `${item.issue} · ` : "";
    text(this.about, `${issue}${item.in_hours ? "in its hours now" : "not its hours"} (${when})${item.visits ? ` · ${count(item.visits, "visit")}` : ""}`);
    attribute(this.element, "data-state", item.someone_there ? "there" : item.overdue ? "overdue" : item.in_hours ? "open" : "closed");
  }
}

/** Priority areas: those in their hours first, the longest wait first. */
export function startAreas(): void {
  const list = byId<HTMLOListElement>("areas");
  const keyed = new Keyed<PriorityArea, AreaRow>(list, (item) => item.id, (item) => new AreaRow(item));
  const show = () => {
    const wait = (item: PriorityArea) => (item.someone_there ? -1 : (since(item, state.now) ?? Number.MAX_SAFE_INTEGER));
    const all = [...state.areas.values()].sort(
      (a, b) =>
        Number(b.overdue) - Number(a.overdue) ||
        Number(b.in_hours) - Number(a.in_hours) ||
        wait(b) - wait(a) ||
        a.name.localeCompare(b.name, "en-GB"),
    );
    keyed.show(all);
    const open = all.filter((item) => item.in_hours).length;
    text(byId("areas-count"), all.length ? `${open} in their hours` : "");
    list.dataset["said"] = state.known && !all.length ? "No priority areas are published." : "";
    attribute(list, "data-empty", all.length === 0 || null);
  };
  state.on(["areas"], show);
  window.setInterval(show, 5_000);
}
