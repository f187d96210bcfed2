// The table of methods: the legend of the curves, the means with their intervals, and what can be said against the best.

import { get, studyPath } from "../api.js";
import { h, keyed, put } from "../dom.js";
import { about, count, interval, number } from "../format.js";
import { breaking, swatch } from "./looks.js";
import { cell, figure, row, scrolled, type Head } from "./tables.js";
import type { Anytime, Comparison, MethodRow, StudyDetail } from "./answers.js";

interface Line {
  method: string;
  mean: number | null;
  ci95: [number | null, number | null] | null;
  rank: number | null;
  runs: number;
  trials: number;
  failed: number;
  test: number | null;
  against: string;
}

export class MethodsPanel {
  readonly element = h("section.panel.wide", { "aria-labelledby": "methods-heading" });
  private readonly body = h("tbody");
  private readonly head = h("thead");
  private readonly note = h("p.note");
  private readonly pairs = h("details", { hidden: true });
  private readonly pinned = new Set<string>();
  private pointed: (method: string | null) => void = () => undefined;
  private pin: (methods: Set<string>) => void = () => undefined;

  constructor(private readonly study: string) {
    const scroll = h("div.scroll", { tabindex: 0, role: "group", "aria-labelledby": "methods-heading" }, h("table.methods", {}, this.head, this.body));
    this.element.append(h("h2", { id: "methods-heading" }, "Methods"), scroll, this.note, this.pairs);
  }

  on(pointed: (method: string | null) => void, pin: (methods: Set<string>) => void): void {
    this.pointed = pointed;
    this.pin = pin;
  }

  highlight(method: string | null): void {
    for (const row of this.body.children) row.classList.toggle("pointed", row.getAttribute("data-key") === method);
  }

  async show(study: StudyDetail): Promise<void> {
    const comparison = await this.compared(study);
    this.draw(study, comparison ? fromComparison(comparison) : await this.fromCurves(study));
    const notes = comparison?.notes ?? [study.runs_complete < study.runs ? "Not all runs are complete: these are the values so far. Tests come with the comparison of complete runs." : ""];
    put(this.note, notes.join(" "));
    this.pairs.hidden = !comparison?.tests.length;
    if (comparison?.tests.length) this.drawPairs(comparison);
  }

  private draw(study: StudyDetail, lines: Line[]): void {
    this.drawHead(study, lines);
    keyed(this.body, lines, (line) => line.method, (line) => this.row(line.method, study), (row, line) => this.fill(row, line, lines));
  }

  private async compared(study: StudyDetail): Promise<Comparison | null> {
    try {
      const waiting = () => {
        if (this.body.children.length) return; // those shown before stay until the new ones are there
        put(this.note, "The comparison is being made …");
        void this.fromCurves(study).then((lines) => this.body.children.length || this.draw(study, lines));
      };
      const found = await get<Comparison>(`${studyPath(this.study)}/comparison`, { waiting });
      return found.methods.some((method) => method.mean !== null) ? found : null;
    } catch {
      return null; // it has nothing to compare yet; the curves say how far the methods are
    }
  }

  private async fromCurves(study: StudyDetail): Promise<Line[]> {
    let data: Anytime | null = null;
    try {
      data = await get<Anytime>(`${studyPath(this.study)}/anytime`, { query: { over: study.budget.unit } });
    } catch {
      data = null;
    }
    const lines = study.methods.map((method): Line => {
      const band = data?.methods.find((one) => one.method === method);
      const runs = study.run_list.filter((run) => run.method === method);
      const sum = (pick: (trials: Record<string, number>) => number) => runs.reduce((all, run) => all + pick(run.trials), 0);
      const all = (trials: Record<string, number>) => Object.values(trials).reduce((total, one) => total + one, 0);
      return { method, mean: band?.value ?? null, ci95: band ? [band.low.at(-1) ?? null, band.high.at(-1) ?? null] : null, rank: null, runs: runs.filter((r) => r.status !== "waiting").length, trials: sum(all), failed: sum((t) => t["failed"] ?? 0), test: null, against: "" };
    });
    const sign = study.mode === "max" ? -1 : 1;
    return lines.sort((a, b) => (a.mean === null ? Infinity : sign * a.mean) - (b.mean === null ? Infinity : sign * b.mean) || 0);
  }

