/** How the server is asked. */

import { HERE } from "./here.ts";

/** What the server refused, in its own words. */
export class ProblemError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

const BASE = `${HERE}/api/v1`;

/** How long nobody may have touched the page before what it asks by itself is said to be just that. */
const UNATTENDED_MS = 30_000;
let touched = performance.now();
for (const kind of ["pointerdown", "pointermove", "keydown", "wheel"]) {
  window.addEventListener(kind, () => (touched = performance.now()), { capture: true, passive: true });
}

/** Headers that tell whether somebody sits before the page: whoever has left is signed out after a while. */
function attended(init: RequestInit): Headers {
  const headers = new Headers(init.headers);
  if (performance.now() - touched > UNATTENDED_MS) headers.set("Patrol-Unattended", "1");
  return headers;
}

/**
 * Asks the server and gives its answer.
 *
 * @throws ProblemError with plain words: what the server said, or that it cannot be reached (status 0).
 */
export async function ask<T>(path: string, init: RequestInit = {}): Promise<T> {
  let response: Response;
  try {
    response = await fetch(`${BASE}${path}`, { credentials: "same-origin", ...init, headers: attended(init) });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ProblemError(0, "The server cannot be reached. Is patrol web running?");
  }
  if (response.status === 401) signInAgain();
  const body: unknown = await response.json().catch(() => null);
  if (!response.ok) throw new ProblemError(response.status, said(body, response.status));
  return body as T;
}

/** Nobody is signed in any more: asked for anew, the page leads to the sign-in page and back. */
function signInAgain(): void {
  location.reload();
}

/** Sends JSON. */
export function tell<T>(path: string, body: unknown): Promise<T> {
  return ask<T>(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
}

function said(body: unknown, status: number): string {
  const words = (body ?? {}) as Record<string, unknown>;
  for (const key of ["detail", "description", "title"]) {
    if (typeof words[key] === "string" && words[key]) return words[key];
  }
  return `The server answered with status ${status}.`;
}
