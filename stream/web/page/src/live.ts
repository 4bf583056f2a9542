/** The live page: its parts, put together. */

import "@fontsource-variable/inter/wght.css";
import "maplibre-gl/dist/maplibre-gl.css";
import "../css/page.css";
import "../css/live.css";
import { startAlerts, startAreas } from "./alerts.ts";
import { startAnswers, startTrust } from "./answers.ts";
import { ProblemError, ask } from "./ask.ts";
import type { Areas } from "./types.ts";
import { Detail, route } from "./detail.ts";
import { attribute, byId, h, text } from "./dom.ts";
import { connect, traffic } from "./feed.ts";
import { startList } from "./list.ts";
import { ignoredPicture, unitPicture } from "./icons.ts";
import { type Hit, LiveMap } from "./map.ts";
import { DARK, LIGHT } from "./palette.ts";
import { startQuality } from "./quality.ts";
import { startSigner } from "./signer.ts";
import { state } from "./state.ts";
import { startWho } from "./who.ts";
import { isDark, scale, startTheme } from "./theme.ts";
import { startViews, view } from "./views.ts";
import { activityWords, percent, promise } from "./words.ts";

function startMap(): LiveMap | null {
  const tip = byId("tip");
  const panel = byId("map-panel");
  const hover = (words: string[] | null, x: number, y: number) => {
    tip.hidden = words === null;
    if (!words) return;
    tip.replaceChildren(...words.map((line, at) => h(at ? "span" : "b", {}, line)));
    const left = x > panel.clientWidth * 0.6;
    tip.style.left = `${x}px`;
    tip.style.top = `${y}px`;
    attribute(tip, "data-side", left ? "left" : "right");
  };
  const pick = (hit: Hit) => {
    if (hit.kind === "unit" && hit.officer) location.hash = `#/o/${encodeURIComponent(hit.officer)}`;
    else if (hit.kind === "priority") location.hash = `#/p/${encodeURIComponent(hit.id)}`;
    else if (hit.kind === "neighbourhood") location.hash = `#/n/${encodeURIComponent(hit.id)}`;
  };
  try {
    return new LiveMap(byId("map"), { onPick: pick, onHover: hover, dark: isDark(), scale: scale() });
  } catch (error) {
    console.error(error);
    byId("map").replaceChildren(
      h("p", { class: "empty" }, "This browser cannot draw the map (WebGL is off). Everything on it is in the lists."),
    );
    return null;
  }
}

function tools(map: LiveMap): void {
  const trails = h("button", { type: "button", class: "tool of-persons", "aria-pressed": "false", title: "Where the units came from, since this page was opened (10 minutes at most)" }, "Trails");
  trails.addEventListener("click", () => {
    map.setTrails(!map.trails);
    attribute(trails, "aria-pressed", String(map.trails));
  });
  const whole = h("button", { type: "button", class: "tool", onclick: () => map.whole() }, "Whole force");
  byId("map-tools").append(whole, trails);
}

/** Of devices that nobody on duty has it is said that they are heard, and not where. */
function heardWords(): string {
  const count = state.heardOnly.size;
  const what = count === 1 ? "1 radio or vehicle is heard" : `${count} radios and vehicles are heard`;
  return `${what} outside any duty: it is not shown where.`;
}

function legend(): void {
  const place = byId("legend");
  const palette = isDark() ? DARK : LIGHT;
  const swatch = (name: string, words: string) => h("li", {}, h("i", { class: `ground ${name}`, "aria-hidden": "true" }), words);
  const unit = (act: string, vehicle: boolean, words: string) => {
    const picture = unitPicture(act, vehicle, palette);
    attribute(picture, "aria-hidden", "true");
    return h("li", {}, picture, words);
  };
  const open = place.hasAttribute("open");
  place.replaceChildren(
    h("summary", {}, "Key"),
    h(
      "div",
      { class: "legend-body" },
      h(
        "ul",
        {},
        swatch("met", "promise met"),
        swatch("unproven", "not proven"),
        swatch("missed", "missed"),
        swatch("none", "no figure"),
        swatch("nobody", "nobody on patch"),
        swatch("priority", "priority area, time since a visit"),
      ),
      h(
        "ul",
        {},
        ...["on_patch", "off_patch", "not_visible", "break", "unknown"].map((act) => unit(act, false, activityWords(act))),
        unit("on_patch", true, "vehicle"),
        h("li", {}, h("span", { class: "cross", "aria-hidden": "true" }, ignoredPicture(palette)), "ignored: no movement explains it (rule 3)"),
      ),
      h("p", { class: "quiet" }, `Bluer: above ${promise(state.settings.target)}; redder: below. Paler units: not heard for a minute, for five.`),
      h("p", { class: "quiet", id: "heard-only" }, heardWords()),
    ),
  );
  if (open) place.setAttribute("open", "");
}

