// Learning curves of trials, with the rungs at which a schedule compares, the pauses and the promotions.

import type { EChartsCoreOption } from "echarts/core";
import { get, studyPath } from "../api.js";
import { h, put } from "../dom.js";
import { count, counted, number } from "../format.js";
import { colour, trouble } from "../frame.js";
import type { Curve, Curves, StudyDetail } from "./answers.js";
import { axis, Chart } from "./chart.js";
import { methodName, methodOf, tint, type Looks } from "./looks.js";
import { cell, figure, row, scrolled, type Head } from "./tables.js";
import { trialPage } from "./trials_cells.js";
import type { View } from "./view.js";

const LIMIT = 150;

export class CurvesPanel {
  readonly element = h("section.panel.wide", { "aria-labelledby": "curves-heading" });
  private readonly chart = new Chart("tall");
  private readonly problem = h("div", { hidden: true });
  private readonly run = h("select", { id: "curves-run" });
  private readonly metric = h("select", { id: "curves-metric" });
  private readonly chosen = h("span", { hidden: true });
  private readonly told = h("p.told");
  private readonly note = h("p.note");
  private readonly key = h("p.legend-line.note", {}, symbol("pause"), "paused ", symbol("promotion"), "promoted ", symbol("rung"), "rung of a schedule");
  private readonly table = h("details", { hidden: true });
  private data: Curves | null = null;
  private looks: Looks = {};
  private focus: string | null = null;

  constructor(private readonly study: string, private readonly view: View) {
    this.run.addEventListener("change", () => view.set({ run: this.run.value }));
    this.metric.addEventListener("change", () => view.set({ metric: this.metric.value }));
    const tools = h("div.tools", {}, h("span.choice-of", {}, h("label", { for: "curves-run" }, "Run "), this.run), h("span.choice-of", {}, h("label", { for: "curves-metric" }, "Metric "), this.metric), this.chosen);
    this.element.append(h("div.panel-head", {}, h("h2", { id: "curves-heading" }, "Learning curves"), tools), this.problem, this.chart.element, this.told, this.key, this.note, this.table);
    this.chart.element.hidden = this.told.hidden = this.key.hidden = true;
    put(this.note, "The curves are being read …");
    this.table.addEventListener("toggle", () => this.drawTable());
    this.chart.when((drawn) => {
      drawn.on("mouseover", (event) => this.highlight(event.seriesName ?? null)); // a line's event has no id of its series
      drawn.on("mouseout", () => this.highlight(null));
      drawn.on("click", (event) => {
        const curve = this.data?.curves[Number(event.seriesName)];
        if (curve) location.assign(trialPage(this.study, curve.trial));
      });
    });
  }

  async show(study: StudyDetail): Promise<void> {
    this.looks = study.looks;
    options(this.run, [["", "all runs"], ...study.run_list.map((run): [string, string] => [run.run, run.run])], this.view.text("run"));
    options(this.metric, (study.metrics.length ? study.metrics : [study.metric]).map((name) => [name, name]), this.view.text("metric") || study.metric);
    const trials = this.view.all("trial");
    this.chosen.hidden = !trials.length;
    const all = h("button.quiet", { type: "button" }, "Show all");
    all.addEventListener("click", () => this.view.set({ trial: [] }));
    put(this.chosen, `${counted(trials.length, "trial")} chosen `, all);
    try {
      const query = { run: this.view.text("run"), metric: this.view.text("metric"), trial: trials, limit: LIMIT };
      const found = await get<Curves>(`${studyPath(this.study)}/curves`, { query });
      trouble(this.problem, null);
      if (found !== this.data) {
        this.focus = null;
        put(this.told, "");
      }
      this.data = found;
    } catch (error) {
      trouble(this.problem, error, () => void this.show(study));
      return;
    }
    this.chart.element.hidden = this.told.hidden = this.key.hidden = this.table.hidden = !this.data.curves.length;
    put(this.note, this.said(this.data));
    this.draw();
    this.drawTable();
  }

  private said(data: Curves): string {
    if (!data.curves.length) return "No curve yet: the first epoch begins one.";
    const part = data.curves.length < data.total ? `${count(data.curves.length)} of ${count(data.total)} curves, spread evenly, those of winners among them. ` : "";
    return `${part}Winners are drawn strong. Point at a curve to see its trial, or at its row in the table; click to open it.`;
  }

  private highlight(key: string | null): void {
    if (key === this.focus) return;
    this.focus = key;
    const curve = this.data?.curves[Number(key ?? NaN)];
    put(this.told, curve ? this.about(curve) : "");
    this.draw();
  }

  private draw(): void {
    const data = this.data;
    if (!data?.curves.length) return;
    this.chart.show(`${data.metric} over epochs of ${counted(data.curves.length, "trial")}. The table below has the same curves.`, () => this.option(data));
  }

