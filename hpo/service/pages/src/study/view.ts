// What is being looked at: the tab in the address's hash, filters and choices in its query, so that a link shows the same.

import { parsed, written, type Filter } from "./trials_filters.js";

export class View {
  private readonly listeners = new Set<() => void>();

  constructor() {
    const changed = () => this.tell();
    window.addEventListener("popstate", changed);
    window.addEventListener("hashchange", changed);
  }

  onchange(listener: () => void): void {
    this.listeners.add(listener);
  }

  get tab(): string {
    return decodeURIComponent(location.hash.slice(1));
  }

  set tab(name: string) {
    if (name === this.tab) return;
    history.pushState(null, "", `${location.pathname}${location.search}#${name}`);
    this.tell();
  }

  text(name: string): string {
    return new URLSearchParams(location.search).get(name) ?? "";
  }

  all(name: string): string[] {
    return new URLSearchParams(location.search).getAll(name);
  }

  get filters(): Filter[] {
    return this.all("where").map(parsed).filter((filter) => filter !== null);
  }

  set filters(filters: readonly Filter[]) {
    this.set({ where: filters.map(written) });
  }

  // Changes choices in place: the way back leads to the tab or page before, not to every choice.
  set(choices: Record<string, string | readonly string[]>): void {
    const query = new URLSearchParams(location.search);
    for (const [name, value] of Object.entries(choices)) {
      query.delete(name);
      for (const one of typeof value === "string" ? [value] : value) if (one) query.append(name, one);
    }
    const text = query.toString();
    if (`?${text}` === location.search || (!text && !location.search)) return;
    history.replaceState(null, "", `${location.pathname}${text ? `?${text}` : ""}${location.hash}`);
    this.tell();
  }

  private tell(): void {
    for (const listener of this.listeners) listener();
  }
}
