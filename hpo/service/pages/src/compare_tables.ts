// The tables of a comparison: methods over tasks, each task's means, and every pair of methods.

import { h, type Child } from "./dom.js";
import { count, interval, number } from "./format.js";
import { lookKey } from "./looks.js";
import type { Comparison, Look, PairRow } from "./models.js";

const MOST = 10_000; // numbers above it say no more than that they are large

export function methodsTable(comparison: Comparison, looks: ReadonlyMap<string, Look>): HTMLElement {
  const several = comparison.tasks.length > 1;
  const rows = [...comparison.methods].sort((a, b) => (a.mean_rank ?? Infinity) - (b.mean_rank ?? Infinity));
  const aggregates = new Map(comparison.aggregates?.methods.map((one) => [one.method, one]));
  const exam = rows.some((row) => row.test_mean !== null);
  const head: Child[] = [column("method"), column("mean rank", true), column(`mean ${comparison.metric}`, true), column("95% interval", true)];
  if (several && aggregates.size) head.push(column("interquartile mean", true));
  if (exam) head.push(column("final exam", true));
  head.push(column("best", true), column("runs", true), column("trials", true), column("failed", true));
  const body = rows.map((row) => {
    const aggregate = aggregates.get(row.method);
    const cells: Child[] = [cell(row.mean_rank === null ? "–" : row.mean_rank.toFixed(2)), cell(number(row.mean)), cell(interval(row.ci95))];
    if (several && aggregates.size) cells.push(cell(aggregate ? `${number(aggregate.iqm, 3)} (${interval(aggregate.ci95, 3)})` : "–"));
    if (exam) cells.push(cell(number(row.test_mean)));
    const runs = row.partial ? `${count(row.runs)} + ${count(row.partial)} partial` : count(row.runs);
    cells.push(cell(number(row.best)), cell(runs), cell(count(row.trials)), cell(count(row.failed_trials)));
    return h("tr", {}, h("th", { scope: "row" }, lookKey(looks.get(row.method)), row.method), ...cells);
  });
  return section("methods", several ? `Methods over ${count(comparison.tasks.length)} tasks` : "Methods", head, body);
}

// A row a task, since a suite may have dozens of them; the best mean of each stands out.
export function tasksTable(comparison: Comparison, looks: ReadonlyMap<string, Look>): HTMLElement | null {
  const { tasks, methods, metric, mode } = comparison;
  if (tasks.length < 2) return null;
  const head = [column("task"), ...methods.map(({ method }) => h("th.number", { scope: "col" }, lookKey(looks.get(method)), method))];
  const body = tasks.map((task) => {
    const means = methods.map((row) => row.task_means[task] ?? null);
    const leader = best(means, mode);
    return h("tr", {}, h("th", { scope: "row" }, task), ...means.map((mean) => leading(mean, leader)));
  });
  return section("tasks", `Mean ${metric} by task`, head, body);
}

export function pairsTable(comparison: Comparison): HTMLElement | null {
  if (!comparison.tests.length) return null;
  const several = comparison.tasks.length > 1;
  const improvements = new Map(comparison.aggregates?.improvements.map((one) => [`${one.a}|${one.b}`, one]));
  const more = comparison.point === null ? `more ${comparison.blocks}s needed` : `more ${comparison.blocks}s needed for ${number(comparison.point, 3)}`;
  const head: Child[] = [column("methods"), column("verdict"), column("difference", true), column("95% interval", true), column("p adjusted", true), column("chances: better, equal, worse", true), column(more, true)];
  if (several && improvements.size) head.push(column("probability of improvement", true));
  const body = comparison.tests.map((test) => {
    const improvement = improvements.get(`${test.a}|${test.b}`);
    const chances = test.chances ? ["a better", "equivalent", "b better"].map((one) => Math.round(100 * (test.chances?.[one] ?? 0))).join(" · ") + "%" : "–";
    const cells: Child[] = [
      h("td", {}, said(test)), cell(signed(test.difference)), cell(interval(test.ci95)), cell(number(test.p_adjusted, 2)), cell(chances), cell(needed(test)),
    ];
    if (several && improvements.size) cells.push(cell(improvement ? number(improvement.probability, 2) : "–"));
    return h("tr", { class: decided(test) ? "decided" : null }, h("th", { scope: "row" }, `${test.a} − ${test.b}`), ...cells);
  });
  return section("pairs", "Every pair of methods", head, body);
}

function section(id: string, title: string, head: Child[], body: HTMLElement[]): HTMLElement {
  const table = h("table", {}, h("thead", {}, h("tr", {}, ...head)), h("tbody", {}, ...body));
  return h("section", { "aria-labelledby": `${id}-heading` }, h("h2", { id: `${id}-heading` }, title), h("div.scroll", { tabindex: "0", role: "region", "aria-label": `${title}, as a table` }, table));
}

function column(label: string, numeric = false): HTMLElement {
  return h("th", { scope: "col", class: numeric ? "number" : null }, label);
}

function cell(text: string): HTMLElement {
  return h("td.number", {}, text);
}

function leading(value: number | null, leader: number | null): HTMLElement {
  return value !== null && value === leader ? h("td.number.leader", {}, number(value)) : cell(number(value));
}

function best(values: (number | null)[], mode: "max" | "min"): number | null {
  const known = values.filter((value): value is number => value !== null);
  return known.length ? (mode === "max" ? Math.max(...known) : Math.min(...known)) : null;
}

function signed(value: number | null): string {
  return value === null ? "–" : `${value > 0 ? "+" : ""}${number(value, 3)}`;
}

function decided(test: PairRow): boolean {
  return test.verdict !== "undecided";
}

function said(test: PairRow): string {
  if (test.verdict === "a better") return `${test.a} better`;
  if (test.verdict === "b better") return `${test.b} better`;
  return test.verdict;
}

function needed(test: PairRow): string {
  if (test.more_blocks === null) return "–";
  const text = (value: number) => (value <= MOST ? count(value) : `over ${count(MOST)}`);
  const range = test.more_blocks_range;
  return range ? `${text(test.more_blocks)} (${text(range[0])} to ${text(range[1])})` : text(test.more_blocks);
}
