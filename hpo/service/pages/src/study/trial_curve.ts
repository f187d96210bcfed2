// The learning curve of one trial: any of its metrics, with what is best marked, and the same as a table.

import type { EChartsCoreOption } from "echarts/core";
import { h, put } from "../dom.js";
import { number } from "../format.js";
import { colour } from "../frame.js";
import type { StudyDetail, TrialAnswer } from "./answers.js";
import { figure, row, scrolled, type Head } from "./tables.js";
import { axis, Chart, plain, tooltip } from "./chart.js";

const TINTS = ["method-0", "method-1", "method-2", "method-3", "method-4", "method-6"];

export class TrialCurve {
  readonly element = h("section.panel", { "aria-labelledby": "curve-heading" });
  private readonly chart = new Chart();
  private readonly choices = h("fieldset.choice.many", {}, h("legend", {}, "Metrics"));
  private readonly note = h("p.note");
  private readonly table = h("details");
  private chosen: Set<string> | null = null;
  private found: TrialAnswer | null = null;

  constructor() {
    this.element.append(h("div.panel-head", {}, h("h2", { id: "curve-heading" }, "Learning curve"), this.choices), this.chart.element, this.note, this.table);
    this.table.append(h("summary", {}, "The same as a table"));
    this.table.addEventListener("toggle", () => this.drawTable());
  }

  show(found: TrialAnswer, study: StudyDetail): void {
    this.found = found;
    const metrics = this.metrics();
    this.chosen ??= new Set([metrics.includes(study.metric) ? study.metric : (metrics[0] ?? "")]);
    const empty = !(found.curve["epoch"] ?? []).length;
    this.chart.element.hidden = this.table.hidden = this.choices.hidden = empty;
    put(this.note, empty ? "No epoch of it has been trained." : found.best_epoch === null ? "" : `The dashed line marks epoch ${found.best_epoch}, its best.`);
    if (this.choices.dataset["of"] !== metrics.join()) {
      this.choices.dataset["of"] = metrics.join();
      put(this.choices, h("legend", {}, "Metrics"), ...metrics.map((name) => this.choice(name)));
    }
    if (!empty) this.draw();
    this.drawTable();
  }

  private metrics(): string[] {
    const curve = this.found?.curve ?? {};
    return Object.keys(curve).filter((name) => name !== "epoch" && curve[name]!.some((value) => typeof value === "number"));
  }

  private choice(name: string): HTMLElement {
    const input = h("input", { type: "checkbox", checked: this.chosen?.has(name) });
    input.addEventListener("change", () => {
      if (input.checked) this.chosen?.add(name);
      else this.chosen?.delete(name);
      this.draw();
    });
    return h("label", {}, input, name);
  }

  private draw(): void {
    const found = this.found;
    if (!found) return;
    const shown = this.metrics().filter((name) => this.chosen?.has(name));
    const last = shown.map((name) => `${name} ${number(found.curve[name]!.at(-1) as number)}`).join(", ");
    this.chart.show(`Learning curve after ${found.epochs} epochs: ${last}. The table below has every epoch.`, () => this.option(found, shown));
  }

  private option(found: TrialAnswer, shown: string[]): EChartsCoreOption {
    const epochs = found.curve["epoch"] as number[];
    const mark = found.best_epoch === null ? [] : [{ xAxis: found.best_epoch }];
    const series = shown.map((name, place) => {
      const own = colour(TINTS[this.metrics().indexOf(name) % TINTS.length]!);
      return {
        id: name, name, type: "line", showSymbol: epochs.length < 40, symbolSize: 5, data: epochs.map((epoch, i) => [epoch, found.curve[name]![i]]), lineStyle: { color: own, width: 2.2 }, itemStyle: { color: own }, emphasis: { disabled: true },
        ...(place ? {} : { markLine: { silent: true, symbol: "none", animation: false, data: mark, label: { show: false }, lineStyle: { color: colour("muted"), type: "dashed", width: 1 } } }),
      };
    });
    return {
      grid: { left: 12, right: 18, top: 14, bottom: 34, containLabel: true },
      xAxis: axis({ type: "value", name: "epoch", nameLocation: "middle", nameGap: 28, minInterval: 1, min: Math.min(1, epochs.length), max: epochs.at(-1), axisLine: { onZero: false, lineStyle: { color: colour("line") } }, splitLine: { show: false } }),
      yAxis: axis({ type: "value", scale: true, axisLine: { show: false }, axisLabel: { formatter: (value: number) => number(value) } }),
      tooltip: tooltip({ trigger: "axis", formatter: (items: { seriesName: string; value: [number, number | null] }[]) => [`epoch ${items[0]?.value[0] ?? ""}`, ...items.map((item) => `${plain(item.seriesName)}: ${number(item.value[1])}`)].join("\n") }),
      series,
    };
  }

  private drawTable(): void {
    const found = this.found;
    if (!found || !this.table.open) return;
    const metrics = this.metrics();
    const epochs = found.curve["epoch"] as number[];
    const heads: Head[] = [["epoch"], ...metrics.map((name): Head => [name, true])];
    const rows = epochs.map((epoch, i) => row(epoch, ...metrics.map((name) => figure(number(found.curve[name]![i] as number | null)))));
    put(this.table, this.table.firstElementChild, scrolled("Learning curve", heads, rows, true));
  }
}
