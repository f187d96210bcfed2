// The studies of the store: filters in the address, rows that change in place, and a selection to compare.

import { get, isAbort, page, studyPath } from "./api.js";
import { announce, byId, debounced, h, keyed, put } from "./dom.js";
import { listen } from "./events.js";
import { count, counted } from "./format.js";
import { frame, me, trouble } from "./frame.js";
import type { Studies, Summary } from "./models.js";
import { keys } from "./studies_keys.js";
import { emptyStore, noneMatches } from "./studies_empty.js";
import { filters, type Filters } from "./studies_filters.js";
import { changeRow, heading, makeRow, type RowActions } from "./studies_row.js";

const PAGE = 100;

class StudiesPage {
  private shown: string[] = []; // in the order of the last answer: live changes do not move rows under the reader's hand
  private readonly summaries = new Map<string, Summary>();
  private readonly chosen = new Set<string>();
  private next: string | null = null;
  private total = 0;
  private asking: AbortController | null = null;

  private readonly place = byId("studies");
  private readonly rows = h("tbody", { role: "rowgroup" });
  private readonly table: HTMLTableElement;
  private readonly instead = h("div", { hidden: true });
  private readonly problem = h("div", { hidden: true });
  private readonly more = h("button", { type: "button", hidden: true, onclick: () => void this.goOn() }, "Show more");
  private readonly compare = h("a.button", { href: page("/compare") });
  private readonly filters: Filters;
  private readonly keys: HTMLElement;
  private readonly actions: RowActions = {
    chosen: (study) => this.chosen.has(study),
    choose: (study, chosen) => this.choose(study, chosen),
  };

  constructor() {
    this.filters = filters(() => void this.load());
    this.keys = keys(this.rows, this.filters.search);
    const head = heading(this.filters);
    this.table = h("table.studies", { role: "table", "aria-label": "Studies" }, head.element, this.rows);
    this.filters.onchange(head.refresh);
    this.place.append(this.filters.element, this.problem, h("div", {}, this.table), this.instead, this.more, this.keys);
    byId("actions").append(this.compare);
    void me().then((who) => {
      if (who.can.includes("run")) byId("actions").append(h("a.button.primary", { href: page("/submit") }, "New study"));
    });
    this.showChosen();
    new IntersectionObserver((seen) => {
      if (seen.some((entry) => entry.isIntersecting)) void this.goOn();
    }, { rootMargin: "600px" }).observe(this.more);
  }

  start(): void {
    const afresh = debounced(() => void this.load(), 400);
    void this.load();
    listen("/events", { summary: (data) => this.changed(data as Summary, afresh) }, afresh);
  }

  // Asks for the list from its beginning, as the filters want it.
  private async load(): Promise<void> {
    this.asking?.abort();
    const asking = (this.asking = new AbortController());
    this.table.setAttribute("aria-busy", "true");
    try {
      const limit = Math.min(500, Math.max(PAGE, this.shown.length));
      const answer = await get<Studies>("/studies", { query: { ...this.filters.query(), limit }, signal: asking.signal });
      this.shown = [];
      this.take(answer);
      this.filters.offer(answer);
      trouble(this.problem, null);
    } catch (error) {
      if (!isAbort(error)) trouble(this.problem, error, () => void this.load());
    }
    this.table.removeAttribute("aria-busy");
  }

  private async goOn(): Promise<void> {
    const cursor = this.next;
    if (cursor === null) return;
    this.next = null; // asked for once
    try {
      this.take(await get<Studies>("/studies", { query: { ...this.filters.query(), limit: PAGE, cursor } }));
    } catch (error) {
      this.next = cursor;
      trouble(this.problem, error, () => void this.goOn());
    }
  }

  private take(answer: Studies): void {
    for (const summary of answer.studies) {
      this.summaries.set(summary.study, summary);
      if (!this.shown.includes(summary.study)) this.shown.push(summary.study);
    }
    this.total = answer.total;
    this.next = answer.next;
    this.draw();
  }

  // A study of the list changes in place; a new one, or one that is put away, asks for the list again.
  private changed(summary: Summary, afresh: () => void): void {
    const before = this.summaries.get(summary.study);
    this.summaries.set(summary.study, summary);
    if (before && before.state.word !== summary.state.word) {
      announce(`${summary.study}: ${summary.state.word}`);
      afresh();
    } else if (!before || before.archived !== summary.archived) afresh();
    const row = this.shown.includes(summary.study) ? this.rows.querySelector(`tr[data-key="${CSS.escape(summary.study)}"]`) : null;
    if (row) changeRow(row as HTMLTableRowElement, summary, this.actions);
  }

  private draw(): void {
    const summaries = this.shown.flatMap((study) => this.summaries.get(study) ?? []);
    keyed(this.rows, summaries, (one) => one.study, (one) => makeRow(one, this.actions), (row, one) => changeRow(row, one, this.actions));
    this.table.hidden = !summaries.length;
    this.table.classList.toggle("unowned", summaries.every((one) => !one.owner)); // a column of nothing says nothing
    this.keys.hidden = !summaries.length;
    this.instead.hidden = summaries.length > 0;
    if (!summaries.length) {
      if (this.filters.active()) put(this.instead, noneMatches(() => this.filters.clear()));
      else void me().then((who) => put(this.instead, emptyStore(who)));
    }
    this.filters.element.hidden = !summaries.length && !this.filters.active();
    this.more.hidden = this.next === null;
    put(byId("matched"), summaries.length < this.total ? `${count(summaries.length)} of ${counted(this.total, "study", "studies")}` : counted(this.total, "study", "studies"));
  }

  private choose(study: string, chosen: boolean): void {
    if (chosen) this.chosen.add(study);
    else this.chosen.delete(study);
    this.showChosen();
  }

  private showChosen(): void {
    const names = [...this.chosen];
    this.compare.hidden = !names.length;
    this.compare.href = names.length === 1 ? page(studyPath(names[0] as string)) : page("/compare", { study: names });
    put(this.compare, names.length === 1 ? "1 selected: choose another to compare" : `Compare ${names.length} selected`);
    this.compare.classList.toggle("primary", names.length > 1);
  }
}

frame();
new StudiesPage().start();
