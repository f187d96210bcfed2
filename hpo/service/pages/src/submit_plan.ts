// The plan of a study: what it runs, and what that is likely to take.

import { h } from "./dom.js";
import { count, counted, duration, number, roughly } from "./format.js";

export interface Plan {
  rows: [string, string][];
  methods: string[];
  note: string | null;
}

export interface Estimate {
  epochs: number;
  slots: number | null;
  seconds_an_epoch: number | null;
  seconds: number | null;
  gpu_hours: number | null;
  studies: string[]; // those judged by
}

export function planView(plan: Plan, estimate: Estimate | null): HTMLElement {
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

function estimateView(estimate: Estimate): HTMLElement {
  const fact = (name: string, value: string) => h("div", {}, h("dt", {}, name), h("dd", {}, value));
  const { slots, studies } = estimate;
  const judged = studies.length
    ? `Judged by ${studies.join(", ")}: ${duration(estimate.seconds_an_epoch)} an epoch${slots === null ? ", with a slot for each trial that the study can train at a time" : `, on ${counted(slots, "slot")}`}.`
    : "No epoch of this task was trained in this store before, so its time is not known.";
  return h(
    "div",
    {},
    h(
      "dl.facts",
      {},
      fact("epochs at most", count(estimate.epochs)),
      fact("time, about", estimate.seconds === null ? "not known" : roughly(estimate.seconds)),
      estimate.gpu_hours === null ? null : fact("GPU hours, about", number(estimate.gpu_hours, 3)),
    ),
    h("p.note", {}, judged),
  );
}

// What the question before the button repeats.
export function planRows(plan: Plan, estimate: Estimate | null): HTMLElement {
  const found: [string, string][] = [...plan.rows];
  if (estimate) {
    const time = estimate.seconds === null ? "time not known" : `about ${roughly(estimate.seconds)}`;
    const gpus = estimate.gpu_hours === null ? "" : `, ${number(estimate.gpu_hours, 3)} GPU hours`;
    found.push(["estimate", `${counted(estimate.epochs, "epoch")} at most, ${time}${gpus}`]);
  }
  return pairs(found);
}

function pairs(rows: [string, string][]): HTMLElement {
  return h("dl.pairs", {}, ...rows.flatMap(([name, text]) => [h("dt", {}, name), h("dd", {}, text)]));
}
