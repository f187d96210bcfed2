// A row of the list of studies: made once, then changed in place.

import { page, studyPath } from "./api.js";
import { h, put, vary } from "./dom.js";
import { count, counted, number, percent, roughly } from "./format.js";
import type { Summary } from "./models.js";
import { stateBadge, timeElement } from "./state.js";
import type { Filters } from "./studies_filters.js";

export interface RowActions {
  chosen(study: string): boolean;
  choose(study: string, chosen: boolean): void;
}

const COLUMNS: readonly (readonly [string, string | null, string])[] = [
  ["Study", "name", ""],
  ["State", "state", ""],
  ["Owner", "owner", ""],
  ["Methods × seeds", null, "number"],
  ["Progress", "progress", ""],
  ["Best", "best", "number"],
  ["Verdict", null, ""],
  ["Updated", "updated", ""],
];
const LIVING: readonly string[] = ["starting", "running", "no sign of life"];
const LASTING: readonly string[] = ["queued", ...LIVING];
const DOWN_FIRST = ["progress", "best", "updated", "began"]; // these are asked for from the top

// The heads of the columns, whose buttons order the list.
export function heading(filters: Filters): { element: HTMLElement; refresh: () => void } {
  const cells = COLUMNS.map(([label, key, kind]) => {
    const cell = h("th", { scope: "col", role: "columnheader", class: kind || null });
    if (key === null) cell.append(label);
    else cell.append(h("button.sort", { type: "button", onclick: () => filters.order(turned(filters.sort(), key)) }, label));
    return { cell, key };
  });
  const refresh = () => {
    const sort = filters.sort();
    for (const { cell, key } of cells) {
      if (key !== null && sort.replace("-", "") === key) cell.setAttribute("aria-sort", sort.startsWith("-") ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    }
  };
  refresh();
  const first = h("th", { scope: "col", role: "columnheader", class: "pick" }, h("span.aside", {}, "Select"));
  const row = h("tr", { role: "row" }, first, ...cells.map(({ cell }) => cell));
  return { element: h("thead", { role: "rowgroup" }, row), refresh };
}

function turned(sort: string, key: string): string {
  const down = DOWN_FIRST.includes(key);
  if (sort.replace("-", "") !== key) return down ? `-${key}` : key;
  return sort.startsWith("-") ? key : `-${key}`;
}

export function makeRow(summary: Summary, actions: RowActions): HTMLTableRowElement {
  const study = summary.study;
  const box = h("input", { type: "checkbox", "aria-label": `Select ${study}` });
  box.addEventListener("change", () => actions.choose(study, box.checked));
  const link = h("a", { href: page(studyPath(study)), title: study }, study);
  const cell = (name: string, ...children: (Node | string)[]) => h("td", { role: "cell", class: name }, ...children);
  return h(
    "tr",
    { role: "row" },
    cell("pick", box),
    h("th", { scope: "row", role: "rowheader", class: "name" }, link, h("span.chips-after"), h("span.sub")),
    cell("word", stateBadge(summary.state), h("span.sub", {}, h("time"))),
    cell("owner"),
    cell("shape number"),
    cell("progress", h("span.bar"), h("span.sub")),
    cell("best number", h("span.value"), h("span.sub")),
    cell("verdict-cell"),
    cell("updated", h("time"), h("span.sub"), h("span.sub.life", {}, "seen ", h("time"))),
  );
}

export function changeRow(row: HTMLTableRowElement, summary: Summary, actions: RowActions): void {
  const part = <E extends HTMLElement>(selector: string) => row.querySelector<E>(selector) as E;
  const box = part<HTMLInputElement>(".pick input");
  box.checked = actions.chosen(summary.study);
  row.classList.toggle("chosen", box.checked);
  const chips = [summary.suite && h("span.chip", {}, summary.suite), summary.archived && h("span.chip", {}, "archived")];
  const key = `${summary.suite ?? ""}|${summary.archived}`;
  if (part(".chips-after").dataset["shown"] !== key) {
    part(".chips-after").dataset["shown"] = key;
    put(part(".chips-after"), ...chips);
  }
  put(part(".name .sub"), [summary.task, summary.trainable].filter(Boolean).join(" · "));
  stateBadge(summary.state, part(".word .state"));
  timeElement(summary.state.since, part<HTMLTimeElement>(".word time"), LASTING.includes(summary.state.word));
  part(".word .sub").hidden = summary.state.since === null;
  put(part(".owner"), summary.owner ?? "");
  part(".owner").title = summary.owner ?? "";
  showShape(part(".shape"), summary);
  showProgress(part(".progress"), summary);
  put(part(".best .value"), summary.best ? number(summary.best.value) : "–");
  put(part(".best .sub"), summary.best?.method ?? "");
  part(".best").title = summary.best ? `${summary.metric} (${summary.mode}): ${summary.best.value}, by ${summary.best.method}` : "";
  showVerdict(part(".verdict-cell"), summary);
  timeElement(summary.updated, part<HTMLTimeElement>(".updated time"));
  timeElement(summary.sign_of_life, part<HTMLTimeElement>(".life time"));
  part(".life").hidden = summary.sign_of_life === null || !LIVING.includes(summary.state.word);
  part(".life").title = "The last sign of life of the study's driver";
  put(part(".updated .sub"), summary.failed_trials ? counted(summary.failed_trials, "failed trial") : "");
}

// Where runs are left, the verdict may change with them.
function showVerdict(cell: HTMLElement, { verdict, runs, runs_complete: complete }: Summary): void {
  const interim = verdict && complete < runs;
  cell.title = interim ? `Over the ${count(complete)} of ${counted(runs, "run")} that are complete` : "";
  put(cell, interim && h("span.chip", {}, "interim"), interim && " ", verdict);
}

function showShape(cell: HTMLElement, summary: Summary): void {
  put(cell, `${count(summary.methods.length)} × ${count(summary.seeds)}`);
  cell.title = summary.methods.join(", ");
}

// The bar is of the trainings where a driver tells what is left of them, else of the charges.
function showProgress(cell: HTMLElement, summary: Summary): void {
  const [bar, text] = cell.children as unknown as [HTMLElement, HTMLElement];
  const { budget, trained_epochs: trained, left_epochs: left, seconds_left: seconds } = summary;
  const share = left === null || !trained ? summary.progress : trained / (trained + left);
  bar.dataset["word"] = summary.state.word;
  vary(bar, "--share", share);
  const whole = budget.total === null || budget.charged >= budget.total;
  const charged = whole ? number(budget.charged) : `${number(budget.charged)} / ${number(budget.total)}`;
  put(text, seconds === null ? `${percent(share)} · ${charged} ${budget.unit}` : `${percent(share)} · about ${roughly(seconds)} left`);
  const physical = left === null ? "" : `; ${count(trained)} epochs trained, at most ${count(left)} left`;
  cell.title = `${charged} ${budget.unit} charged, ${count(summary.runs_complete)} of ${counted(summary.runs, "run")} complete${physical}`;
}
