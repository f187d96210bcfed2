// The columns of the trials table and what stands in their cells.

import { page, studyPath } from "../api.js";
import { h, put } from "../dom.js";
import { number } from "../format.js";
import type { Config } from "./config_text.js";
import type { Cell, Column } from "./answers.js";
import type { TableColumn } from "./virtual_table.js";

export interface TrialRow {
  cells: Record<string, Cell>;
}

const WIDTHS: Record<string, number> = {
  trial: 164, run: 150, method: 128, seed: 64, number: 84, status: 112, epochs: 82, best_epoch: 104, best_value: 112,
  kind: 92, reason: 340, worker: 150,
};
// What matters first; the run says method and seed, which stay as columns to filter by.
const FIRST = ["trial", "run", "status", "best_value", "epochs"];
const LAST = ["number", "best_epoch", "kind", "reason", "worker"];
const HIDDEN = ["method", "seed"];

export function tableColumns(columns: readonly Column[]): TableColumn[] {
  const named = new Map(columns.map((column) => [column.name, column]));
  const space = columns.filter((column) => column.hyperparameter);
  const rest = columns.filter((c) => !c.hyperparameter && ![...FIRST, ...LAST, ...HIDDEN].includes(c.name));
  const of = (names: string[]) => names.map((name) => named.get(name)).filter((column) => column !== undefined);
  return [...of(FIRST), ...space, ...of(LAST), ...rest].map((column) => ({
    name: column.name,
    label: column.label,
    width: WIDTHS[column.name] ?? Math.min(240, Math.max(100, 34 + column.label.length * 8)),
    numeric: column.kind === "whole" || column.kind === "real",
    title: column.hyperparameter ? `hyperparameter ${column.label}` : column.label,
  }));
}

export function toRow(columns: readonly Column[], cells: readonly Cell[]): TrialRow {
  return { cells: Object.fromEntries(columns.map((column, place) => [column.name, cells[place] ?? null])) };
}

export function rowKey(row: TrialRow): string {
  return `${row.cells["run"]}#${row.cells["number"]}`;
}

export function config(row: TrialRow, columns: readonly Column[]): Config {
  const mine = columns.filter((column) => column.hyperparameter && row.cells[column.name] !== null);
  return Object.fromEntries(mine.map((column) => [column.label, row.cells[column.name] ?? null]));
}

export function trialPage(study: string, trial: Cell): string {
  return page(`${studyPath(study)}/trials/${encodeURIComponent(String(trial))}`);
}

export function fillCell(study: string, row: TrialRow, column: TableColumn, element: HTMLElement): void {
  const value = row.cells[column.name] ?? null;
  if (column.name === "trial") {
    const known = element.querySelector("a");
    if (known?.textContent === String(value)) return;
    put(element, h("a.code", { href: trialPage(study, value), tabindex: -1 }, String(value)));
    return;
  }
  if (column.name === "status") {
    element.dataset["status"] = String(value);
    put(element, String(value ?? "–"));
    return;
  }
  put(element, shown(value));
  if (column.name === "reason") element.title = String(value ?? "");
}

export function shown(value: Cell): string {
  if (value === null) return "–";
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : number(value, 5);
  return String(value);
}