  private drawHead(study: StudyDetail, lines: Line[]): void {
    const tested = lines.some((line) => line.test !== null);
    const ranked = lines.some((line) => line.rank !== null);
    const heads: [string, string][] = [["method", ""], [`mean ${study.metric}`, "number"], ["95% interval", "number"]];
    if (tested) heads.push(["on the test set", "number"]);
    if (ranked) heads.push(["mean rank", "number"]);
    heads.push(["runs", "number"], ["trials", "number"], ["failed", "number"]);
    if (ranked) heads.push(["against the best", ""]);
    const text = heads.map(([name]) => name).join("|");
    if (this.head.dataset["of"] === text) return;
    this.head.dataset["of"] = text;
    put(this.head, h("tr", {}, ...heads.map(([name, kind]) => h("th", { scope: "col", class: kind || null }, name))));
  }

  private row(method: string, study: StudyDetail): HTMLTableRowElement {
    const button = h("button.method", { type: "button", "aria-pressed": "false", title: "Show the runs of this method" }, swatch(study.looks, method), h("span", {}, ...breaking(method)));
    button.addEventListener("click", () => {
      if (!this.pinned.delete(method)) this.pinned.add(method);
      button.setAttribute("aria-pressed", String(this.pinned.has(method)));
      this.pin(new Set(this.pinned));
    });
    button.addEventListener("focus", () => this.pointed(method));
    button.addEventListener("blur", () => this.pointed(null));
    const row = h("tr", {}, h("th", { scope: "row" }, button));
    row.addEventListener("pointerenter", () => this.pointed(method));
    row.addEventListener("pointerleave", () => this.pointed(null));
    return row;
  }

  private fill(row: HTMLTableRowElement, line: Line, lines: Line[]): void {
    const tested = lines.some((one) => one.test !== null);
    const ranked = lines.some((one) => one.rank !== null);
    const cells: [string, boolean][] = [[number(line.mean), true], [interval(line.ci95), true]];
    if (tested) cells.push([number(line.test), true]);
    if (ranked) cells.push([number(line.rank, 3), true]);
    cells.push([count(line.runs), true], [count(line.trials), true], [count(line.failed), true]);
    if (ranked) cells.push([line.against, false]);
    while (row.children.length > cells.length + 1) row.lastElementChild?.remove();
    cells.forEach(([text, numeric], place) => {
      const cell = (row.children[place + 1] as HTMLTableCellElement | undefined) ?? row.insertCell();
      cell.className = numeric ? "number" : "against";
      put(cell, text);
    });
  }

  private drawPairs(comparison: Comparison): void {
    const heads: Head[] = [["pair"], ["difference", true], ["95% interval", true], ["p (Holm)", true], ["verdict"], [`more ${comparison.blocks}s needed`, true]];
    const rows = comparison.tests.map((test) => row(
      `${test.a} – ${test.b}`, figure(number(test.difference)), figure(interval(test.ci95)), figure(number(test.p_adjusted, 2)),
      cell(test.verdict.replace(/^a /, `${test.a} `).replace(/^b /, `${test.b} `)), figure(test.verdict === "undecided" ? count(test.more_blocks) : "–"),
    ));
    const open = this.pairs.open;
    put(this.pairs, h("summary", {}, comparison.tests.length === 1 ? "The pair" : `All ${count(comparison.tests.length)} pairs`), scrolled("All pairs of methods", heads, rows));
    this.pairs.open = open;
  }
}

function fromComparison(comparison: Comparison): Line[] {
  const sign = comparison.mode === "max" ? -1 : 1;
  const place = (row: MethodRow) => (row.mean === null ? Infinity : sign * row.mean);
  const rows = [...comparison.methods].sort((a, b) => place(a) - place(b));
  const best = rows[0]?.method ?? "";
  return rows.map((row) => ({
    method: row.method, mean: row.mean, ci95: row.ci95, rank: row.mean_rank, runs: row.runs + row.partial, trials: row.trials,
    failed: row.failed_trials, test: row.test_mean, against: row.method === best ? "best mean" : against(comparison, best, row.method),
  }));
}

// What the tests say of a method against the one with the best mean.
export function against(comparison: Comparison, best: string, method: string): string {
  const test = comparison.tests.find((one) => (one.a === best && one.b === method) || (one.a === method && one.b === best));
  if (!test) return "–";
  if (test.verdict === "equivalent") return "equivalent";
  if (test.verdict === "undecided") {
    const more = test.more_blocks;
    return more === null ? "undecided" : `undecided: ${about(more)} more ${comparison.blocks}s`;
  }
  const better = test.verdict === "a better" ? test.a : test.b;
  return `${better === best ? "worse" : "better"}${test.p_adjusted === null ? "" : `, p ${number(test.p_adjusted, 2)}`}`;
}
