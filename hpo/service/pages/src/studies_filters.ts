// Search, filters and order of the list of studies. The address holds them: links and the back button work.

import type { Query } from "./api.js";
import { debounced, h, put } from "./dom.js";
import { count } from "./format.js";
import type { Studies, Word } from "./models.js";
import { stateIcon, WORDS } from "./state.js";

const FILTERS = ["q", "state", "owner", "suite", "archived"];
export const NEWEST = "-updated";

export interface Filters {
  element: HTMLElement;
  search: HTMLInputElement;
  query(): Query;
  active(): boolean; // whether anything is left out
  clear(): void;
  offer(answer: Studies): void; // which states, owners and suites there are
  sort(): string;
  order(sort: string): void;
  onchange(then: () => void): void;
}

export function filters(load: () => void): Filters {
  const address = () => new URLSearchParams(location.search);
  const watchers: (() => void)[] = [];
  const search = h("input", { type: "search", id: "search", placeholder: "Search names, owners, tasks", autocomplete: "off" });
  const chips = h("div.chips", { role: "group", "aria-label": "States" });
  const owner = choice("owner", "owners");
  const suite = choice("suite", "suites");
  const archived = h("input", { type: "checkbox", id: "archived" });
  const buttons = new Map<Word, HTMLButtonElement>();

  // `keep`: typing replaces the entry of the history, a choice makes a new one.
  const change = (edit: (query: URLSearchParams) => void, keep = false) => {
    const query = address();
    edit(query);
    const text = query.toString();
    history[keep ? "replaceState" : "pushState"](null, "", text ? `?${text}` : location.pathname);
    show();
    load();
  };
  const set = (name: string, value: string, keep = false) =>
    change((query) => (value ? query.set(name, value) : query.delete(name)), keep);

  for (const word of WORDS) {
    const button = h("button.chip-button", { type: "button", "aria-pressed": "false", "data-word": word });
    button.addEventListener("click", () =>
      change((query) => {
        const had = query.getAll("state");
        query.delete("state");
        for (const one of had.includes(word) ? had.filter((other) => other !== word) : [...had, word]) query.append("state", one);
      }),
    );
    put(button, stateIcon(word), h("span", {}, word), h("span.count"));
    buttons.set(word, button);
    chips.append(button);
  }
  search.addEventListener("input", debounced(() => set("q", search.value.trim(), true), 200));
  owner.select.addEventListener("change", () => set("owner", owner.select.value));
  suite.select.addEventListener("change", () => set("suite", suite.select.value));
  archived.addEventListener("change", () => set("archived", archived.checked ? "1" : ""));

  const show = () => {
    const query = address();
    if (document.activeElement !== search) search.value = query.get("q") ?? "";
    for (const [word, button] of buttons) button.setAttribute("aria-pressed", String(query.getAll("state").includes(word)));
    owner.show(query.get("owner") ?? "");
    suite.show(query.get("suite") ?? "");
    archived.checked = query.has("archived");
    for (const watch of watchers) watch();
  };
  window.addEventListener("popstate", () => {
    show();
    load();
  });

  const element = h(
    "form.filters",
    { role: "search", onsubmit: (event: Event) => event.preventDefault() },
    h("label.aside", { for: "search" }, "Search"),
    search,
    chips,
    owner.element,
    suite.element,
    h("span.check", {}, archived, h("label", { for: "archived" }, "Archived")),
  );
  show();
  return {
    element,
    search,
    query: () => {
      const query = address();
      return {
        search: query.get("q"),
        state: query.getAll("state"),
        owner: query.get("owner"),
        suite: query.get("suite"),
        archived: query.has("archived") ? "true" : null,
        sort: query.get("sort") ?? NEWEST,
      };
    },
    active: () => FILTERS.some((name) => address().has(name)),
    clear: () => change((query) => FILTERS.forEach((name) => query.delete(name))),
    offer: (answer) => {
      for (const [word, button] of buttons) {
        const number = answer.counts?.[word];
        button.hidden = answer.counts !== undefined && !number && button.getAttribute("aria-pressed") !== "true";
        put(button.lastElementChild as Element, number ? count(number) : "");
      }
      owner.offer(answer.owners ?? []);
      suite.offer(answer.suites ?? []);
    },
    sort: () => address().get("sort") ?? NEWEST,
    order: (sort) => set("sort", sort === NEWEST ? "" : sort),
    onchange: (then) => watchers.push(then),
  };
}

// A choice of one value or of all; hidden where there is nothing to choose.
function choice(name: string, plural: string) {
  const select = h("select", { id: name }, h("option", { value: "" }, `All ${plural}`));
  const element = h("span", { hidden: true }, h("label.aside", { for: name }, name[0]!.toUpperCase() + name.slice(1)), select);
  const show = (value: string) => {
    if (value && ![...select.options].some((option) => option.value === value)) select.append(h("option", { value }, value));
    select.value = value;
    if (value) element.hidden = false;
  };
  const offer = (values: string[]) => {
    const now = select.value;
    select.replaceChildren(h("option", { value: "" }, `All ${plural}`), ...values.map((value) => h("option", { value }, value)));
    element.hidden = values.length < 2 && !now;
    show(now);
  };
  return { element, select, show, offer };
}
