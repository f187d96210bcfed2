// Parallel coordinates: a line a trial, an axis a hyperparameter and one for the metric. Brushing an axis filters the trials.

import type { EChartsCoreOption } from "echarts/core";
import { get, studyPath } from "../api.js";
import { debounced, h, put } from "../dom.js";
import { count, number } from "../format.js";
import { colour, trouble } from "../frame.js";
import type { Column, Dimension, Parallel, StudyDetail } from "./answers.js";
import { asFilters, asInterval } from "./brushes.js";
import { axis, Chart, plain, tooltip } from "./chart.js";
import { methodOf, tint, type Looks } from "./looks.js";
import { without } from "./trials_filters.js";
import type { TrialsPanel } from "./trials_panel.js";
import type { View } from "./view.js";

const NARROW = 620; // pixels: below it the axes lie one below the other
const LINES = 1000;

interface Brushed {
  axesInfo?: unknown;
  parallelAxisId?: string;
  intervals?: [number, number][];
}

export class ParallelPanel {
  readonly element = h("section.panel.wide", { "aria-labelledby": "parallel-heading" });
  private readonly chart = new Chart("tall");
  private readonly problem = h("div", { hidden: true });
  private readonly note = h("p.note");
  private data: Parallel | null = null;
  private looks: Looks = {};
  private columns: Column[] = [];
  private chosen = new Set<string>();
  private applying = false;

  constructor(private readonly study: string, private readonly view: View, trials: TrialsPanel) {
    this.element.append(h("h2", { id: "parallel-heading" }, "Parallel coordinates"), this.problem, this.chart.element, this.note);
    trials.known((columns) => {
      this.columns = columns;
      this.mark();
    });
    trials.onselect((chosen) => {
      this.chosen = chosen;
      this.draw();
    });
    this.chart.when((drawn) => {
      const settled = debounced((event: Brushed) => this.brushed(event), 120);
      drawn.on("axisareaselected", (event) => {
        if (!this.applying) settled(event as Brushed);
      });
    });
  }

  async show(study: StudyDetail): Promise<void> {
    this.looks = study.looks;
    try {
      const found = await get<Parallel>(`${studyPath(this.study)}/parallel`, { query: { limit: LINES } });
      trouble(this.problem, null);
      const same = found === this.data;
      this.data = found;
      this.chart.element.hidden = !found.rows.length;
      put(this.note, this.said(found));
      if (same) this.mark();
      else this.draw();
    } catch (error) {
      trouble(this.problem, error, () => void this.show(study));
    }
  }

  private said(data: Parallel): string {
    if (!data.rows.length) return "No trial has a value yet.";
    const part = data.rows.length < data.total ? `${count(data.rows.length)} of ${count(data.total)} trials, spread evenly, winners among them. ` : "";
    return `${part}Drag along an axis to filter the trials below; click it to let go. The form above the table does the same by keyboard.`;
  }

  private column(dimension: Dimension, place: number): string {
    if (place === (this.data?.dimensions.length ?? 0) - 1) return "best_value";
    const own = this.columns.find((one) => one.hyperparameter && (one.name === dimension.name || one.name === `config_${dimension.name}`));
    return own?.name ?? dimension.name;
  }

  // What is brushed on an axis becomes a filter of its column, in place of those before.
  private brushed(event: Brushed): void {
    const data = this.data;
    const place = Number((event.parallelAxisId ?? "").slice(5));
    const dimension = data?.dimensions[place];
    if (!dimension) return;
    const column = this.column(dimension, place);
    const interval = event.intervals?.[0];
    const filters = this.view.filters;
    if (!interval) this.view.filters = without(filters, column);
    else this.view.filters = asFilters(filters, column, dimension, interval);
  }

  // Shows the filters as brushes, wherever they came from.
  private mark(): void {
    const data = this.data;
    if (!data) return;
    const filters = this.view.filters;
    this.chart.when((drawn) => {
      this.applying = true;
      data.dimensions.forEach((dimension, place) => {
        const interval = asInterval(filters, this.column(dimension, place), dimension);
        drawn.dispatchAction({ type: "axisAreaSelect", parallelAxisId: `axis-${place}`, intervals: interval ? [interval] : [] });
      });
      this.applying = false;
    });
  }

