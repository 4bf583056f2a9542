/** The boundary page: check a file, see what it changes, publish it with a date, take it back. */

import "@fontsource-variable/inter/wght.css";
import "maplibre-gl/dist/maplibre-gl.css";
import "../css/page.css";
import "../css/boundaries.css";
import { ProblemError, ask, tell } from "./ask.ts";
import type { Areas, CheckResult, Diff, History, Job, JobName, Kind, Outcome, Publish, TakeBack, Touched, TouchedFrom, Version } from "./types.ts";
import { BoundaryMap } from "./boundary_map.ts";
import { attribute, byId, h, roving, rovingStop, text } from "./dom.ts";
import { LONGEST_NAME, isSignedIn, sign, signerName } from "./signer.ts";
import { isDark, startTheme } from "./theme.ts";
import { count, dayClock, dayYear, duration } from "./words.ts";
import { startWho } from "./who.ts";

const KINDS: Record<Kind, string> = { neighbourhood: "neighbourhoods", priority: "priority areas", premises: "premises" };
const POLL_MS = 400;
const SHOWN = 200;

const words = (error: unknown) => (error instanceof ProblemError ? error.message : String(error));

// ── Long work ───────────────────────────────────────────────────────────────────────────────────────────────

const progress = byId("progress");
const bar = byId<HTMLProgressElement>("progress-bar");
const step = byId("progress-words");

/** Waits for a job, and shows how far it is. */
async function finish(job: string, place: HTMLElement): Promise<CheckResult> {
  place.append(progress);
  progress.hidden = false;
  const began = performance.now();
  try {
    for (;;) {
      const found = await ask<Job>(`/boundaries/jobs/${encodeURIComponent(job)}`);
      if (found.state === "done" && found.result) return found.result;
      if (found.state === "failed") {
        throw new ProblemError(500, found.error ?? "The work failed; nothing was changed.");
      }
      if (found.progress <= 0) bar.removeAttribute("value");
      else bar.value = found.progress;
      const long = (performance.now() - began) / 1000;
      text(step, `${sentence(found.step)}…${long > 3 ? ` ${duration(long)}` : ""}`);
      await new Promise((done) => window.setTimeout(done, POLL_MS));
    }
  } finally {
    progress.hidden = true;
  }
}

function sentence(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1);
}

// ── The check ───────────────────────────────────────────────────────────────────────────────────────────────

let map: BoundaryMap | null = null;
let file: File | null = null;
let checked: CheckResult | null = null;
let job = "";
let rows: (GeoJSON.Geometry | null)[] = [];

function startFile(): void {
  const input = byId<HTMLInputElement>("file");
  const drop = byId("drop");
  const chosen = (one: File | null) => {
    file = one;
    if (!one) return;
    const size = one.size < 1e6 ? `${Math.max(1, Math.round(one.size / 1000))} kB` : `${(one.size / 1e6).toFixed(1)} MB`;
    byId("drop-words").replaceChildren(h("b", {}, one.name), ` ${size}`);
    attribute(drop, "data-chosen", true);
  };
  input.addEventListener("change", () => chosen(input.files?.[0] ?? null));
  // A file dropped anywhere on the page is meant for it, not for the browser to open.
  for (const event of ["dragenter", "dragover"]) {
    document.addEventListener(event, (moved) => {
      moved.preventDefault();
      attribute(drop, "data-over", true);
    });
  }
  document.addEventListener("dragleave", (left) => {
    if (!left.relatedTarget) attribute(drop, "data-over", null);
  });
  document.addEventListener("drop", (dropped) => {
    dropped.preventDefault();
    attribute(drop, "data-over", null);
    const one = dropped.dataTransfer?.files[0];
    if (!one) return;
    const list = new DataTransfer();
    list.items.add(one);
    input.files = list.files;
    chosen(one);
  });
}

async function check(accept: string[] = [], why = ""): Promise<void> {
  const form = byId<HTMLFormElement>("check");
  const trouble = byId("check-trouble");
  const go = byId<HTMLButtonElement>("check-go");
  text(trouble, "");
  if (!file) return text(trouble, "Choose a file first.");
  const sent = new FormData();
  sent.set("file", file, file.name);
  sent.set("kind", String(new FormData(form).get("kind")));
  for (const name of ["id_column", "name_column", "crs", "layer", "encoding"]) {
    const value = String(new FormData(form).get(name) ?? "").trim();
    if (value) sent.set(name, value);
  }
  for (const code of accept) sent.append("accept", code);
  if (why) sent.set("why", why);
  if (accept.length) sent.set("by", signerName());
  go.disabled = true;
  for (const id of ["result", "change", "publish-panel"]) byId(id).hidden = true;
  try {
    const started = await ask<JobName>("/boundaries/check", { method: "POST", body: sent });
    job = started.job;
    checked = await finish(job, form.parentElement as HTMLElement);
    show(checked, accept, why);
  } catch (error) {
    text(trouble, words(error));
  } finally {
    go.disabled = false;
  }
}

