/** Alerts, to act on or to look at, and the priority areas by how long they wait. */

import type { Alert, PriorityArea, Snooze } from "./types.ts";
import { ProblemError, tell } from "./ask.ts";
import { Calm } from "./calm.ts";
import { Keyed, attribute, byId, h, text } from "./dom.ts";
import { Pager } from "./pager.ts";
import { LONGEST_NAME, sign, signerName } from "./signer.ts";
import { state } from "./state.ts";
import { clock, count, duration, ms, since, waiting } from "./words.ts";
import { noAreas } from "./mine.ts";

const SNOOZES = [15, 30, 60];
const CLEARED_MS = 10 * 60_000;

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
  readonly element = h("li", { class: "alert", tabindex: "-1" });
  private readonly words = h("p", { class: "words" });
  private readonly when = h("p", { class: "quiet" });
  private readonly actions = h("div", { class: "actions" });
  private readonly trouble = h("p", { class: "trouble", role: "alert", hidden: true });
  private mode: "idle" | "snooze" | "name" = "idle";
  private wanted: (() => void) | null = null;
  /** Which button asked the question that is open. */
  private asker = "";
  private busy = false;
  private shown = "";
  private item: Alert;

  constructor(item: Alert) {
    this.item = item;
    this.element.append(this.words, this.when, this.actions, this.trouble);
    // Escape closes the question that was asked last, and no more than that.
    this.actions.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || this.mode === "idle") return;
      event.preventDefault();
      this.cancel();
    });
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
        acknowledged: `${open} · seen${item.acknowledged?.by ? ` by ${item.acknowledged.by}` : ""} at ${clock(item.acknowledged?.at)}`,
        snoozed: `${open} · snoozed until ${clock(item.snoozed_until)}`,
        cleared: `cleared at ${clock(item.cleared)}, after ${duration((ms(item.cleared) - ms(item.since)) / 1000)}`,
      }[stand],
    );
    this.buttons(stand);
  }

  private buttons(stand: Standing): void {
    // Whoever is asked something can answer it in peace, whatever becomes of the alert meanwhile.
    const signature = this.mode === "idle" ? stand : this.mode;
    if (signature === this.shown) return;
    this.shown = signature;
    const focused = this.actions.contains(document.activeElement);
    const about = this.item.text;
    const button = (words: string, work: () => void, label?: string) => {
      // The second click of a double one is not meant for what has come to stand there.
      const onclick = (event: MouseEvent) => event.detail > 1 || work();
      return h("button", { type: "button", onclick, "aria-label": label ?? null }, words);
    };
    let all: HTMLElement[] = [];
    if (this.mode === "snooze") {
      all = [
        ...SNOOZES.map((long) => button(`${long} min`, () => this.signed("Snooze", () => this.post("snooze", { minutes: long })), `Snooze for ${long} minutes`)),
        button("Cancel", () => this.cancel()),
      ];
    } else if (this.mode === "name") {
      const input = h("input", { type: "text", maxlength: LONGEST_NAME, "aria-label": "Your name, for the record", placeholder: "Your name", autocomplete: "off" });
      const form = h("form", { class: "sign" }, input, h("button", { type: "submit" }, "Sign"), button("Cancel", () => this.cancel()));
      form.addEventListener("submit", (event) => {
        event.preventDefault();
        if (!input.value.trim()) return input.focus();
        sign(input.value);
        this.turn("idle");
        this.wanted?.();
      });
      all = [form];
    } else {
      const snooze = () => button("Snooze", () => this.turn("snooze", "Snooze"), `Snooze: ${about}`);
      const post = (what: string, words: string) => this.signed(words, () => this.post(what, {}));
      all = {
        open: () => [button("Acknowledge", () => post("acknowledge", "Acknowledge"), `Acknowledge: ${about}`), snooze()],
        acknowledged: () => [snooze(), button("Undo", () => post("unacknowledge", "Undo"), `Undo “seen”: ${about}`)],
        snoozed: () => [button("End snooze", () => post("unsnooze", "End snooze"), `End snooze: ${about}`)],
        cleared: () => [],
      }[stand]();
    }
    this.actions.replaceChildren(...all);
    if (focused || this.mode !== "idle") this.actions.querySelector<HTMLElement>("input, button")?.focus({ preventScroll: true });
  }

  private turn(mode: "idle" | "snooze" | "name", asker = this.asker): void {
    this.asker = asker;
    this.mode = mode;
    this.buttons(standing(this.item));
  }

  /** Takes the question back; the focus returns to the button that asked it. */
  private cancel(): void {
    this.turn("idle");
    [...this.actions.querySelectorAll("button")].find((one) => one.textContent === this.asker)?.focus({ preventScroll: true });
  }

  /** Does it now, or after the name is known. */
  private signed(asker: string, work: () => void): void {
    this.wanted = work;
    if (signerName()) {
      this.turn("idle");
      work();
    } else this.turn("name", asker);
  }

  private post(what: string, body: Partial<Snooze>): void {
    if (this.busy) return;
    this.busy = true;
    this.trouble.hidden = true;
    tell<Alert>(`/alerts/${encodeURIComponent(this.item.alert_id)}/${what}`, { by: signerName(), ...body })
      .then((answer) => state.alert(answer))
      .catch((error: unknown) => {
        this.trouble.hidden = false;
        text(this.trouble, error instanceof ProblemError ? error.message : String(error));
      })
      .finally(() => {
        this.busy = false;
      });
  }
}

