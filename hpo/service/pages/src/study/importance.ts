// The importance of the hyperparameters, and how the metric depends on each; dragging along one filters the trials.

import type { CustomSeriesRenderItemAPI, EChartsCoreOption } from "echarts";
import { get, isAbort, studyPath } from "../api.js";
import { h, keyed, put, vary } from "../dom.js";
import { count, number, percent } from "../format.js";
import { colour, trouble } from "../frame.js";
import type { Column, Hyperparameter, Importance, Marginal, StudyDetail } from "./answers.js";
import { axis, Chart, tooltip } from "./chart.js";
import { amongst, within } from "./trials_filters.js";
import type { TrialsPanel } from "./trials_panel.js";
import type { View } from "./view.js";

const FEWEST = 12; // as hpo/results/importance.py has it; below it the service is not asked

export class ImportancePanel {
  readonly element = h("section.panel.wide", { "aria-labelledby": "importance-heading" });
  private readonly problem = h("div", { hidden: true });
  private readonly wait = h("p.wait", { hidden: true }, "The importance is being worked out …");
  private readonly body = h("tbody");
  private readonly notes = h("p.note");
  private readonly pairs = h("p.note");
  private readonly content = h("div", { hidden: true });
  private readonly marginals = h("div.marginals");
  private readonly charts = new Map<string, MarginalChart>();
  private columns: Column[] = [];

  constructor(private readonly study: string, private readonly view: View, trials: TrialsPanel) {
    const table = h("table.shares", {}, h("caption", {}, "Share of the variation that each hyperparameter explains, with its 95% interval"), h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "hyperparameter"), h("th", { scope: "col" }, "share"), h("th.number", { scope: "col" }, "interval"))), this.body);
    this.content.append(table, this.pairs, h("h3", {}, "The metric over each hyperparameter, all others averaged"), this.marginals, this.notes);
    this.element.append(h("h2", { id: "importance-heading" }, "Importance"), this.problem, this.wait, this.content);
    trials.known((columns) => (this.columns = columns));
  }

  async show(study: StudyDetail): Promise<void> {
    if (study.trials - study.failed_trials < FEWEST) return trouble(this.problem, new Error(`Importance needs at least ${FEWEST} trials with a value.`));
    try {
      const found = await get<Importance>(`${studyPath(this.study)}/importance`, { waiting: () => (this.wait.hidden = this.content.hidden === false) });
      trouble(this.problem, null);
      this.content.hidden = false;
      this.draw(found, study);
    } catch (error) {
      if (isAbort(error)) return;
      if (this.content.hidden) trouble(this.problem, error);
    } finally {
      this.wait.hidden = true;
    }
  }

  private draw(found: Importance, study: StudyDetail): void {
    const shares = [...found.shares].sort((a, b) => b.share - a.share);
    keyed(this.body, shares, (one) => one.name, (one) => h("tr", {}, h("th", { scope: "row" }, one.name), h("td", {}, h("span.share-bar", { "aria-hidden": "true" }, h("span.fill"), h("span.whisker")), h("span.amount")), h("td.number")), (row, one) => {
      const bar = row.querySelector<HTMLElement>(".share-bar")!;
      vary(bar, "--share", one.share);
      vary(bar, "--low", one.low ?? one.share);
      vary(bar, "--high", one.high ?? one.share);
      put(row.querySelector(".amount")!, percent(one.share));
      put(row.lastElementChild!, one.low === null || one.high === null ? "–" : `${percent(one.low)} to ${percent(one.high)}`);
    });
    const pairs = [...found.pairs].sort((a, b) => b.share - a.share).slice(0, 3).filter((pair) => pair.share >= 0.01);
    put(this.pairs, pairs.length ? `Together, beyond each alone: ${pairs.map((pair) => `${pair.a} with ${pair.b} ${percent(pair.share)}`).join(", ")}.` : "");
    const decided = found.decided ? "" : "The intervals overlap: the order is not decided. ";
    put(this.notes, `${decided}From ${count(found.trials)} trials ${found.epochs}. ${found.notes.join(" ")} Drag along a curve to filter the trials below.`);
    const kinds = new Map(study.space.map((one) => [one.name, one]));
    const order = new Map(shares.map((one, place) => [one.name, place]));
    const marginals = [...found.marginals].sort((a, b) => (order.get(a.name) ?? 99) - (order.get(b.name) ?? 99)).slice(0, 12);
    const values = marginals.flatMap((m) => m.mean.flatMap((mean, i) => (mean === null ? [] : [mean - (m.std[i] ?? 0), mean + (m.std[i] ?? 0)])));
    const span: [number, number] = [Math.min(...values), Math.max(...values)];
    keyed(this.marginals, marginals, (one) => one.name, (one) => this.marginal(one.name).element, (_, one) => this.marginal(one.name).show(one, kinds.get(one.name), span, found));
  }

  private marginal(name: string): MarginalChart {
    const known = this.charts.get(name);
    if (known) return known;
    const made = new MarginalChart(name, (low, high, values) => {
      const column = this.columns.find((one) => one.hyperparameter && (one.name === name || one.name === `config_${name}`))?.name ?? name;
      this.view.filters = values ? amongst(this.view.filters, column, values) : within(this.view.filters, column, low, high);
    });
    this.charts.set(name, made);
    return made;
  }
}

