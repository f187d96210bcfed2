// The record: how the study was made and how to make it again.

import { get, page, studyPath } from "../api.js";
import { copyButton, h, put } from "../dom.js";
import { clock, counted, moment, number, roughly } from "../format.js";
import { trouble } from "../frame.js";
import type { Definition, Plan, StudyDetail } from "./answers.js";

export class RecordPanel {
  readonly element = h("section.panel.wide", { "aria-labelledby": "record-heading" });
  private readonly problem = h("div", { hidden: true });
  private readonly content = h("div.record");
  private shown = "";

  constructor(private readonly study: string) {
    this.element.append(h("h2", { id: "record-heading" }, "Record"), this.problem, this.content);
  }

  async show(study: StudyDetail): Promise<void> {
    try {
      const [definition, plan] = await Promise.all([
        get<Definition>(`${studyPath(this.study)}/definition`),
        get<Plan>(`${studyPath(this.study)}/plan`).catch(() => null), // a definition of an earlier version may have none
      ]);
      trouble(this.problem, null);
      const key = JSON.stringify([definition, plan, study.job]);
      if (key === this.shown) return;
      this.shown = key;
      this.draw(definition, plan, study);
    } catch (error) {
      trouble(this.problem, error, () => void this.show(study));
    }
  }

  private draw(definition: Definition, plan: Plan | null, study: StudyDetail): void {
    const open = new Set([...this.content.querySelectorAll("details[open]")].map((one) => (one as HTMLElement).dataset["name"]));
    const folded = (name: string, label: string, ...children: HTMLElement[]) => h("details", { "data-name": name, open: open.has(name) }, h("summary", {}, label), ...children);
    const job = study.job ? h("p", {}, "Job ", h("a", { href: page(`/jobs/${encodeURIComponent(study.job.id)}`) }, study.job.id), ", ", h("a", { href: study.job.page, rel: "noopener noreferrer", target: "_blank" }, "on the Ray dashboard")) : null;
    const environment = Object.entries(definition.environment);
    const parts: (HTMLElement | null)[] = [
      h("h3", {}, "The command that repeats it"), block(definition.command, "Command"), job,
      definition.warnings.length ? h("div.trouble", {}, ...definition.warnings.map((text) => h("p", {}, text))) : null,
      plan ? h("h3", {}, "Plan") : null, plan ? pairs(plan.rows) : null, plan?.note ? h("p.note", {}, plan.note) : null, plan?.estimate ? h("p.note", {}, estimated(plan.estimate)) : null,
      h("h3", {}, "Last lines of the log"), definition.journal.length ? block(definition.journal.map(legible).join("\n"), "Log") : h("p.note", {}, "The driver has written no line."),
      folded("definition", "Definition as a study file", block(definition.yaml, "Definition")),
      folded("environment", "Environment", pairs(environment.map(([name, value]) => [name, typeof value === "object" ? JSON.stringify(value) : String(value)]))),
      h("p.note", {}, "Digest of the definition ", h("code", {}, definition.digest)),
    ];
    put(this.content, ...parts);
  }
}

// A line of the driver's log as people read it: when, what, and what goes with it.
export function legible(line: string): string {
  try {
    const { time, event, ...facts } = JSON.parse(line) as { time: number; event: string } & Record<string, unknown>;
    const told = Object.entries(facts).filter(([, value]) => value !== "" && value !== null).map(([name, value]) => `${name.replaceAll("_", " ")} ${shown(value)}`);
    return `${moment(time)}:${clock(time).slice(-2)}  ${event}${told.length ? `: ${told.join(", ")}` : ""}`;
  } catch {
    return line;
  }
}

function shown(value: unknown): string {
  if (typeof value === "number") return number(value);
  if (typeof value === "string") return value;
  if (Array.isArray(value)) return value.map(shown).join(" ");
  const values = Object.values(value as object);
  if (values.length > 4 && values.every((one) => typeof one === "number")) return `${number(values.reduce((sum, one) => sum + (one as number), 0))} in ${values.length}`; // such as of each run
  return `(${Object.entries(value as object).map(([name, one]) => `${name} ${shown(one)}`).join(", ")})`;
}

function estimated(estimate: NonNullable<Plan["estimate"]>): string {
  const parts = [`at most ${counted(estimate.epochs, "epoch")}`];
  if (estimate.seconds !== null) parts.push(`about ${roughly(estimate.seconds)}`);
  if (estimate.gpu_hours !== null) parts.push(`${number(estimate.gpu_hours, 2)} GPU hours`);
  return `As planned: ${parts.join(", ")}.`;
}

function pairs(rows: [string, string][]): HTMLElement {
  return h("dl.pairs", {}, ...rows.flatMap(([name, text]) => [h("dt", {}, name), h("dd", {}, text)]));
}

export function block(text: string, label: string): HTMLElement {
  const shown = h("pre", { tabindex: 0, role: "region", "aria-label": label }, text);
  return h("div.command", {}, shown, copyButton(() => text));
}
