// The ledger: what each run may spend and was charged, to the epoch; the exams of the winners.

import { get, page, studyPath } from "../api.js";
import { h, keyed, put, vary } from "../dom.js";
import { count, duration, number } from "../format.js";
import { trouble } from "../frame.js";
import { methodName, type Looks } from "./looks.js";
import type { Exam, Ledger, LedgerRow, StudyDetail } from "./answers.js";

const BESIDE = 4; // metrics of an exam that fit beside the ledger
const MANY = 12; // runs that are shown one by one

interface Line extends LedgerRow {
  key: string;
  runs: number;
}

export class LedgerPanel {
  readonly element = h("section.panel", { "aria-labelledby": "ledger-heading" });
  private readonly problem = h("div", { hidden: true });
  private readonly said = h("p");
  private readonly body = h("tbody");
  private readonly each = h("input", { type: "checkbox" });
  private readonly choice = h("label.tick", {}, this.each, "Each run");
  private last: { ledger: Ledger; looks: Looks } | null = null;

  constructor(private readonly study: string) {
    this.each.addEventListener("change", () => this.draw());
    const heads = ["", "charged of the budget", "shared", "wasted", "training"];
    const table = h("table.ledger", {}, h("thead", {}, h("tr", {}, ...heads.map((name, place) => h("th", { scope: "col", class: place > 1 ? "number" : null }, name || "run")))), this.body);
    const key = h("p.legend-line.note", {}, h("span", {}, h("span.bar.charged", { "aria-hidden": "true" }), " charged"), h("span", {}, h("span.bar.shared", { "aria-hidden": "true" }), " of these, shared with other runs and trained once"));
    this.element.append(
      h("div.panel-head", {}, h("h2", { id: "ledger-heading" }, "Ledger"), this.choice), this.problem, this.said,
      h("div.scroll", { tabindex: 0, role: "group", "aria-labelledby": "ledger-heading" }, table), key,
    );
  }

  async show(study: StudyDetail): Promise<void> {
    try {
      const ledger = await get<Ledger>(`${studyPath(this.study)}/ledger`);
      trouble(this.problem, null);
      this.last = { ledger, looks: study.looks };
    } catch (error) {
      trouble(this.problem, error, () => void this.show(study));
      return;
    }
    this.choice.hidden = this.last.ledger.runs.length <= MANY;
    put(this.said, this.last.ledger.sentence);
    this.draw();
  }

  // Takes the whole width where nothing stands beside it.
  widen(wide: boolean): void {
    this.element.classList.toggle("wide", wide);
  }

  private draw(): void {
    if (!this.last) return;
    const { ledger, looks } = this.last;
    const single = this.each.checked || ledger.runs.length <= MANY;
    const lines = single ? ledger.runs.map((row) => ({ ...row, key: row.run, runs: 1 })) : folded(ledger.runs);
    keyed(this.body, lines, (line) => line.key, () => this.row(), (row, line) => this.fill(row, line, looks));
  }

  private row(): HTMLTableRowElement {
    const bar = h("span.meter", { "aria-hidden": "true" }, h("span.charged"), h("span.shared"));
    return h("tr", {}, h("th", { scope: "row" }), h("td", {}, bar, h("span.amount")), h("td.number"), h("td.number"), h("td.number"));
  }

  private fill(row: HTMLTableRowElement, line: Line, looks: Looks): void {
    const [head, charged, shared, wasted, time] = [...row.children] as [HTMLElement, HTMLElement, HTMLElement, HTMLElement, HTMLElement];
    if (head.dataset["of"] !== `${line.key}${line.runs}`) {
      head.dataset["of"] = `${line.key}${line.runs}`;
      put(head, methodName(looks, line.method), line.runs > 1 ? h("span.note", {}, ` ${line.runs} runs`) : line.key === line.run ? h("span.note", {}, ` seed ${line.seed}`) : null);
    }
    const share = line.budget ? Math.min(1, line.charged / line.budget) : 0;
    vary(charged.firstElementChild as HTMLElement, "--share", share);
    vary(charged.firstElementChild as HTMLElement, "--part", line.charged_epochs ? (share * line.shared_epochs) / line.charged_epochs : 0);
    put(charged.lastElementChild as HTMLElement, `${exact(line.charged)} of ${exact(line.budget)}`);
    charged.title = line.reason ?? "";
    put(shared, count(line.shared_epochs));
    put(wasted, count(line.wasted_epochs));
    put(time, duration(line.train_seconds));
  }
}