function show(found: CheckResult, accepted: string[], why: string): void {
  const shapes = found.findings_geojson.features.map((one) => one.geometry as GeoJSON.Geometry | null);
  const { summary } = found;
  rows = found.findings.map((_, row) => shapes[row] ?? null);
  map?.show("file", found.areas_geojson);
  map?.show("findings", {
    type: "FeatureCollection",
    features: found.findings.flatMap((one, row) => {
      const geometry = rows[row];
      return geometry ? [{ type: "Feature", geometry, properties: { row, severity: one.severity } } as GeoJSON.Feature] : [];
    }),
  });
  map?.show("chosen", { type: "FeatureCollection", features: [] });
  map?.go("file");

  byId("result").hidden = false;
  text(byId("result-count"), [count(summary.error, "error"), count(summary.warning, "warning"), count(summary.note, "note")].join(" · "));
  const what = summary.kinds.length ? summary.kinds.map((kind) => KINDS[kind]).join(" and ") : "areas";
  text(
    byId("result-summary"),
    `${summary.areas} ${what} in the file. ${found.may_be_published ? "They can be published." : "They cannot be published as they are."}`,
  );
  const list = byId("findings");
  list.replaceChildren(
    ...found.findings.slice(0, SHOWN).map((one, row) =>
      h(
        "li",
        {},
        h(
          "button",
          { type: "button", class: "finding", "data-severity": one.severity, "data-row": row, tabindex: "-1", onclick: () => choose(row) },
          h("span", { class: "tag" }, one.severity),
          h("span", { class: "text" }, one.text, one.done ? h("span", { class: "quiet" }, ` ${sentence(one.done)}`) : null),
          h("span", { class: "code quiet" }, [one.code, one.area_id].filter(Boolean).join(" · ")),
        ),
      ),
    ),
    ...(found.findings.length > SHOWN ? [h("li", { class: "empty" }, `and ${found.findings.length - SHOWN} more; patrol areas check shows all of them.`)] : []),
    ...(found.findings.length ? [] : [h("li", { class: "empty" }, "Nothing: the file has no faults.")]),
  );
  rovingStop(list, ".finding");
  acceptance(found, accepted, why);
  change(found.diff);
  publication(found);
  byId("result-title").focus();
}

function choose(row: number): void {
  const geometry = rows[row];
  for (const one of document.querySelectorAll<HTMLElement>(".finding")) {
    attribute(one, "aria-current", one.dataset["row"] === String(row) ? "true" : null);
  }
  document.querySelector(`.finding[data-row="${row}"]`)?.scrollIntoView({ block: "nearest" });
  map?.show("chosen", { type: "FeatureCollection", features: geometry ? [{ type: "Feature", geometry, properties: {} }] : [] });
  if (geometry) map?.go(geometry);
}

/** Errors that are meant so can be accepted by their code, with a reason; the file is then checked again. */
function acceptance(found: CheckResult, accepted: string[], why: string): void {
  const place = byId("accept");
  const codes = [...new Set(found.findings.filter((one) => one.severity === "error").map((one) => one.code))];
  place.hidden = !codes.length || !found.areas_geojson.features.length;
  if (place.hidden) return;
  const reason = h("input", { type: "text", required: true, maxlength: "400", value: why });
  const form = h(
    "form",
    {},
    h(
      "fieldset",
      {},
      h("legend", {}, "Errors prevent publication. What is intended can be accepted:"),
      ...codes.map((code) =>
        h("label", { class: "choice" }, h("input", { type: "checkbox", name: "code", value: code }), ` ${code} (${found.findings.filter((one) => one.code === code).length})`),
      ),
    ),
    h("label", {}, "Why ", reason),
    byField(),
    h("div", { class: "go" }, h("button", { type: "submit" }, "Check again with these accepted")),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    keepName(form);
    const chosen = new FormData(form).getAll("code").map(String);
    void check([...new Set([...accepted, ...chosen])], reason.value.trim());
  });
  place.replaceChildren(form);
}

// ── What it changes ─────────────────────────────────────────────────────────────────────────────────────────