  private option(data: Curves): EChartsCoreOption {
    const longest = Math.max(1, ...data.curves.map((curve) => curve.epochs.at(-1) ?? 1));
    const rungs = [...new Set(data.curves.flatMap((curve) => curve.rungs))].sort((a, b) => a - b);
    const at = (curve: Curve, epoch: number) => [epoch, curve.values[curve.epochs.indexOf(epoch)] ?? null];
    const marks = (id: string, pick: (curve: Curve) => number[], more: Record<string, unknown>) => ({
      id, type: "scatter", silent: true, z: 5, symbolSize: 7, ...more,
      data: data.curves.flatMap((curve, place) => pick(curve).map((epoch) => ({ value: at(curve, epoch), itemStyle: this.marked(curve, place, id) }))),
    });
    return {
      grid: { left: 12, right: 18, top: 14, bottom: 34, containLabel: true },
      xAxis: axis({ type: "value", name: "epoch", nameLocation: "middle", nameGap: 28, min: Math.min(1, longest), max: longest, minInterval: 1, splitLine: { show: false } }),
      yAxis: axis({ type: "value", scale: true, axisLine: { show: false }, axisLabel: { formatter: (value: number) => number(value) } }),
      tooltip: { show: false }, // a line has none of its own
      series: [
        ...data.curves.map((curve, place) => this.line(curve, place, place === 0 ? rungs : [])),
        marks("pause", (curve) => curve.pauses.filter((epoch) => !curve.promotions.includes(epoch)), { symbol: "circle" }),
        marks("promotion", (curve) => curve.promotions, { symbol: "triangle" }),
      ],
    };
  }

  private marked(curve: Curve, place: number, id: string): Record<string, unknown> {
    const own = tint(this.looks, methodOf(curve.run));
    const opacity = this.focus === null || this.focus === String(place) ? 1 : 0.12;
    return { color: id === "pause" ? colour("paper") : own, borderColor: own, borderWidth: 1.5, opacity };
  }

  private line(curve: Curve, place: number, rungs: number[]): Record<string, unknown> {
    const mine = this.focus === String(place);
    const strong = mine || (curve.best && this.focus === null);
    const opacity = this.focus === null ? (curve.best ? 1 : 0.45) : mine ? 1 : 0.12;
    return {
      id: `curve|${place}`, name: String(place), type: "line", showSymbol: curve.epochs.length === 1, symbolSize: 4, triggerLineEvent: true, data: curve.epochs.map((epoch, i) => [epoch, curve.values[i]]),
      lineStyle: { color: tint(this.looks, methodOf(curve.run)), width: mine ? 3 : strong ? this.winning() : 1.3, opacity }, itemStyle: { color: tint(this.looks, methodOf(curve.run)), opacity }, z: strong ? 4 : 2, emphasis: { disabled: true },
      ...(rungs.length ? { markLine: { silent: true, symbol: "none", animation: false, data: rungs.map((xAxis) => ({ xAxis })), label: { show: false }, lineStyle: { color: colour("muted"), type: "dotted", width: 1, opacity: 0.8 } } } : {}),
    };
  }

  // Winners stand out; those of many runs, less.
  private winning(): number {
    return (this.data?.curves.filter((curve) => curve.best).length ?? 0) > 12 ? 1.8 : 2.8;
  }

  private about(curve: Curve): string {
    const lines = [`${curve.run} · ${curve.trial}`, `${number(curve.values.at(-1))} after ${counted(curve.epochs.at(-1) ?? 0, "epoch")}, ${curve.status}${curve.best ? ", won its run" : ""}`];
    if (curve.pauses.length) lines.push(`paused after epoch ${curve.pauses.join(", ")}`);
    if (curve.promotions.length) lines.push(`promoted after epoch ${curve.promotions.join(", ")}`);
    return lines.join(" · ");
  }

  private drawTable(): void {
    const data = this.data;
    if (!data) return;
    const summary = this.table.querySelector("summary") ?? h("summary");
    put(summary, "The same as a table");
    if (!this.table.open) return put(this.table, summary);
    const heads: Head[] = [["trial"], ["run"], ["epochs", true], ["last value", true], ["paused after"], ["promoted after"], ["status"]];
    const rows = data.curves.map((curve, place) => this.pointing(place, row(
      h("a.code", { href: trialPage(this.study, curve.trial) }, curve.trial),
      cell(methodName(this.looks, methodOf(curve.run)), h("span.note", {}, ` seed ${curve.run.split("/").pop()}`)),
      figure(count(curve.epochs.at(-1))), figure(number(curve.values.at(-1))), cell(curve.pauses.join(", ") || "–"), cell(curve.promotions.join(", ") || "–"), cell(curve.status),
    )));
    put(this.table, summary, scrolled("Learning curves", heads, rows, true));
  }

  // A row shows its curve, to the pointer as to the keyboard.
  private pointing(place: number, row: HTMLTableRowElement): HTMLTableRowElement {
    for (const event of ["pointerenter", "focusin"]) row.addEventListener(event, () => this.highlight(String(place)));
    for (const event of ["pointerleave", "focusout"]) row.addEventListener(event, () => this.highlight(null));
    return row;
  }
}

function symbol(kind: string): HTMLElement {
  return h("span", { class: `symbol ${kind}`, "aria-hidden": "true" });
}

function options(select: HTMLSelectElement, wanted: [string, string][], value: string): void {
  const key = JSON.stringify(wanted);
  if (select.dataset["of"] !== key) {
    select.dataset["of"] = key;
    put(select, ...wanted.map(([name, label]) => h("option", { value: name }, label)));
  }
  if (document.activeElement !== select) select.value = value;
}
