/** The four views of a small screen: what was one screen comes one after another. */

import { attribute, byId } from "./dom.ts";

const buttons = () => [...byId("tabs").querySelectorAll<HTMLButtonElement>("button[data-view]")];

/** Shows a view where the screen is small; on a large one nothing is to be seen of it. */
export function view(name: string): void {
  if (document.body.dataset["view"] === name) return;
  attribute(document.body, "data-view", name);
  for (const one of buttons()) attribute(one, "aria-pressed", String(one.dataset["view"] === name));
  window.scrollTo(0, 0);
}

export function startViews(): void {
  for (const one of buttons()) one.addEventListener("click", () => view(one.dataset["view"] ?? "now"));
}