let drawn = false;
let failed = "";

/** While there are no areas to draw: why, in the server's words. */
function notDrawn(): void {
  if (drawn) return;
  const note = byId("map-empty");
  const { fresh } = state;
  const why = fresh?.trouble && fresh.trouble !== "worker" ? fresh.text : failed;
  if (!why && !note.dataset["why"]) return;
  note.dataset["why"] = why;
  note.hidden = !why;
  text(note, `Not known: ${why.replace(/^(?:Stale|No figures(?: yet)?): */, "").replace(/\.$/, "")}. The map tries again by itself.`);
}

async function loadAreas(map: LiveMap, tries = 0): Promise<void> {
  const note = byId("map-empty");
  try {
    const areas = await ask<Areas>("/areas");
    drawn = true;
    map.setAreas(areas);
    note.hidden = areas.neighbourhood.features.length + areas.priority.features.length > 0;
    text(note, "No areas are published yet: the map is empty.");
    await map.dress(isDark(), scale());
    const wanted = route();
    if (wanted.kind === "priority") map.showPriority(wanted.id);
    if (wanted.kind === "neighbourhood") map.select(wanted.id, true);
  } catch (error) {
    failed = error instanceof ProblemError ? error.message : String(error);
    notDrawn();
    window.setTimeout(() => void loadAreas(map, tries + 1), Math.min(30_000, 1_000 * 2 ** tries));
  }
}

function start(): void {
  state.on(["units"], () => {
    const note = document.getElementById("heard-only");
    if (note) text(note, heardWords());
  });
  startTrust();
  startAnswers();
  startList();
  startAlerts();
  startAreas();
  startSigner();
  startViews();
  legend();
  const map = startMap();
  startTheme((dark, size) => {
    legend();
    void map?.dress(dark, size);
  });
  const detail = new Detail(map);
  const go = () => {
    detail.go();
    const wanted = route();
    const id = wanted.kind === "priority" ? wanted.id : "";
    if (id && !document.body.dataset["detail"]) view("map");
    map?.showPriority(id);
    for (const one of document.querySelectorAll(".areas [aria-current]")) one.removeAttribute("aria-current");
    const row = id ? document.getElementById(`area-${id}`) : null;
    row?.querySelector("a")?.setAttribute("aria-current", "true");
    row?.scrollIntoView({ block: "nearest" });
  };
  window.addEventListener("hashchange", go);
  // Whether there is a priority area of that name is known when the first figures are there.
  state.on(["areas"], () => detail.go());
  go();

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.defaultPrevented) detail.close();
  });
  if (map) {
    tools(map);
    void loadAreas(map).then(go);
    state.on(["fresh"], notDrawn);
    let target = Number.NaN;
    let below = "null";
    let asked = 0;
    // Areas that were published since the map was drawn; asked for until they are there.
    state.on(["figures", "fresh"], () => {
      const news = [...state.neighbourhoods.keys()].some((id) => map.has("neighbourhood", id) === false);
      if (!news || performance.now() - asked < 5_000) return;
      asked = performance.now();
      void loadAreas(map);
    });
    state.on(["figures"], () => {
      const { settings } = state;
      if (settings.target !== target) legend();
      target = settings.target;
      const wanted = JSON.stringify(settings.basemap);
      if (wanted !== below) void map.dress(isDark(), scale());
      below = wanted;
    });
  }
  startQuality();
  void startWho();
  connect();
  // For those who measure, from the browser's console or a test.
  Object.assign(window, { patrol: { state, map, traffic, percent } });
}

start();
