// Tabs whose names stand in the address: the arrow keys move between them, a link opens one.

import { h, put } from "../dom.js";
import type { View } from "./view.js";

export interface Tab {
  name: string;
  label: string;
  panel: HTMLElement;
}

export class Tabs {
  readonly list = h("div.tabs", { role: "tablist", "aria-label": "Sections of the study" });
  readonly panels = h("div.tab-panels");
  private readonly buttons = new Map<string, HTMLAnchorElement>();

  constructor(private readonly tabs: Tab[], private readonly view: View) {
    for (const { name, label, panel } of tabs) {
      const button = h("a", { role: "tab", id: `tab-${name}`, href: `#${name}`, "aria-controls": `panel-${name}` }, label);
      button.addEventListener("click", (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        view.tab = name;
      });
      button.addEventListener("keydown", (event) => this.pressed(event));
      this.buttons.set(name, button);
      this.list.append(button);
      panel.id = `panel-${name}`;
      panel.setAttribute("role", "tabpanel");
      panel.setAttribute("aria-labelledby", button.id);
      this.panels.append(panel);
    }
    this.mark();
    new ResizeObserver(() => this.reveal()).observe(this.list); // it has no width before it is in the page
  }

  get current(): string {
    const wanted = this.view.tab;
    return this.buttons.has(wanted) ? wanted : this.tabs[0]!.name;
  }

  // Shows a number beside a tab's name; none for 0.
  badge(name: string, text: string): void {
    const tab = this.tabs.find((one) => one.name === name);
    const button = this.buttons.get(name);
    if (!tab || !button || button.dataset["badge"] === text) return;
    button.dataset["badge"] = text;
    put(button, tab.label, text ? h("span.badge", {}, text) : null);
  }

  mark(): void {
    const current = this.current;
    for (const { name, panel } of this.tabs) {
      const button = this.buttons.get(name)!;
      const mine = name === current;
      button.setAttribute("aria-selected", String(mine));
      button.tabIndex = mine ? 0 : -1;
      panel.hidden = !mine;
    }
    this.reveal();
  }

  private reveal(): void {
    this.list.scrollLeft = this.buttons.get(this.current)!.offsetLeft - this.list.clientWidth / 3;
  }

  private pressed(event: KeyboardEvent): void {
    const names = this.tabs.map((tab) => tab.name);
    const here = names.indexOf(this.current);
    const to = { ArrowRight: here + 1, ArrowLeft: here - 1, Home: 0, End: names.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const name = names[(to + names.length) % names.length]!;
    this.view.tab = name;
    this.buttons.get(name)?.focus();
  }
}
