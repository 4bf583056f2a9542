/** Who looks at the page: the way to their account and out, or in the demonstration whom it is shown as. */

import { ask } from "./ask.ts";
import { byId, h } from "./dom.ts";
import { HERE } from "./here.ts";
import { settle } from "./mine.ts";
import type { Me } from "./types.ts";

export async function startWho(): Promise<void> {
  let me: Me;
  try {
    me = await ask<Me>("/me");
  } catch {
    return; // the rest of the page says what is wrong
  }
  settle(me);
  if (!me.see_as.length && !me.signed_in) return;
  byId("who").replaceChildren(...(me.see_as.length ? [menu(me)] : own(me)));
  document.body.dataset["who"] = "";
}

/** "See it as": choosing shows the page as that role sees it. */
function menu(me: Me): HTMLElement {
  const choices = me.see_as.map((item) => h("option", { value: item.key, ...(item.chosen ? { selected: "" } : {}) }, item.title));
  const select = h("select", { name: "as", class: "tool", "aria-label": "See it as" }, ...choices);
  const form = h("form", { method: "post", action: `${HERE}/see-as` }, h("span", { "aria-hidden": "true" }, "see it as"), select);
  select.addEventListener("change", () => form.submit());
  return form;
}

function own(me: Me): HTMLElement[] {
  const out = h("form", { method: "post", action: `${HERE}/sign-out` }, h("button", { class: "tool" }, "Sign out"));
  const accounts = me.administers ? [h("a", { href: `${HERE}/accounts` }, "Accounts")] : [];
  return [...accounts, h("a", { href: `${HERE}/account`, title: "My account" }, me.name), out];
}