function ground(size: number): string {
  if (size >= 1e5) return `${(size / 1e6).toFixed(2)}\u00a0km²`;
  return `${Math.round(size).toLocaleString("en-GB")}\u00a0m²`;
}

/** Areas by name, with their id: those in force, and those of the file. */
function calling(): (id: string) => string {
  const names = new Map<string, string>();
  for (const item of [...(present ? Object.values(present) : []), checked?.areas_geojson]) {
    if (typeof item !== "object") continue;
    for (const one of item.features) names.set(String(one.id), String(one.properties?.["name"] ?? one.id));
  }
  return (id) => (names.has(id) && names.get(id) !== id ? `${names.get(id)} (${id})` : id);
}

function change(diff: Diff | null): void {
  const panel = byId("change");
  const place = byId("diff");
  panel.hidden = diff === null;
  if (!diff) return;
  const called = calling();
  const group = (title: string, items: string[]) =>
    items.length
      ? h(
          "details",
          { open: items.length <= 12 },
          h("summary", {}, `${items.length} ${title}`),
          h("ul", {}, ...items.slice(0, SHOWN).map((one) => h("li", {}, one)), items.length > SHOWN ? h("li", { class: "quiet" }, `and ${items.length - SHOWN} more`) : null),
        )
      : null;
  const groups = [
    group("new", diff.added.map((one) => called(one.area_id))),
    group("gone", diff.removed.map((one) => called(one.area_id))),
    group("renamed", diff.renamed.map((one) => `${one.area_id}: ${one.name_before} → ${one.name_after}`)),
    group(
      "with another boundary",
      diff.moved.map((one) => `${called(one.area_id)}: ${[one.gained_m2 >= 1 ? `gained ${ground(one.gained_m2)}` : "", one.lost_m2 >= 1 ? `lost ${ground(one.lost_m2)}` : ""].filter(Boolean).join(", ")}`),
    ),
    group(
      "with other details",
      diff.changed.map((one) => `${called(one.area_id)}: ${one.attributes.map(({ key, before, after }) => `${key} ${before ?? "–"} → ${after ?? "–"}`).join(", ")}`),
    ),
    group(
      diff.ground.length === 1 ? "piece of land that changes hands" : "pieces of land that change hands",
      diff.ground.map((one) => `${ground(one.size_m2)} from ${one.from === null ? "nobody" : called(one.from)} to ${one.to === null ? "nobody" : called(one.to)}`),
    ),
  ].filter((one) => one !== null);
  place.replaceChildren(...(groups.length ? groups : [h("p", { class: "said" }, "Nothing: the areas are the same as those in force.")]));
}

/** The duties that a publication from a date reaches; asked anew for every date. */
class Reach {
  readonly element = h("div", { class: "reach", id: "reach", role: "status" });
  private request: AbortController | null = null;

  constructor(private readonly job: string) {}

  async ask(date: string): Promise<void> {
    this.request?.abort();
    if (!date) return this.element.replaceChildren();
    const request = new AbortController();
    this.request = request;
    const when = dayYear(`${date}T12:00:00Z`);
    this.element.replaceChildren(h("p", { class: "quiet" }, `Looking for the duties that it affects from ${when} on…`));
    try {
      const path = `/boundaries/jobs/${encodeURIComponent(this.job)}/touched?from=${encodeURIComponent(date)}`;
      const { touched } = await ask<TouchedFrom>(path, { signal: request.signal });
      if (!request.signal.aborted) this.show(touched, `From ${when} on`);
    } catch (error) {
      if (request.signal.aborted) return;
      this.element.replaceChildren(h("p", { class: "trouble", role: "alert" }, `Which duties it affects is not known: ${words(error)}`));
    }
  }

  private show(touched: readonly Touched[], when: string): void {
    const called = calling();
    // Whoever sees no officers is told how many, a neighbourhood at a time: some may be in several.
    const officers = new Set(touched.flatMap((one) => one.officers));
    const whose = officers.size ? `duties of ${count(officers.size, "officer")}` : "booked duties";
    const weeks = (one: Touched) => (one.weeks.length ? `, ${one.weeks.length === 1 ? "week" : "weeks"} ${one.weeks.join(", ")}` : "");
    this.element.replaceChildren(
      h("p", {}, touched.length ? `${when} it affects ${whose} in ${count(touched.length, "neighbourhood")}:` : `${when} it affects no booked duties.`),
      h("ul", {}, ...touched.slice(0, SHOWN).map((one) => h("li", {}, `${called(one.area_id)}: ${count(one.officer_count, "officer")}${weeks(one)}`))),
    );
  }
}

