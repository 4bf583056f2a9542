/** Calm: nothing moves under the hand of somebody who works in a list. */

/** A hand that rests for so long no longer works there: a screen that was left alone goes on. */
const IDLE_MS = 60_000;
const TICK_MS = 1_000;
const SIGNS_OF_LIFE = ["pointermove", "pointerdown", "focusin", "keydown", "input", "wheel"];

export class Calm {
  private pointer = false;
  private alive = 0;
  private was = false;

  /**
   * @param place where people work.
   * @param left what to do when they have gone.
   */
  constructor(
    private readonly place: HTMLElement,
    private readonly left: () => void,
  ) {
    for (const event of SIGNS_OF_LIFE) {
      place.addEventListener(
        event,
        () => {
          this.alive = performance.now();
          this.was = true;
        },
        { passive: true },
      );
    }
    place.addEventListener("pointerenter", () => {
      this.pointer = true;
      this.alive = performance.now();
      this.was = true;
    });
    for (const event of ["pointerleave", "pointercancel"]) {
      place.addEventListener(event, () => {
        this.pointer = false;
        this.look();
      });
    }
    // Where the focus goes to is known only after the event.
    place.addEventListener("focusout", () => window.setTimeout(() => this.look()));
    window.setInterval(() => this.look(), TICK_MS);
  }

  /** Whether the pointer or the focus is in the place, of somebody who has moved in the last minute. */
  get used(): boolean {
    const there = this.pointer || this.place.contains(document.activeElement);
    return there && performance.now() - this.alive < IDLE_MS;
  }

  private look(): void {
    if (!this.was || this.used) return;
    this.was = false;
    this.left();
  }
}