  private draw(): void {
    const data = this.data;
    if (!data?.rows.length) return;
    const upright = this.chart.wide < NARROW;
    this.chart.element.style.height = upright ? `${60 + data.dimensions.length * 62}px` : "";
    const names = data.dimensions.map((dimension) => dimension.name).join(", ");
    this.chart.show(`Parallel coordinates of ${count(data.rows.length)} trials over ${names}. The table below has the trials.`, () => this.option(data));
    this.mark();
  }

  private option(data: Parallel): EChartsCoreOption {
    const upright = this.chart.wide < NARROW;
    const last = data.dimensions.length - 1;
    const room = this.chart.wide / Math.max(1, data.dimensions.length);
    const axes = data.dimensions.map((dimension, place) => axis({
      id: `axis-${place}`, dim: place, name: dimension.name, nameLocation: upright ? "start" : "end", nameGap: upright ? 0 : 14,
      nameTextStyle: { color: colour("ink"), fontWeight: place === last ? "bold" : "normal", align: upright ? "left" : "center", verticalAlign: upright ? "bottom" : undefined, padding: upright ? [0, 0, 10, 0] : 0, textBorderColor: colour("paper"), textBorderWidth: 3 },
      nameTruncate: { maxWidth: upright ? 240 : Math.max(60, room - 12) }, splitLine: { show: false },
      axisLabel: { formatter: dimension.kind === "choice" ? undefined : (value: number) => number(value, 3), showMinLabel: true, showMaxLabel: true, textBorderColor: colour("paper"), textBorderWidth: 4, color: colour("ink"), width: upright ? this.chart.wide / Math.max(3, dimension.values?.length ?? 0) - 18 : Math.max(44, room - 26), overflow: "truncate" },
      areaSelectStyle: { width: 18, borderWidth: 1, borderColor: colour("accent"), color: colour("accent"), opacity: 0.45 },
      ...scale(dimension),
    }));
    const plainRows = data.rows.filter((row) => !row.best && !this.chosen.has(row.trial));
    const strong = data.rows.filter((row) => row.best || this.chosen.has(row.trial));
    const series = (id: string, rows: Parallel["rows"], width: number, opacity: number, z: number) => ({
      id, type: "parallel", z, silent: id === "lines", smooth: 0, inactiveOpacity: 0.025, activeOpacity: opacity, progressive: 0,
      lineStyle: { width, opacity },
      data: rows.map((row) => ({ name: `${row.run} · ${row.trial}`, value: row.values.map((value) => value ?? NaN), lineStyle: { color: tint(this.looks, methodOf(row.run)), width, opacity } })),
    });
    const opacity = Math.min(0.7, Math.max(0.12, 60 / Math.max(1, data.rows.length)));
    return {
      parallel: { layout: upright ? "vertical" : "horizontal", left: upright ? 26 : 54, right: upright ? 26 : 66, top: upright ? 40 : 42, bottom: 26 },
      parallelAxis: axes, tooltip: tooltip({ trigger: "item", formatter: (item: { name: string; value: number[] }) => this.tip(data, item) }),
      series: [series("lines", plainRows, 1, opacity, 2), series("strong", strong, 2.6, 0.95, 4)],
    };
  }

  private tip(data: Parallel, item: { name: string; value: number[] }): string {
    const rows = data.dimensions.map((dimension, place) => {
      const value = item.value[place];
      const text = value === undefined || Number.isNaN(value) ? "–" : dimension.values ? (dimension.values[value] ?? "–") : number(value);
      return `${plain(dimension.name)}: ${plain(text)}`;
    });
    return [plain(item.name), ...rows].join("\n");
  }
}

function scale(dimension: Dimension): Record<string, unknown> {
  if (dimension.values) return { type: "category", data: dimension.values, axisTick: { show: false } };
  return { type: dimension.log && (dimension.low ?? 0) > 0 ? "log" : "value", min: dimension.low ?? undefined, max: dimension.high ?? undefined, scale: true };
}