// ── Publication ─────────────────────────────────────────────────────────────────────────────────────────────

function byField(): HTMLElement {
  return h("label", {}, "Your name ", h("input", { name: "by", type: "text", required: true, maxlength: LONGEST_NAME, autocomplete: "off", value: signerName(), ...(isSignedIn() ? { readonly: "" } : {}) }));
}

function keepName(form: HTMLFormElement): string {
  const name = String(new FormData(form).get("by") ?? "").trim();
  if (name && !isSignedIn()) sign(name);
  return name;
}

/** The day after today in London, as a date field wants it. */
function tomorrow(): string {
  return new Intl.DateTimeFormat("en-CA", { timeZone: "Europe/London" }).format(Date.now() + 86_400_000);
}

function publication(found: CheckResult): void {
  const panel = byId("publish-panel");
  const form = byId<HTMLFormElement>("publish");
  panel.hidden = false;
  byId("published").replaceChildren();
  if (!found.may_be_published) {
    form.replaceChildren(h("p", {}, "This file cannot be published: it has errors. Correct it and check it again, or accept what is intended."));
    return;
  }
  const trouble = h("p", { class: "trouble", role: "alert" });
  const go = h("button", { type: "submit", class: "primary" }, `Publish ${count(found.summary.areas, "area")}`);
  const date = h("input", { name: "from", type: "date", required: true, value: tomorrow() });
  const reach = new Reach(job);
  date.addEventListener("change", () => void reach.ask(date.value));
  void reach.ask(date.value);
  form.replaceChildren(
    h(
      "div",
      { class: "fields" },
      h("label", {}, "In force from ", date, h("span", { class: "quiet" }, " 00:00, local time")),
      byField(),
      h("label", { class: "wide" }, "Why ", h("input", { name: "why", type: "text", maxlength: "400", placeholder: "needed where counted figures change" })),
    ),
    reach.element,
    h("div", { class: "go" }, go, trouble),
  );
  form.onsubmit = (event) => {
    event.preventDefault();
    const values = new FormData(form);
    go.disabled = true;
    text(trouble, "");
    const sent = { job, from: String(values.get("from")), by: keepName(form), why: String(values.get("why") ?? "").trim() || null };
    work("/boundaries/publish", sent, panel, "Publishing")
      .then((outcome) => {
        form.replaceChildren();
        byId("published").replaceChildren(
          h("p", {}, h("b", {}, `Published as version ${outcome.version}, in force from ${dayYear(`${sent.from}T12:00:00Z`)}.`)),
          h("p", { class: "quiet" }, told(outcome)),
        );
        void loadHistory();
        void loadAreas();
      })
      .catch((error: unknown) => {
        text(trouble, words(error));
        go.disabled = false;
      });
  };
}

/** Work of unknown length: what was counted under a version is counted again. */
async function work(path: string, sent: Publish | TakeBack, place: HTMLElement, what: string): Promise<Outcome> {
  place.append(progress);
  progress.hidden = false;
  bar.removeAttribute("value");
  const began = performance.now();
  const tick = () => text(step, `${what}: what it affects is being counted again… ${duration((performance.now() - began) / 1000)}`);
  tick();
  const clock = window.setInterval(tick, 1_000);
  try {
    return await tell<Outcome>(path, sent);
  } finally {
    window.clearInterval(clock);
    progress.hidden = true;
  }
}

function told(outcome: Outcome): string {
  return [
    outcome.devices ? `${count(outcome.devices, "device")} counted again.` : "",
    outcome.figures_changed ? `${count(outcome.figures_changed, "figure")} changed, on record as restatement ${outcome.restatement ?? ""}.` : "No figure changed.",
  ]
    .filter(Boolean)
    .join(" ");
}

// ── History ─────────────────────────────────────────────────────────────────────────────────────────────────

