// Small tables that scroll sideways where they are wide, and can be reached by the keyboard then.

import { h, type Child } from "../dom.js";

export type Head = [name: string, numeric?: boolean];

// A table in a frame of its own. `label`: for who does not see it, or "#id" of the heading that says it. long: with an end to its height.
export function scrolled(label: string, heads: Head[], rows: HTMLTableRowElement[], long = false): HTMLElement {
  const named: Record<string, string> = label.startsWith("#") ? { "aria-labelledby": label.slice(1) } : { "aria-label": label };
  const head = heads.map(([name, numeric]) => h("th", { scope: "col", class: numeric ? "number" : null }, name));
  const table = h("table", {}, h("thead", {}, h("tr", {}, ...head)), h("tbody", {}, ...rows));
  return h(long ? "div.scroll.long" : "div.scroll", { tabindex: 0, role: "group", ...named }, table);
}

export function row(first: Child | Child[], ...cells: HTMLTableCellElement[]): HTMLTableRowElement {
  return h("tr", {}, h("th", { scope: "row" }, ...(Array.isArray(first) ? first : [first])), ...cells);
}

export function cell(...children: Child[]): HTMLTableCellElement {
  return h("td", {}, ...children);
}

export function figure(text: string): HTMLTableCellElement {
  return h("td.number", {}, text);
}
