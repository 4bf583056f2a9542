/**
 * What of a page belongs to whoever looks at it: the rest is not offered. Nothing is kept back here, for that the
 * server sees to; a page that shows less only leads nowhere less often.
 */

import { attribute } from "./dom.ts";
import { HERE } from "./here.ts";
import { signAs } from "./signer.ts";
import type { Me } from "./types.ts";

/** Hides ways to pages that would not open, and what there is to do that would be refused. */
export function settle(me: Me): void {
  const open = new Set(me.pages.map((page) => page.path));
  const live = document.body.classList.contains("live-page");
  const first = me.pages[0];
  // Whoever sees no live figures begins where they may.
  if (live && !open.has("/") && first) return location.replace(HERE + first.path);
  for (const link of document.querySelectorAll<HTMLAnchorElement>(".bar .tools a[href]")) {
    const path = link.pathname.slice(HERE.length) || "/";
    if (MENU.has(path)) link.hidden = !open.has(path);
  }
  attribute(document.body, "data-persons", String(me.persons));
  attribute(document.body, "data-answers", String(me.answers_alerts));
  const everywhere = me.grants.some((one) => one.neighbourhoods === null && one.role !== "officer");
  attribute(document.body, "data-scope", everywhere ? "all" : "some");
  if (me.signed_in) signAs(me.name);
  const [grant] = me.grants;
  if (!live || !grant || me.grants.some((one) => one.role !== grant.role)) return;
  if (grant.role === "display" && !document.documentElement.hasAttribute("data-wall")) document.getElementById("wall")?.click();
  if (grant.role === "officer" && grant.officer && !location.hash) location.hash = `#/o/${encodeURIComponent(grant.officer)}`;
}

/** Whether all of the force is seen, so that what is not there does not exist. */
export function wholeForce(): boolean {
  return document.body.dataset["scope"] !== "some";
}

/** What stands in the place of areas where there are none: they are not published, or not for whoever looks. */
export function noAreas(what: string, more = ""): string {
  return wholeForce() ? `No ${what} are published yet.${more}` : `No ${what} are in your scope.`;
}

/** Pages that a menu may lead to; other ways in the bar are for everybody. */
const MENU = new Set(["/", "/weeks", "/restatements", "/months", "/postcode", "/boundaries"]);
