/**
 * The live feed: server-sent events into the state. Reconnects by itself, and says so while it does.
 *
 * The browser resumes with `Last-Event-ID` where it reconnects by itself; where the line is silent (no event for
 * five seconds; the server sends one every second) it is opened anew, and a whole snapshot comes.
 */

import { ask } from "./ask.ts";
import type { Alert, ChangedAreas, ChangedShares, Pulse, Snapshot, UnitColumns } from "./types.ts";
import { HERE } from "./here.ts";
import { state } from "./state.ts";

const SILENCE_MS = 5_000;
const TICK_MS = 1_000;
const RETRY_MS = [500, 1_000, 2_000, 4_000];

type News = Partial<Pulse>;

/** Counts for those who measure: bytes and events since the page was opened. */
export const traffic = { events: 0, characters: 0 };

export function connect(): void {
  let source: EventSource | null = null;
  let heard = performance.now();
  let tries = 0;
  let retry = 0;

  const open = () => {
    window.clearTimeout(retry);
    retry = 0;
    source?.close();
    heard = performance.now();
    const mine = new EventSource(`${HERE}/api/v1/stream`);
    source = mine;
    const on = <T extends News>(event: string, take: (data: T) => void) => {
      mine.addEventListener(event, (message: MessageEvent<string>) => {
        heard = performance.now();
        tries = 0;
        traffic.events += 1;
        traffic.characters += message.data.length;
        if (state.connection !== "open") {
          state.connection = "open";
          state.changed("connection");
        }
        const data = JSON.parse(message.data) as T;
        state.heard(data.as_of, data.fresh);
        take(data);
      });
    };
    on<Snapshot & News>("snapshot", (data) => state.snapshot(data.live, data.units));
    on<ChangedShares>("share", (data) => state.figures(data.force, data.neighbourhoods));
    on<UnitColumns & News>("units", (data) => state.moved(data));
    on<ChangedAreas & News>("areas", (data) => state.visited(data.priority_areas));
    on<Alert & News>("alert", (data) => state.alert(data));
    on<Pulse>("pulse", () => undefined);
    mine.addEventListener("error", () => {
      if (mine !== source || mine.readyState !== EventSource.CLOSED) return;
      again();
      // Why it is closed, a stream does not say: where nobody is signed in any more, this question does.
      void ask("/me").catch(() => undefined);
    });
  };

  const again = () => {
    if (retry) return;
    lost();
    source?.close();
    retry = window.setTimeout(open, RETRY_MS[Math.min(tries++, RETRY_MS.length - 1)]);
  };

  const lost = () => {
    if (state.connection === "open") {
      state.connection = "lost";
      state.changed("connection");
    }
  };

  let ticked = performance.now();
  window.setInterval(() => {
    // A page that was asleep, or too busy to listen, has not been left alone: what came meanwhile waits to be read.
    const now = performance.now();
    if (now - ticked > 2 * TICK_MS) heard = now;
    ticked = now;
    const silent = now - heard;
    if (silent > SILENCE_MS) {
      if (state.connection === "connecting" && silent > SILENCE_MS) {
        state.connection = "lost";
        state.changed("connection");
      }
      again();
    }
  }, TICK_MS);
  window.addEventListener("online", open);
  window.addEventListener("pagehide", () => source?.close());
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) open();
  });
  open();
}
