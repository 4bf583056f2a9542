/** The live page: its parts, put together. */

import "@fontsource-variable/inter/wght.css";
import "maplibre-gl/dist/maplibre-gl.css";
import "../css/page.css";
import "../css/live.css";
import { startAlerts, startAreas } from "./alerts.ts";
import { startAnswers, startTrust } from "./answers.ts";
import { type Areas, ProblemError, ask } from "./api.ts";
import { Detail, route } from "./detail.ts";
import { attribute, byId, h, text } from "./dom.ts";
import { connect, traffic } from "./feed.ts";
import { startList } from "./list.ts";
import { unitPicture } from "./icons.ts";
import { type Hit, LiveMap } from "./map.ts";
import { DARK, LIGHT } from "./palette.ts";
import { state } from "./state.ts";
import { isDark, scale, startTheme } from "./theme.ts";
import { activityWords, percent } from "./words.ts";

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
  const trails = h("button", { type: "button", class: "tool", "aria-pressed": "false", title: "Where the units came from, since this page was opened (10 minutes at most)" }, "Trails");
  trails.addEventListener("click", () => {
    map.setTrails(!map.trails);
    attribute(trails, "aria-pressed", String(map.trails));
  });
  const whole = h("button", { type: "button", class: "tool", onclick: () => map.whole() }, "Whole force");
  byId("map-tools").append(whole, trails);
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
        swatch("none", "no duty"),
        swatch("nobody", "nobody on patch"),
        swatch("priority", "priority area, time since a visit"),
      ),
      h(
        "ul",
        {},
        ...["on_patch", "off_patch", "not_visible", "break", "unknown"].map((act) => unit(act, false, activityWords(act))),
        unit("on_patch", true, "vehicle"),
      ),
      h("p", { class: "quiet" }, `Bluer: above ${percent(state.settings.target)}; redder: below. Paler units: not heard for a minute, for five.`),
    ),
  );
  if (open) place.setAttribute("open", "");
}

async function loadAreas(map: LiveMap, tries = 0): Promise<void> {
  try {
    map.setAreas(await ask<Areas>("/areas"));
    await map.dress(isDark(), scale());
    const wanted = route();
    if (wanted.kind === "priority") map.showPriority(wanted.id);
    if (wanted.kind === "neighbourhood") map.select(wanted.id, true);
  } catch (error) {
    if (tries === 0 && error instanceof ProblemError) text(byId("said"), `The map has no areas yet: ${error.message}`);
    window.setTimeout(() => void loadAreas(map, tries + 1), Math.min(30_000, 1_000 * 2 ** tries));
  }
}

function tabs(): void {
  const buttons = [...byId("tabs").querySelectorAll<HTMLButtonElement>("button[data-view]")];
  const show = (view: string) => {
    attribute(document.body, "data-view", view);
    for (const one of buttons) attribute(one, "aria-pressed", String(one.dataset["view"] === view));
    window.scrollTo(0, 0);
  };
  for (const one of buttons) one.addEventListener("click", () => show(one.dataset["view"] ?? "now"));
  window.addEventListener("hashchange", () => {
    const wanted = route();
    if (wanted.kind === "neighbourhood" || wanted.kind === "officer") show("list");
    if (wanted.kind === "priority") show("map");
  });
}

function start(): void {
  startTrust();
  startAnswers();
  startList();
  startAlerts();
  startAreas();
  tabs();
  legend();
  const map = startMap();
  startTheme((dark, size) => {
    legend();
    void map?.dress(dark, size);
  });
  if (map) {
    tools(map);
    const detail = new Detail(map);
    const go = () => {
      detail.go();
      const wanted = route();
      const id = wanted.kind === "priority" ? wanted.id : "";
      map.showPriority(id);
      for (const one of document.querySelectorAll(".areas [aria-current]")) one.removeAttribute("aria-current");
      const row = id ? document.getElementById(`area-${id}`) : null;
      row?.querySelector("a")?.setAttribute("aria-current", "true");
      row?.scrollIntoView({ block: "nearest" });
    };
    window.addEventListener("hashchange", go);
    void loadAreas(map).then(go);
    let target = Number.NaN;
    let below = "null";
    state.on(["figures"], () => {
      const { settings } = state;
      if (settings.target !== target) legend();
      target = settings.target;
      const wanted = JSON.stringify(settings.basemap);
      if (wanted !== below) void map.dress(isDark(), scale());
      below = wanted;
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && route().kind !== "list") location.hash = "#/";
    });
  }
  connect();
  // For those who measure, from the browser's console or a test.
  Object.assign(window, { patrol: { state, map, traffic } });
}

start();
