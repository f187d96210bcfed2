// Small helpers that build elements. Text is always set as text: nothing here or in the pages parses markup.

export type Child = Node | string | number | null | undefined | false;
type Value = string | number | boolean | null | undefined | ((event: never) => void);

// h("a.name", {href: "...", "aria-label": "..."}, "text", child): an element with its classes, attributes and children.
// `onclick` and the like take functions; true sets an attribute without a value; false, null and undefined leave it out.
export function h<K extends keyof HTMLElementTagNameMap>(
  name: K | `${K}.${string}`,
  attributes: Record<string, Value> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag as K);
  if (classes.length) element.className = classes.join(" ");
  return fill(element, attributes, children);
}

// The same for SVG.
export function s<K extends keyof SVGElementTagNameMap>(
  name: K,
  attributes: Record<string, Value> = {},
  ...children: Child[]
): SVGElementTagNameMap[K] {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function fill<E extends Element>(element: E, attributes: Record<string, Value>, children: Child[]): E {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value as EventListener);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...kept(children));
  return element;
}

function kept(children: Child[]): (Node | string)[] {
  return children
    .filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : String(child)));
}

// The element with this id, which the shell holds.
export function byId<E extends HTMLElement = HTMLElement>(id: string): E {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no element #${id}`);
  return found as E;
}

// Replaces what an element holds, and only if the text would change where `children` is one text.
export function put(element: Element, ...children: Child[]): void {
  const [only] = children;
  if (children.length === 1 && typeof only === "string") {
    if (element.textContent !== only || element.childElementCount) element.textContent = only;
    return;
  }
  element.replaceChildren(...kept(children));
}

// Brings the children of `parent` in line with `items`: an element a key, made once, changed in place, moved only when
// its neighbour differs, so that focus, selection and scrolling stay.
export function keyed<T, E extends Element>(
  parent: Element,
  items: readonly T[],
  key: (item: T) => string,
  make: (item: T) => E,
  change: (element: E, item: T) => void,
): void {
  const known = new Map<string, E>();
  for (const child of [...parent.children]) known.set(child.getAttribute("data-key") ?? "", child as E);
  const wanted = new Set(items.map(key));
  for (const [name, child] of known) if (!wanted.has(name)) child.remove();
  let next = parent.firstElementChild;
  for (const item of items) {
    const name = key(item);
    let element = known.get(name);
    if (!element) {
      element = make(item);
      element.setAttribute("data-key", name);
    }
    change(element, item);
    if (element === next) next = next.nextElementSibling;
    else parent.insertBefore(element, next);
  }
}

// Calls `action` once `wait` milliseconds have passed without another call.
export function debounced<A extends unknown[]>(action: (...given: A) => void, wait: number): (...given: A) => void {
  let timer = 0;
  return (...given: A) => {
    window.clearTimeout(timer);
    timer = window.setTimeout(() => action(...given), wait);
  };
}

// Sets a custom property of CSS, such as the share that a bar fills; style attributes are not needed.
export function vary(element: HTMLElement | SVGElement, name: string, value: string | number): void {
  element.style.setProperty(name, String(value));
}

// Says a sentence to screen readers, once: for changes of state, never for figures.
export function announce(sentence: string): void {
  put(byId("announcements"), sentence);
}

// A button that copies text, and says so.
export function copyButton(text: () => string, label = "Copy"): HTMLButtonElement {
  const button = h("button.quiet", { type: "button" }, label);
  button.addEventListener("click", () => {
    void copied(text()).then((done) => {
      put(button, done ? "Copied" : "Press Ctrl+C");
      announce(done ? "Copied" : "Copying is not allowed here: select the text and press Ctrl+C");
      window.setTimeout(() => put(button, label), 1600);
    });
  });
  return button;
}

async function copied(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = h("textarea.aside", { "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy"); // plain HTTP beyond this machine has no clipboard
    area.remove();
    return done;
  }
}
