// The trials of a study: filtered, sorted and paged by the service, however many there are.

import { get, isAbort, studyPath } from "../api.js";
import { asPython, asYaml } from "./config_text.js";
import { announce, copyButton, h, put } from "../dom.js";
import { counted } from "../format.js";
import { trouble } from "../frame.js";
import type { Column, Trials } from "./answers.js";
import type { View } from "./view.js";
import { config, fillCell, rowKey, tableColumns, toRow, trialPage, type TrialRow } from "./trials_cells.js";
import { FilterBar } from "./trials_filter_bar.js";
import { written } from "./trials_filters.js";
import { VirtualTable } from "./virtual_table.js";

export class TrialsPanel {
  readonly element = h("section.trials", { "aria-label": "Trials" });
  readonly filters: FilterBar;
  columns: Column[] = [];
  private readonly table: VirtualTable<TrialRow>;
  private readonly chosen = h("div.selection", { hidden: true });
  private readonly problem = h("div", { hidden: true });
  private readonly none = h("p.note", { hidden: true }, "No trial yet: the first one appears here as soon as its first epoch is charged.");
  private readonly keys: HTMLElement;
  private readonly wait = h("p.wait", {}, "The trials are being read …");
  private asked = "";
  private tell = false;
  private readonly waiting: ((columns: Column[]) => void)[] = [];
  private readonly selections: ((trials: Set<string>) => void)[] = [];

  constructor(private readonly study: string, private readonly view: View) {
    this.filters = new FilterBar(view);
    this.table = new VirtualTable<TrialRow>({
      label: "Trials of all runs",
      source: (offset, limit, signal) => this.source(offset, limit, signal),
      key: rowKey,
      cell: (row, column, element) => fillCell(study, row, column, element),
      sorted: () => this.sort,
      sort: (name) => view.set({ sort: name || "number" }),
      open: (row, aside) => window.open(trialPage(study, row.cells["trial"] ?? ""), aside ? "_blank" : "_self", aside ? "noopener" : ""),
      selected: (rows) => this.select(rows),
      trouble: (error) => {
        this.wait.hidden = true;
        if (!isAbort(error)) trouble(this.problem, error, () => this.table.reload());
      },
    });
    this.keys = h("p.note", {}, "A trial that several runs asked for has a row for each. Arrow keys move, Space selects, Enter opens a trial or sorts by a heading.");
    this.element.append(this.filters.element, this.problem, this.chosen, this.table.element, this.keys, this.none, this.wait);
    this.reveal(0);
  }

  get sort(): string {
    return this.view.text("sort") || "-best_value";
  }

  // Runs with the columns once they are known.
  known(action: (columns: Column[]) => void): void {
    if (this.columns.length) action(this.columns);
    else this.waiting.push(action);
  }

  onselect(action: (trials: Set<string>) => void): void {
    this.selections.push(action);
  }

  // Asks again: where the filters are others for the top, where the study has changed for the same place.
  show(mode: "max" | "min"): void {
    if (!this.view.text("sort") && mode === "min") this.view.set({ sort: "best_value" });
    const asked = JSON.stringify(this.query());
    const afresh = asked !== this.asked;
    this.tell = afresh && this.asked !== "";
    this.asked = asked;
    this.table.reload(afresh);
  }

  // A table of nothing is no table.
  private reveal(total: number): void {
    for (const part of [this.filters.element, this.table.element, this.keys]) part.hidden = !total;
  }

  private query(): Record<string, string | string[]> {
    return { where: this.view.filters.map(written), search: this.view.text("search"), sort: this.sort };
  }

  private async source(offset: number, limit: number, signal: AbortSignal): Promise<{ matched: number; rows: TrialRow[] }> {
    const query = { ...this.query(), offset, limit };
    const found = await get<Trials>(`${studyPath(this.study)}/trials`, { query, signal });
    this.columns = found.columns;
    this.filters.setColumns(found.columns);
    this.table.setColumns(tableColumns(found.columns));
    this.reveal(found.total);
    this.none.hidden = found.total > 0;
    this.wait.hidden = true;
    const text = this.filters.say(found.matched, found.total);
    if (this.tell) announce(text);
    this.tell = false;
    trouble(this.problem, null);
    for (const action of this.waiting.splice(0)) action(found.columns);
    return { matched: found.matched, rows: found.rows.map((cells) => toRow(found.columns, cells)) };
  }

  private select(rows: Map<string, TrialRow>): void {
    const trials = new Set([...rows.values()].map((row) => String(row.cells["trial"])));
    for (const action of this.selections) action(trials);
    this.chosen.hidden = !rows.size;
    if (!rows.size) return;
    const all = [...rows.values()];
    const texts = (write: (values: ReturnType<typeof config>) => string) => () =>
      all.map((row) => `# trial ${row.cells["trial"]}\n${write(config(row, this.columns))}`).join("\n");
    const curves = h("button.quiet", { type: "button" }, "Show learning curves");
    curves.addEventListener("click", () => {
      this.view.set({ trial: [...trials].slice(0, 40) });
      this.view.tab = "curves";
    });
    const none = h("button.quiet", { type: "button" }, "Select none");
    none.addEventListener("click", () => {
      this.table.clearSelection();
      this.table.element.focus();
    });
    put(this.chosen, h("span", {}, `${counted(rows.size, "row")} selected`), curves, copyButton(texts(asYaml), "Copy as YAML"), copyButton(texts(asPython), "Copy as Python"), none);
  }
}