async function loadHistory(): Promise<void> {
  const place = byId("history");
  let found: History;
  try {
    found = await ask<History>("/boundaries/history");
  } catch (error) {
    place.replaceChildren(h("div", { class: "empty" }, h("p", {}, words(error)), h("button", { type: "button", onclick: () => void loadHistory() }, "Try again")));
    return;
  }
  if (!found.versions.length) {
    place.replaceChildren(h("p", { class: "empty" }, "Nothing is published yet. Check a file above, and publish it."));
    return;
  }
  const newest = new Map<Kind, number>();
  for (const one of found.versions) {
    if (!one.withdrawn_at) newest.set(one.kind, Math.max(one.version, newest.get(one.kind) ?? 0));
  }
  place.replaceChildren(
    h(
      "table",
      { class: "table versions" },
      h("thead", {}, h("tr", {}, ...["version", "what", "in force from", "standing", "file", "published", "why", ""].map((one) => h("th", { scope: "col" }, one || h("span", { class: "hidden" }, "action"))))),
      h(
        "tbody",
        {},
        ...found.versions.map((one) =>
          h(
            "tr",
            { "data-standing": one.withdrawn_at ? "withdrawn" : one.in_force ? "in-force" : "other" },
            h("td", {}, one.version),
            h("td", {}, `${one.areas} ${KINDS[one.kind] ?? one.kind}`),
            h("td", {}, Date.parse(one.valid_from) <= 0 ? "the beginning" : dayClock(one.valid_from)),
            h("td", {}, one.withdrawn_at ? `taken back ${dayYear(one.withdrawn_at)} by ${one.withdrawn_by ?? ""}` : one.in_force ? h("b", {}, "in force") : Date.parse(one.valid_from) > Date.now() ? "to come" : "replaced"),
            h("td", {}, one.file),
            h("td", {}, `${dayClock(one.loaded_at)} by ${one.loaded_by}`),
            h("td", {}, [one.why, one.withdrawn_why].filter(Boolean).join("; ")),
            h("td", {}, newest.get(one.kind) === one.version ? h("button", { type: "button", onclick: () => takeBack(one, before(found.versions, one)) }, "Take back", h("span", { class: "hidden" }, ` version ${one.version}`)) : null),
          ),
        ),
      ),
    ),
  );
}

/** Whether there is a version before it that would be in force again. */
function before(versions: readonly Version[], one: Version): boolean {
  return versions.some((other) => other.kind === one.kind && !other.withdrawn_at && other.version < one.version);
}

function takeBack(one: Version, followed: boolean): void {
  const dialog = byId<HTMLDialogElement>("take-back");
  const trouble = h("p", { class: "trouble", role: "alert" });
  const go = h("button", { type: "submit", class: "primary" }, "Take it back");
  const form = h(
    "form",
    { class: "form" },
    h("h2", { id: "take-back-title" }, `Take back version ${one.version} of the ${KINDS[one.kind]}?`),
    h(
      "p",
      {},
      followed
        ? "The version before it is in force again. What was counted under it is counted again, and figures that change are put on record."
        : `No ${KINDS[one.kind]} will be in force: no version was published before it. What was counted under it is counted again without any, and figures that change are put on record.`,
    ),
    byField(),
    h("label", {}, "Why ", h("input", { name: "why", type: "text", maxlength: "400" })),
    h("div", { class: "go" }, go, h("button", { type: "button", onclick: () => dialog.close() }, "Leave it")),
    trouble,
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    go.disabled = true;
    const by = keepName(form);
    work("/boundaries/take-back", { kind: one.kind, by, why: String(new FormData(form).get("why") ?? "").trim() || null }, form, "Taking back")
      .then((outcome) => {
        dialog.close();
        text(byId("said"), `Version ${one.version} is taken back. ${told(outcome)}`);
        void loadHistory();
        void loadAreas();
      })
      .catch((error: unknown) => {
        text(trouble, words(error));
        go.disabled = false;
      });
  });
  dialog.replaceChildren(form);
  dialog.showModal();
}

// ── The page ────────────────────────────────────────────────────────────────────────────────────────────────

let present: Areas | null = null;

async function loadAreas(): Promise<void> {
  present = await ask<Areas>("/areas").catch(() => null);
  showPresent();
}

function showPresent(): void {
  const kind = String(new FormData(byId<HTMLFormElement>("check")).get("kind")) as Kind;
  if (!present) return;
  map?.show("now", present[kind]);
  if (!checked) map?.go(present[kind].features.length ? "now" : "file");
}

function start(): void {
  startFile();
  try {
    map = new BoundaryMap(byId("map"), isDark(), choose);
  } catch (error) {
    console.error(error);
    byId("map").replaceChildren(h("p", { class: "empty" }, "This browser cannot draw the map (WebGL is off). Everything on it is in the list of findings."));
  }
  startTheme((dark) => map?.dress(dark));
  roving(byId("findings"), ".finding");
  const form = byId<HTMLFormElement>("check");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void check();
  });
  form.addEventListener("change", showPresent);
  void loadHistory();
  void startWho();
  // For those who measure, from the browser's console or a test.
  Object.assign(window, { boundaries: { map } });
  void document.fonts.load('16px "Inter Variable"').finally(() => void loadAreas());
}

start();
