// The problems of a study file as a list: each leads to its line.

import { h } from "./dom.js";
import type { Problem } from "./editor.js";
import { counted } from "./format.js";

export type { Problem };

export function problemList(problems: readonly Problem[], goTo: (problem: Problem) => void): HTMLElement {
  if (!problems.length) return h("p.fine", {}, "✓ The study is valid");
  const items = problems.map((problem) =>
    h(
      "li",
      {},
      h("button.quiet", { type: "button", onclick: () => goTo(problem) }, `line ${problem.line}`),
      h("span", {}, problem.message),
    ),
  );
  return h("div.card.bad", {}, h("h2", {}, counted(problems.length, "problem")), h("ol.problems", {}, ...items));
}
