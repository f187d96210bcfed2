// The plan of a study: what it runs, and what that is likely to take.

import { h } from "./dom.js";
import { count, counted, duration, number } from "./format.js";

export interface Plan {
  rows: [string, string][];
  methods: string[];
  note: string | null;
  estimate: { epochs: number; seconds: number | null; gpu_hours: number | null } | null;
}

export function planView(plan: Plan): HTMLElement {
  const { estimate } = plan;
  return h(
    "div.card",
    {},
    h("h2", {}, "Plan"),
    estimate ? estimateView(estimate) : null,
    pairs(plan.rows),
    plan.methods.length ? h("ul.methods", {}, ...plan.methods.map((method) => h("li.mono", {}, method))) : null,
    plan.note ? h("p.note", {}, plan.note) : null,
  );
}

function estimateView(estimate: NonNullable<Plan["estimate"]>): HTMLElement {
  const fact = (name: string, value: string, title = "") => h("div", { title }, h("dt", {}, name), h("dd", {}, value));
  const unknown = "No epoch of this task was trained here before, so there is nothing to judge by.";
  return h(
    "dl.facts",
    {},
    fact("epochs at most", count(estimate.epochs)),
    fact("time, about", estimate.seconds === null ? "not known" : duration(estimate.seconds), estimate.seconds === null ? unknown : "Judged by epochs that were trained before."),
    estimate.gpu_hours === null ? null : fact("GPU hours, about", number(estimate.gpu_hours, 3)),
  );
}

// What the question before the button repeats.
export function planRows(plan: Plan): HTMLElement {
  const found: [string, string][] = [...plan.rows];
  const { estimate } = plan;
  if (estimate) {
    const time = estimate.seconds === null ? "time not known" : `about ${duration(estimate.seconds)}`;
    const gpus = estimate.gpu_hours === null ? "" : `, ${number(estimate.gpu_hours, 3)} GPU hours`;
    found.push(["estimate", `${counted(estimate.epochs, "epoch")} at most, ${time}${gpus}`]);
  }
  return pairs(found);
}

function pairs(rows: [string, string][]): HTMLElement {
  return h("dl.pairs", {}, ...rows.flatMap(([name, text]) => [h("dt", {}, name), h("dd", {}, text)]));
}