class MarginalChart {
  readonly element: HTMLElement;
  private readonly chart = new Chart("small");
  private shown: Marginal | null = null;

  constructor(name: string, brushed: (low: number, high: number, values: string[] | null) => void) {
    this.element = h("figure", {}, h("figcaption", {}, name), this.chart.element);
    this.chart.when((drawn) => {
      drawn.on("brushEnd", (event) => {
        const area = (event as { areas?: { coordRange?: [number, number] }[] }).areas?.[0]?.coordRange;
        if (!area) return;
        const numeric = this.shown?.values.every((value) => typeof value === "number");
        const names = numeric ? null : (this.shown?.values ?? []).map(String).slice(Math.round(area[0]), Math.round(area[1]) + 1);
        brushed(area[0], area[1], names);
        drawn.dispatchAction({ type: "brush", areas: [] }); // the sentence says it from now on
      });
    });
  }

  show(marginal: Marginal, kind: Hyperparameter | undefined, span: [number, number], found: Importance): void {
    if (this.shown === marginal) return;
    this.shown = marginal;
    const best = [...marginal.mean.keys()].filter((i) => marginal.mean[i] !== null).sort((a, b) => (marginal.mean[b] ?? 0) - (marginal.mean[a] ?? 0));
    const at = (place: number | undefined) => (place === undefined ? "–" : String(typeof marginal.values[place] === "number" ? number(marginal.values[place] as number, 3) : marginal.values[place]));
    this.chart.show(`Mean ${found.metric} over ${marginal.name}: largest at ${at(best[0])}, smallest at ${at(best.at(-1))}.`, () => this.option(marginal, kind, span, found));
    this.chart.when((drawn) => drawn.dispatchAction({ type: "takeGlobalCursor", key: "brush", brushOption: { brushType: "lineX", brushMode: "single" } }));
  }

  private option(marginal: Marginal, kind: Hyperparameter | undefined, span: [number, number], found: Importance): EChartsCoreOption {
    const numeric = marginal.values.every((value) => typeof value === "number");
    const x = (place: number) => (numeric ? (marginal.values[place] as number) : place);
    const line = colour("accent");
    const places = marginal.mean.map((_, place) => place).filter((place) => marginal.mean[place] !== null);
    const points = (sign: number) => places.map((place) => [x(place), marginal.mean[place]! + sign * (marginal.std[place] ?? 0)] as [number, number]);
    const band = { id: "band", type: "custom", silent: true, z: 1, zlevel: 0, clip: true, data: [[x(0), 0]], renderItem: (_: unknown, tools: CustomSeriesRenderItemAPI) => ({ type: "polygon", silent: true, shape: { points: [...points(1), ...points(-1).reverse()].map((point) => tools.coord(point)) }, style: { fill: line, opacity: 0.14 } }) };
    const whiskers = { id: "band", type: "custom", silent: true, z: 1, zlevel: 0, data: points(1), renderItem: (_: unknown, tools: CustomSeriesRenderItemAPI) => {
      const [low, high] = [tools.coord(points(-1)[_index(_)] ?? [0, 0]), tools.coord(points(1)[_index(_)] ?? [0, 0])];
      return { type: "line", silent: true, shape: { x1: low[0], y1: low[1], x2: high[0], y2: high[1] }, style: { stroke: line, opacity: 0.5, lineWidth: 2 } };
    } };
    const winner = found.incumbent[marginal.name];
    const mark = winner === undefined || winner === null ? [] : [{ xAxis: numeric ? winner : marginal.values.map(String).indexOf(String(winner)) }];
    return {
      grid: { left: 6, right: 12, top: 8, bottom: 4, containLabel: true },
      brush: { xAxisIndex: 0, throttleType: "debounce", throttleDelay: 100, brushStyle: { color: "transparent", borderColor: line, borderWidth: 1 }, outOfBrush: {} },
      xAxis: axis(numeric ? { type: kind?.log ? "log" : "value", min: "dataMin", max: "dataMax", splitLine: { show: false }, splitNumber: 4, axisLabel: { formatter: (value: number) => number(value, 2) } } : { type: "category", data: marginal.values.map(String), splitLine: { show: false } }),
      yAxis: axis({ type: "value", scale: true, min: span[0], max: span[1], splitNumber: 3, axisLine: { show: false }, axisLabel: { formatter: (value: number) => number(value, 3), showMinLabel: false, showMaxLabel: false } }),
      tooltip: tooltip({ trigger: "axis", formatter: (items: { value: [number, number]; axisValueLabel?: string; seriesId?: string }[]) => {
        const item = items.find((one) => one.seriesId === "mean");
        return item ? `${item.axisValueLabel ?? number(item.value[0])}: ${number(item.value[1])}` : "";
      } }),
      series: [
        numeric ? band : whiskers,
        { id: "mean", type: numeric ? "line" : "scatter", showSymbol: false, symbolSize: 9, data: places.map((place) => [x(place), marginal.mean[place]]), lineStyle: { color: line, width: 2 }, itemStyle: { color: line }, z: 3, emphasis: { disabled: true },
          markLine: { silent: true, symbol: "none", animation: false, precision: 12, data: mark, label: { show: false }, lineStyle: { color: colour("muted"), type: "dashed", width: 1 } } },
      ],
    };
  }
}

function _index(params: unknown): number {
  return (params as { dataIndex: number }).dataIndex;
}
