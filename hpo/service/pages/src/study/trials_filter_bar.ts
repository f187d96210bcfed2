// Above the trials: a search, a form that adds a filter, and a sentence that says what is filtered, with a way back to all.

import { debounced, h, keyed, put } from "../dom.js";
import type { Column } from "./answers.js";
import type { View } from "./view.js";
import { said, sentence, word, written, type Filter, type Operator } from "./trials_filters.js";

const OF_NUMBERS: Operator[] = ["ge", "le", "gt", "lt", "eq", "ne"];
const OF_TEXTS: Operator[] = ["has", "eq", "ne"];
const OF_FEW: Operator[] = ["eq", "ne", "has"];

export class FilterBar {
  readonly element = h("div.trial-filters");
  private readonly search = h("input", { type: "search", placeholder: "Search all columns", "aria-label": "Search the trials", maxlength: 200 });
  private readonly column = h("select", { "aria-label": "Column" });
  private readonly operator = h("select", { "aria-label": "Comparison" });
  private readonly slot = h("span.slot");
  private readonly said = h("span");
  private readonly chips = h("ul.filter-chips", { "aria-label": "Filters" });
  private readonly clear = h("button.quiet", { type: "button" }, "Show all");
  private columns: Column[] = [];
  private value: HTMLInputElement | HTMLSelectElement = h("input");

  constructor(private readonly view: View) {
    const add = h("button", { type: "submit" }, "Add filter");
    const form = h("form.filter-form", { "aria-label": "Add a filter" }, this.column, this.operator, this.slot, add);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.add();
    });
    this.column.addEventListener("change", () => this.offer());
    this.search.value = view.text("search");
    const searched = debounced(() => view.set({ search: this.search.value.trim() }), 250);
    this.search.addEventListener("input", searched);
    this.clear.addEventListener("click", () => {
      this.search.value = "";
      view.set({ search: "", where: [] });
      this.search.focus();
    });
    this.element.append(h("div.filter-line", {}, this.search, form), h("p.filtered", {}, this.said, " ", this.clear), this.chips);
    this.offer();
  }

  setColumns(columns: Column[]): void {
    if (JSON.stringify(columns.map((c) => [c.name, c.values])) === JSON.stringify(this.columns.map((c) => [c.name, c.values]))) {
      this.columns = columns;
      return;
    }
    this.columns = columns;
    const chosen = this.column.value;
    const option = (column: Column) => h("option", { value: column.name }, column.label);
    put(
      this.column,
      h("optgroup", { label: "Result" }, ...columns.filter((c) => !c.hyperparameter).map(option)),
      h("optgroup", { label: "Hyperparameters" }, ...columns.filter((c) => c.hyperparameter).map(option)),
    );
    this.column.value = chosen || "status";
    if (document.activeElement !== this.value) this.offer();
  }

  label(name: string): string {
    return this.columns.find((column) => column.name === name)?.label ?? name;
  }

  // Says what is filtered, and answers the sentence.
  say(matched: number, total: number): string {
    const filters = this.view.filters;
    const search = this.view.text("search");
    const text = sentence(matched, total, filters, search, (name) => this.label(name));
    put(this.said, text);
    this.clear.hidden = !filters.length && !search;
    if (document.activeElement !== this.search) this.search.value = search;
    const all = said(filters, (name) => this.label(name));
    this.chips.hidden = !all.length;
    keyed(
      this.chips,
      all,
      (one) => one.filters.map(written).join("|"),
      (one) => h("li", {}, h("button.chip", { type: "button", "aria-label": `Remove: ${one.text}`, onclick: () => this.remove(one.filters) }, one.text, h("span", { "aria-hidden": "true" }, " ×"))),
      () => undefined,
    );
    return text;
  }

  private remove(filters: Filter[]): void {
    const gone = new Set(filters.map(written));
    this.view.filters = this.view.filters.filter((filter) => !gone.has(written(filter)));
    this.search.focus();
  }

  private offer(): void {
    const column = this.columns.find((one) => one.name === this.column.value);
    const numeric = column?.kind === "whole" || column?.kind === "real";
    const operators = numeric ? OF_NUMBERS : column?.values ? OF_FEW : OF_TEXTS;
    put(this.operator, ...operators.map((one) => h("option", { value: one }, word(one))));
    if (column?.values && !numeric) {
      this.value = h("select", { "aria-label": "Value" }, ...column.values.map((value) => h("option", { value: String(value) }, String(value))));
    } else {
      this.value = h("input", {
        "aria-label": "Value", maxlength: 200, required: true, size: 10, placeholder: numeric ? around(column) : "text",
        ...(numeric ? { type: "number", step: "any" } : { type: "text" }),
      });
    }
    put(this.slot, this.value);
  }

  private add(): void {
    const value = this.value.value.trim();
    if (!value) return;
    const filter: Filter = { column: this.column.value, operator: this.operator.value as Operator, value };
    const others = this.view.filters.filter((one) => one.column !== filter.column || one.operator !== filter.operator);
    this.view.filters = [...others, filter];
    if (this.value instanceof HTMLInputElement) this.value.value = "";
  }
}

function around(column: Column): string {
  return column.low !== null && column.high !== null ? `${Number(column.low.toPrecision(3))} … ${Number(column.high.toPrecision(3))}` : "number";
}
