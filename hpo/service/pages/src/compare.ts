// Several studies as tasks (or one alone): the verdict, their curves side by side, the tables, the command to repeat it.

import { ApiProblem, api, get, isAbort, page, studyPath } from "./api.js";
import { chooser } from "./compare_chooser.js";
import { methodsTable, pairsTable, tasksTable } from "./compare_tables.js";
import { announce, byId, copyButton, h, put } from "./dom.js";
import { saveTable } from "./download.js";
import { count, counted } from "./format.js";
import { frame, me, trouble } from "./frame.js";
import { lookKey, looksOf } from "./looks.js";
import type { Comparison, Look, Me } from "./models.js";
import { smallCurves, type MethodCurve } from "./small_curves.js";
import { drawVerdict } from "./verdict.js";

interface Anytime {
  unit: string;
  mode: "max" | "min";
  metric: string;
  methods: MethodCurve[];
}

const NOTES = 3;

class ComparePage {
  private readonly problem = h("div", { hidden: true });
  private readonly result = h("div");
  private asking: AbortController | null = null;

  constructor() {
    byId("compare").append(chooser(() => void this.load()), this.problem, this.result);
    window.addEventListener("popstate", () => void this.load());
  }

  async load(): Promise<void> {
    this.asking?.abort();
    const { signal } = (this.asking = new AbortController());
    const query = new URLSearchParams(location.search);
    const studies = query.getAll("study");
    trouble(this.problem, null);
    put(byId("actions"));
    if (!studies.length) {
      put(this.result, h("div.empty", {}, h("h2", {}, "Choose studies to compare"), h("p", {}, "Of one study, its methods are compared over its seeds; several studies count as tasks. The list of studies can select them, too.")));
      return;
    }
    const given = { study: studies, difference: query.get("difference"), target: query.get("target") };
    const wait = h("p.wait", { role: "status" }, "The comparison is being made …");
    try {
      const timer = window.setTimeout(() => put(this.result, wait), 300);
      const found = get<Comparison>("/comparison", { query: given, signal, waiting: () => put(this.result, wait) });
      const comparison = await found.finally(() => window.clearTimeout(timer));
      await this.show(comparison, studies, given, signal);
      announce(said(comparison));
    } catch (error) {
      if (isAbort(error)) return;
      put(this.result);
      trouble(this.problem, error, error instanceof ApiProblem && error.status === 0 ? () => void this.load() : undefined);
    }
  }

  private async show(comparison: Comparison, studies: string[], given: Record<string, string | string[] | null>, signal: AbortSignal): Promise<void> {
    const methods = comparison.methods.map((one) => one.method);
    const best = [...comparison.methods].sort((a, b) => (a.mean_rank ?? 99) - (b.mean_rank ?? 99)).map((one) => one.method);
    const looks = looksOf(methods, best);
    const who = await me();
    const curves = h("div.curves");
    const verdict = h("p.verdict");
    drawVerdict(verdict, said(comparison));
    put(byId("actions"), ...downloads(comparison, studies, given));
    put(
      this.result,
      verdict,
      ...notesOf(comparison.notes),
      h("section", { "aria-labelledby": "curves-heading" }, h("h2", { id: "curves-heading" }, "Best value so far"), legend(methods, looks), curves),
      methodsTable(comparison, looks),
      tasksTable(comparison, looks),
      pairsTable(comparison),
      repeat(studies, given, who),
    );
    for (const study of studies) {
      const place = h("div.card", {}, h("p.wait", {}, study));
      curves.append(place);
      void get<Anytime>(`${studyPath(study)}/anytime`, { signal }).then(
        (answer) => put(place, smallCurves(h("a", { href: page(studyPath(study)) }, study), caption(answer), answer.methods, looks, answer.mode)),
        (error: unknown) => !isAbort(error) && trouble(place, error),
      );
    }
  }
}

// Studies that still go on, or may, make the verdict an interim one.
function said(comparison: Comparison): string {
  const open = Object.entries(comparison.states ?? {}).flatMap(([study, word]) => (word === "failed" ? [] : [study]));
  if (!open.length) return comparison.verdict;
  return `Interim, as ${open.length === 1 ? `${open[0]} is` : `${count(open.length)} studies are`} not complete: ${comparison.verdict}`;
}

// Many methods over many tasks leave many notes: the first are shown, the others on demand.
function notesOf(notes: readonly string[]): HTMLElement[] {
  const shown = (some: readonly string[]) => some.map((note) => h("p.note", {}, note));
  if (notes.length <= NOTES + 1) return shown(notes);
  return [...shown(notes.slice(0, NOTES)), h("details", {}, h("summary", {}, `${notes.length - NOTES} more notes`), ...shown(notes.slice(NOTES)))];
}

function caption(answer: Anytime): string {
  const runs = Math.max(0, ...answer.methods.map((one) => one.runs));
  return `${answer.metric}, ${answer.mode}, over ${answer.unit}; ${counted(runs, "run")} a method`;
}

function legend(methods: readonly string[], looks: ReadonlyMap<string, Look>): HTMLElement {
  return h("ul.legend", { "aria-label": "Methods" }, ...methods.map((method) => h("li", {}, lookKey(looks.get(method)), method)));
}

function downloads(comparison: Comparison, studies: string[], given: Record<string, string | string[] | null>): HTMLElement[] {
  const name = studies.length === 1 ? String(studies[0]) : `${studies.length}-studies`;
  const found: HTMLElement[] = [
    h("button", { type: "button", onclick: () => saveTable(`comparison-${name}.csv`, comparison.methods as unknown as Record<string, unknown>[]) }, "Methods CSV"),
    h("button", { type: "button", onclick: () => saveTable(`pairs-${name}.csv`, comparison.tests as unknown as Record<string, unknown>[]) }, "Pairs CSV"),
    h("a.button", { href: api("/comparison", given), download: `comparison-${name}.json` }, "JSON"),
  ];
  found.push(h("a.button", { href: studies.length === 1 ? api(`${studyPath(String(studies[0]))}/report`) : api("/report", { study: studies }) }, "Report"));
  return found;
}

// The same comparison on the command line.
function repeat(studies: string[], given: Record<string, string | string[] | null>, who: Me): HTMLElement {
  const quoted = (text: string) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`);
  const parts = ["hpo", "compare", who.store, ...studies.flatMap((study) => ["--study", study])];
  for (const name of ["difference", "target"]) if (given[name]) parts.push(`--${name}`, String(given[name]));
  const command = parts.map(quoted).join(" ");
  return h("section", { "aria-labelledby": "repeat-heading" }, h("h2", { id: "repeat-heading" }, "Repeat it"), h("div.command", {}, h("pre", { tabindex: "0" }, command), copyButton(() => command)));
}

frame();
void new ComparePage().load();
