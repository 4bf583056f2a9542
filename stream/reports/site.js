// The finder of postcodes on static pages. Of what is typed only the first part (LE1) is ever asked for.
"use strict";

const form = document.getElementById("pp-form");
const field = document.getElementById("pp-postcode");
const place = document.getElementById("pp-answer");
const WHOLE = /^(?:[A-Z]{1,2}[0-9][A-Z0-9]?|GIR)[0-9][A-Z]{2}$/;
const OUTWARD = /^[A-Z]{1,2}[0-9][A-Z0-9]?$/;
const OUTSIDE = -1;

const asked = new Map();

function get(name) {
  const url = `${form.dataset.postcodes}${name}.json`;
  if (!asked.has(url)) {
    const found = fetch(url, { credentials: "omit" }).then((reply) => {
      if (!reply.ok) throw new Error(String(reply.status));
      return reply.json();
    });
    found.catch(() => asked.delete(url));
    asked.set(url, found);
  }
  return asked.get(url);
}

function plain(typed) {
  const text = typed.normalize("NFKC").toUpperCase().replace(/[\p{Z}\p{C}\-–.,'’]/gu, "");
  return /^[A-Z0-9]+$/.test(text) ? text : "";
}

function link(element, [name, page]) {
  element.textContent = name;
  if (page) element.href = page;
}

function say(outcome, slots) {
  const piece = document.querySelector(`template[data-outcome="${outcome}"]`).content.cloneNode(true);
  for (const slot of piece.querySelectorAll("[data-slot]")) {
    const value = slots[slot.dataset.slot];
    if (slot.dataset.slot === "area") link(slot, value);
    else if (slot.dataset.slot === "areas") {
      for (const area of value) {
        const item = document.createElement("li");
        link(item.appendChild(document.createElement("a")), area);
        slot.append(item);
      }
    } else slot.textContent = value;
  }
  const wrong = !["found", "partial", "outside", "no_position"].includes(outcome);
  place.classList.toggle("pp-wrong", wrong);
  field.toggleAttribute("aria-invalid", wrong);
  place.replaceChildren(piece);
  place.hidden = false;
  place.focus();
}

async function find(typed) {
  const key = plain(typed);
  const text = typed.trim().slice(0, 64);
  if (!text) return say("empty", {});
  const whole = WHOLE.test(key);
  if (!whole && !OUTWARD.test(key)) return say("no_postcode", { text });
  const outward = whole ? key.slice(0, -3) : key;
  const postcode = whole ? `${outward} ${key.slice(-3)}` : outward;
  const { areas, ours, others } = await get("index");
  if (!ours.includes(outward)) return say(others.includes(outward) ? "outside" : "unknown", { postcode });
  const rest = await get(outward);
  if (!whole) {
    const numbers = [...new Set(Object.values(rest))].filter((number) => number >= 0);
    return say("partial", { postcode, areas: numbers.map((number) => areas[number]).sort() });
  }
  const number = rest[key.slice(-3)];
  if (number === undefined) return say("unknown", { postcode });
  if (number < 0) return say(number === OUTSIDE ? "outside" : "no_position", { postcode });
  return say("found", { postcode, area: areas[number] });
}

form.hidden = false;
form.addEventListener("submit", (event) => {
  event.preventDefault();
  find(field.value).catch(() => say("failed", {}));
});
