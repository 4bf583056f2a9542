/** Light or dark, and how large: the system's wish, until somebody says otherwise. */

import { attribute, byId, text } from "./dom.ts";

const KEY = "patrol.theme";

export function isDark(): boolean {
  const said = localStorage.getItem(KEY);
  return said ? said === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

/** Root type size against the usual 16 px: the map's letters grow with the page's. */
export function scale(): number {
  return Number.parseFloat(getComputedStyle(document.documentElement).fontSize) / 16;
}

export function startTheme(changed: (dark: boolean, scale: number) => void): void {
  const root = document.documentElement;
  const button = byId("theme");
  const show = () => {
    const dark = isDark();
    attribute(root, "data-theme", dark ? "dark" : "light");
    text(button, dark ? "Light" : "Dark");
    attribute(button, "title", dark ? "Change to light colours" : "Change to dark colours");
  };
  const tell = () => {
    show();
    changed(isDark(), scale());
  };
  button.addEventListener("click", () => {
    localStorage.setItem(KEY, isDark() ? "light" : "dark");
    tell();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", tell);

  const wall = document.getElementById("wall");
  const large = new URLSearchParams(location.search).has("wall");
  attribute(root, "data-wall", large || null);
  wall?.setAttribute("aria-pressed", String(large));
  wall?.addEventListener("click", () => {
    const address = new URL(location.href);
    if (address.searchParams.has("wall")) address.searchParams.delete("wall");
    else address.searchParams.set("wall", "");
    history.replaceState(null, "", address.href.replace("wall=&", "wall&").replace(/wall=(#|$)/, "wall$1"));
    const on = address.searchParams.has("wall");
    attribute(root, "data-wall", on || null);
    wall.setAttribute("aria-pressed", String(on));
    tell();
  });
  show();
}