const RANK: Record<Standing, number> = { open: 0, acknowledged: 1, snoozed: 2, cleared: 3 };

/** What there is to act on comes first, then the newest. */
function sorted(alerts: Iterable<Alert>): Alert[] {
  return [...alerts].sort(
    (a, b) =>
      RANK[standing(a)] - RANK[standing(b)] ||
      Number(b.level === "act") - Number(a.level === "act") ||
      ms(b.since) - ms(a.since) ||
      a.alert_id.localeCompare(b.alert_id, "en-GB"),
  );
}

export function startAlerts(): void {
  const list = byId<HTMLUListElement>("alerts");
  const number = byId("alerts-count");
  const tab = byId("tab-alerts");
  const said = byId("said");
  const held = byId<HTMLButtonElement>("alerts-new");
  const keyed = new Keyed<Alert, Row>(list, (item) => item.alert_id, (item) => new Row(item));
  const pager = new Pager(list, list, byId("alerts-head"), "alerts");
  let last = new Map<string, Alert>();
  let told: Set<string> | null = null;

  const show = (now = false) => {
    const fresh = [...state.alerts.values()].filter((item) => !item.cleared || state.now - ms(item.cleared) < CLEARED_MS);
    const open = fresh.filter((item) => standing(item) === "open");
    // While somebody works here every row stays where it is, even one that is over; what is new waits, and says so.
    const calm = !now && calmly.used && keyed.rows.size > 0;
    const all = calm ? keyed.order.map((id) => state.alerts.get(id) ?? (last.get(id) as Alert)) : sorted(fresh);
    const waits = calm ? fresh.filter((item) => !keyed.rows.has(item.alert_id)).length : 0;
    for (const one of list.children as HTMLCollectionOf<HTMLElement>) {
      // What becomes shorter does not draw up what lies below it.
      one.style.minHeight = calm ? `${one.getBoundingClientRect().height}px` : "";
    }
    last = new Map(all.map((item) => [item.alert_id, item]));
    keyed.show(all);
    held.hidden = waits === 0;
    text(held, `${waits} new`);
    text(number, open.length ? `${open.length} open` : "");
    text(tab, open.length ? String(open.length) : "");
    list.dataset["said"] = !state.known ? state.absence : all.length ? "" : "Nothing to act on.";
    attribute(list, "data-empty", all.length === 0 || null);
    pager.refresh();
    if (!state.known) return;
    // What is new is said once, politely; what was there when the page opened is in the list.
    const news = told ? open.filter((item) => !told?.has(item.alert_id)) : [];
    told ??= new Set();
    for (const item of fresh) told.add(item.alert_id);
    if (news.length === 1) text(said, `New alert: ${news[0]?.text ?? ""}`);
    else if (news.length) text(said, `${count(news.length, "new alert")}: ${news.map((item) => item.text).join(" ")}`);
    for (const item of open) if (!seen.has(item.alert_id)) keyed.rows.get(item.alert_id)?.element.classList.add("new");
    for (const item of all) seen.add(item.alert_id);
  };
  const seen = new Set<string>();
  const calmly = new Calm(list.closest<HTMLElement>(".panel") ?? list, () => show());
  held.addEventListener("click", () => {
    show(true);
    // The row, not a link in it: the key that called it in is still down.
    list.querySelector<HTMLElement>(".alert")?.focus();
  });
  state.on(["alerts", "connection"], () => show());
  window.setInterval(() => show(), 5_000);
}