// Cut, never rounded up: what is not charged must not seem to be.
function exact(amount: number | null): string {
  return amount === null ? "–" : (Math.floor(amount * 100 + 1e-6) / 100).toLocaleString("en");
}

function folded(rows: readonly LedgerRow[]): Line[] {
  const found = new Map<string, Line>();
  for (const row of rows) {
    const line = found.get(row.method);
    if (!line) {
      found.set(row.method, { ...row, key: `method ${row.method}`, runs: 1 });
      continue;
    }
    line.runs += 1;
    line.budget = line.budget === null || row.budget === null ? null : line.budget + row.budget;
    for (const name of ["charged", "charged_epochs", "shared_epochs", "wasted_epochs"] as const) line[name] += row[name];
    line.train_seconds = (line.train_seconds ?? 0) + (row.train_seconds ?? 0);
  }
  return [...found.values()];
}

export class ExamsPanel {
  readonly element = h("section.panel", { "aria-labelledby": "exams-heading", hidden: true });
  private readonly body = h("tbody");
  private readonly head = h("thead");
  private readonly trouble = h("p.trouble", { hidden: true });
  private metrics: string[] = [];

  constructor(private readonly study: string) {
    const scroll = h("div.scroll.long", { tabindex: 0, role: "group", "aria-labelledby": "exams-heading" }, h("table", {}, this.head, this.body));
    const note = h("p.note", {}, "Each run's winner, tested once on data that no method saw: as it won, and trained anew.");
    this.element.append(h("h2", { id: "exams-heading" }, "Final exams"), this.trouble, scroll, note);
  }

  // Whether it has too many columns to stand beside the ledger.
  get broad(): boolean {
    return this.metrics.length > BESIDE;
  }

  show(study: StudyDetail): void {
    this.metrics = [...new Set(study.exams.flatMap((exam) => Object.keys(exam.metrics)))].slice(0, 8);
    this.element.hidden = !study.exams.length && !study.failed_exams;
    this.element.classList.toggle("wide", this.broad);
    this.trouble.hidden = !study.failed_exams;
    put(this.trouble, study.failed_exams ?? "");
    const heads = ["winner of", "exam", "epoch", ...this.metrics.map((name) => name.replace(/^test_/, "test "))];
    put(this.head, h("tr", {}, ...heads.map((name, place) => h("th", { scope: "col", class: place > 1 ? "number" : null }, name))));
    const winners = new Map<string, string[]>();
    for (const run of study.run_list) if (run.incumbent) winners.set(run.incumbent, [...(winners.get(run.incumbent) ?? []), run.run]);
    put(this.body, ...study.exams.map((exam) => this.row(exam, this.metrics, winners.get(exam.trial) ?? [])));
  }

  private row(exam: Exam, metrics: string[], runs: string[]): HTMLTableRowElement {
    const link = h("a", { href: page(`${studyPath(this.study)}/trials/${encodeURIComponent(exam.trial)}`) }, runs.length ? runs.slice(0, 3).join(", ") + (runs.length > 3 ? ` and ${runs.length - 3} more` : "") : exam.trial);
    const values = exam.reason ? [h("td", { colspan: metrics.length }, exam.reason)] : metrics.map((name) => h("td.number", {}, number(exam.metrics[name])));
    return h("tr", {}, h("th", { scope: "row" }, link), h("td", {}, exam.exam), h("td.number", {}, count(exam.epoch)), ...values);
  }
}
