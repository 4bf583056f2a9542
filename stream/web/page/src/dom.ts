/** Elements. Names come from outside: every text goes in as text, never as markup. */

type Child = Node | string | number | null | undefined | false;
type Props = Record<string, unknown>;

/**
 * Makes an element. A property `class`, `data-…`, `aria-…`, `role` and the like becomes an attribute, `on…` a
 * listener; `false`, `null` and `undefined` leave it out, `true` sets it empty (`aria-…`: "true").
 */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) set(element, name, value);
  add(element, children);
  return element;
}

const SVG = "http://www.w3.org/2000/svg";

/** Makes an SVG element. */
export function s(tag: string, props: Props = {}, ...children: Child[]): SVGElement {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(props)) set(element, name, value);
  add(element, children);
  return element;
}

function set(element: Element, name: string, value: unknown): void {
  if (name.startsWith("on") && typeof value === "function") {
    element.addEventListener(name.slice(2).toLowerCase(), value as EventListener);
    return;
  }
  attribute(element, name, value);
}

function add(element: Element, children: Child[]): void {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/** Sets, changes or removes an attribute, and touches nothing where it stands already. */
export function attribute(element: Element, name: string, value: unknown): void {
  if (value === null || value === undefined || (value === false && !name.startsWith("aria-"))) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
    return;
  }
  const text = value === true && !name.startsWith("aria-") ? "" : String(value);
  if (element.getAttribute(name) !== text) element.setAttribute(name, text);
}

/** Sets a text where it differs. */
export function text(element: Element, value: string): void {
  if (element.textContent !== value) element.textContent = value;
}

/** An element of the page by its id. */
export function byId<T extends HTMLElement = HTMLElement>(id: string): T {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no #${id}`);
  return element as T;
}

/**
 * Keeps the children of a parent in step with items: an item's element is made once and then updated; order
 * is changed only where it differs, so focus and selection stay.
 */
export class Keyed<Item, Row extends { element: HTMLElement; update(item: Item): void }> {
  readonly rows = new Map<string, Row>();

  constructor(
    private readonly parent: HTMLElement,
    private readonly key: (item: Item) => string,
    private readonly make: (item: Item) => Row,
  ) {}

  show(items: readonly Item[]): void {
    const focused = this.parent.contains(document.activeElement) ? (document.activeElement as HTMLElement) : null;
    const wanted = new Set(items.map(this.key));
    for (const [key, row] of this.rows) {
      if (!wanted.has(key)) {
        row.element.remove();
        this.rows.delete(key);
      }
    }
    let at = this.parent.firstElementChild;
    for (const item of items) {
      const key = this.key(item);
      let row = this.rows.get(key);
      if (!row) {
        row = this.make(item);
        this.rows.set(key, row);
      }
      row.update(item);
      if (row.element === at) at = at.nextElementSibling;
      else this.parent.insertBefore(row.element, at);
    }
    // An element that is moved loses the focus.
    if (focused?.isConnected && focused !== document.activeElement) focused.focus({ preventScroll: true });
  }

  /** The keys of the rows that are shown, in their order. */
  get order(): string[] {
    const keys = new Map([...this.rows].map(([key, row]) => [row.element, key]));
    return [...this.parent.children].map((one) => keys.get(one as HTMLElement)).filter((key) => key !== undefined);
  }
}

/**
 * Arrow keys move through a list, which is one stop of the Tab key.
 *
 * @param list the element that holds the items.
 * @param selector which elements within are the items.
 */
export function roving(list: HTMLElement, selector: string): void {
  const items = () => [...list.querySelectorAll<HTMLElement>(selector)].filter((item) => item.offsetParent);
  const stop = (one: HTMLElement) => {
    for (const item of items()) attribute(item, "tabindex", item === one ? "0" : "-1");
  };
  list.addEventListener("focusin", (event) => {
    const item = (event.target as HTMLElement).closest<HTMLElement>(selector);
    if (item) stop(item);
  });
  list.addEventListener("keydown", (event) => {
    const all = items();
    const at = all.indexOf((event.target as HTMLElement).closest<HTMLElement>(selector) as HTMLElement);
    if (at < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    all[Math.max(0, Math.min(all.length - 1, to))]?.focus();
  });
}

/** Makes sure that exactly one item of a roving list can be reached by Tab. */
export function rovingStop(list: HTMLElement, selector: string): void {
  const items = [...list.querySelectorAll<HTMLElement>(selector)];
  const stops = items.filter((item) => item.tabIndex === 0);
  const keep = stops.find((item) => item === document.activeElement) ?? stops[0] ?? items[0];
  for (const item of items) attribute(item, "tabindex", item === keep ? "0" : "-1");
}
