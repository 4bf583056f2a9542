/** Who signs what is done here. Kept for this tab alone, and only while it is open: the next shift signs anew. */

import { byId, h } from "./dom.ts";

const KEY = "patrol.name";
export const LONGEST_NAME = "80";
const listeners = new Set<() => void>();
/** The name of whoever signed in: what is done is signed with it, and with no other. */
let own = "";

// A name that an earlier page kept for good belongs to whoever sat here then.
localStorage.removeItem(KEY);

export function signerName(): string {
  return own || (sessionStorage.getItem(KEY) ?? "");
}

/** From now on everything is signed with the name of whoever signed in. */
export function signAs(name: string): void {
  own = name;
  for (const one of listeners) one();
}

/** Whether somebody signed in, whose name is the only one there is. */
export function isSignedIn(): boolean {
  return own !== "";
}

/** Keeps a name; an empty one is forgotten. */
export function sign(name: string): void {
  const said = name.trim();
  if (said) sessionStorage.setItem(KEY, said);
  else sessionStorage.removeItem(KEY);
  for (const one of listeners) one();
}

/** "signing as PC Smith – change". */
export function startSigner(): void {
  const place = byId("signer");
  let changing = false;
  const show = () => {
    if (own) {
      changing = false;
      place.replaceChildren("signing as ", h("b", {}, own));
      return;
    }
    if (changing) return;
    const name = signerName();
    const change = h("button", { type: "button", class: "plain", onclick: open }, name ? "change" : "give your name");
    place.replaceChildren(...(name ? ["signing as ", h("b", {}, name)] : ["no name given yet"]), " – ", change);
  };
  const close = () => {
    changing = false;
    show();
    place.querySelector("button")?.focus();
  };
  const open = () => {
    changing = true;
    const input = h("input", { type: "text", maxlength: LONGEST_NAME, "aria-label": "Your name, as it will be recorded", placeholder: "Your name", autocomplete: "off", value: signerName() });
    const form = h("form", { class: "sign" }, input, h("button", { type: "submit" }, "Save"), h("button", { type: "button", onclick: close }, "Cancel"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      sign(input.value);
      close();
    });
    form.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      close();
    });
    place.replaceChildren(form);
    input.select();
  };
  listeners.add(show);
  show();
}
