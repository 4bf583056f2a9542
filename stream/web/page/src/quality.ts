/** Asks now and then what the facts behind the figures are worth. */

import type { Quality } from "./types.ts";
import { ask } from "./ask.ts";
import { state } from "./state.ts";

const EVERY_MS = 60_000;

/** Asks once the first figures are there, and then every minute while they are fresh and the page is looked at. */
export function startQuality(): void {
  let next = 0;
  let asking = false;
  state.on(["figures", "fresh"], () => {
    const lives = state.known && state.connection === "open" && ["live", "late"].includes(state.fresh?.state ?? "");
    if (!lives || asking || document.hidden || performance.now() < next) return;
    asking = true;
    next = performance.now() + EVERY_MS;
    ask<Quality>("/quality")
      .then((found) => state.judged(found))
      .catch(() => state.judged(null))
      .finally(() => {
        asking = false;
      });
  });
}