class AreaRow {
  readonly element: HTMLLIElement;
  private readonly name = h("span", { class: "name" });
  private readonly since = h("span", { class: "since" });
  private readonly about = h("span", { class: "quiet" });
  private readonly link: HTMLAnchorElement;

  constructor(item: PriorityArea) {
    attribute(this.name, "title", item.name);
    this.link = h("a", { class: "area-row", href: `#/p/${encodeURIComponent(item.id)}` }, this.name, this.since, this.about);
    this.element = h("li", { id: `area-${item.id}` }, this.link);
  }

  update(item: PriorityArea): void {
    text(this.name, item.name);
    text(this.since, waiting(item, state.now));
    const when = [item.days, item.hours].filter(Boolean).join(" ") || "any time";
    const issue = item.issue && !item.name.includes(item.issue) ? `${item.issue} · ` : "";
    text(this.about, `${issue}${item.in_hours ? "in its hours now" : "outside its hours"} (${when})${item.visits ? ` · ${count(item.visits, "visit")}` : ""}`);
    attribute(this.element, "data-state", item.someone_there ? "there" : item.overdue ? "overdue" : item.in_hours ? "open" : "closed");
  }
}

/** Priority areas: those in their hours first, the longest wait first. */
export function startAreas(): void {
  const list = byId<HTMLOListElement>("areas");
  const keyed = new Keyed<PriorityArea, AreaRow>(list, (item) => item.id, (item) => new AreaRow(item));
  const pager = new Pager(list, list, byId("areas-head"), "priority areas");
  const show = () => {
    const wait = (item: PriorityArea) => (item.someone_there ? -1 : (since(item, state.now) ?? Number.MAX_SAFE_INTEGER));
    const sorted = [...state.areas.values()].sort(
      (a, b) =>
        Number(b.overdue) - Number(a.overdue) ||
        Number(b.in_hours) - Number(a.in_hours) ||
        wait(b) - wait(a) ||
        a.name.localeCompare(b.name, "en-GB"),
    );
    // The order stands while somebody works here.
    const known = keyed.rows.size === sorted.length && sorted.every((item) => keyed.rows.has(item.id));
    const all = calmly.used && known ? keyed.order.map((id) => state.areas.get(id) as PriorityArea) : sorted;
    keyed.show(all);
    pager.refresh();
    const open = all.filter((item) => item.in_hours).length;
    text(byId("areas-count"), all.length ? `${open} in their hours` : "");
    list.dataset["said"] = !state.known ? state.absence : all.length ? "" : noAreas("priority areas");
    attribute(list, "data-empty", all.length === 0 || null);
  };
  const calmly = new Calm(list, () => show());
  state.on(["areas", "connection"], show);
  window.setInterval(show, 5_000);
}
