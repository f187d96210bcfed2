// The anytime curves: the mean of each method with its band, the runs of a method on demand.

import type { CustomSeriesRenderItemAPI, CustomSeriesRenderItemParams, EChartsCoreOption } from "echarts";
import { api, get, studyPath } from "../api.js";
import { axis, Chart, plain, tooltip } from "./chart.js";
import { h, put } from "../dom.js";
import { number } from "../format.js";
import { colour, trouble } from "../frame.js";
import { coloured, dash, tint, type Looks } from "./looks.js";
import type { Anytime, Band, Over, StudyDetail } from "./answers.js";
import { span } from "./spans.js";
import type { View } from "./view.js";

const OVERS: [Over, string][] = [["epochs", "Epochs"], ["cost", "Cost"], ["seconds", "Seconds"]];
const FEW = 8; // methods whose bands are all drawn

export class AnytimePanel {
  readonly element = h("section.panel.wide", { "aria-labelledby": "anytime-heading" });
  private readonly heading = h("h2", { id: "anytime-heading" }, "Best value so far");
  private readonly chart = new Chart("tall");
  private readonly problem = h("div", { hidden: true });
  private readonly note = h("p.note");
  private readonly overs = h("fieldset.choice", {}, h("legend", {}, "Over"));
  private readonly whole = h("input", { type: "checkbox", id: "whole-range" });
  private data: Anytime | null = null;
  private looks: Looks = {};
  private focus: string | null = null;
  private pinned = new Set<string>();
  private readonly pointed: ((method: string | null) => void)[] = [];

  constructor(private readonly study: string, private readonly view: View) {
    for (const [over, label] of OVERS) {
      const input = h("input", { type: "radio", name: "over", value: over });
      input.addEventListener("change", () => view.set({ over: over === "epochs" ? "" : over }));
      this.overs.append(h("label", {}, input, label));
    }
    this.whole.addEventListener("change", () => this.draw());
    const tools = h("div.tools", {}, this.overs, h("label.tick", {}, this.whole, "Whole range"));
    this.element.append(h("div.panel-head", {}, this.heading, tools), this.problem, this.chart.element, this.note);
    this.chart.when((drawn) => {
      drawn.on("mouseover", (event) => this.point(event.seriesName ?? null)); // a line's event has no id of its series
      drawn.on("mouseout", () => this.point(null));
    });
  }

  // Runs with the method that the pointer is at, null where it left.
  onpoint(action: (method: string | null) => void): void {
    this.pointed.push(action);
  }

  highlight(method: string | null): void {
    if (method === this.focus) return;
    this.focus = method;
    this.draw();
  }

  unfold(methods: Set<string>): void {
    this.pinned = methods;
    this.draw();
  }

  async show(study: StudyDetail): Promise<void> {
    this.looks = study.looks;
    const wanted = this.view.text("over") as Over;
    const over = OVERS.some(([name]) => name === wanted) ? wanted : study.budget.unit;
    for (const input of this.overs.querySelectorAll("input")) {
      input.checked = input.value === over;
      (input.closest("label") as HTMLElement).hidden = input.value === "cost" && study.budget.unit !== "cost";
    }
    put(this.heading, `Best ${study.metric} so far`);
    try {
      this.data = await get<Anytime>(`${studyPath(this.study)}/anytime`, { query: { over } });
      trouble(this.problem, null);
    } catch (error) {
      trouble(this.problem, error, () => void this.show(study));
      if (!this.data || this.data.over !== over) this.chart.element.hidden = true;
      return;
    }
    const empty = !this.data.methods.length;
    this.chart.element.hidden = empty;
    put(this.note, empty ? "No epoch has been charged yet: the curves begin with the first." : this.said(this.data));
    this.draw();
  }

  links(): HTMLElement {
    const figure = (kind: string) => api(`${studyPath(this.study)}/figures/anytime.${kind}`);
    return h("span", {}, h("a", { href: figure("svg") }, "SVG"), " ", h("a", { href: figure("png") }, "PNG"));
  }

  private point(method: string | null): void {
    this.highlight(method);
    for (const action of this.pointed) action(method);
  }

  private said(data: Anytime): string {
    const single = data.methods.every((method) => method.low.every((value) => value === null));
    const band = single ? "one run each" : "the shade is the 95% interval of the mean over seeds";
    return `Lines are means over runs; ${band}. Point at a line or choose a method in the table to see its runs.`;
  }

  private draw(): void {
    const data = this.data;
    if (!data || this.chart.element.hidden) return;
    const values = data.methods.map((m) => `${m.method} ${number(m.value)}`).join(", ");
    this.chart.show(`Best ${data.metric} so far over ${data.over}, by method: ${values}. The table of methods has the same values.`, () => this.option(data));
  }

  private option(data: Anytime): EChartsCoreOption {
    const unit = data.over === "seconds" ? "seconds, the method alone on its workers" : data.over === "cost" ? "charged cost of a run" : "charged epochs of a run";
    const [min, max, interval] = this.whole.checked ? [undefined, undefined, undefined] : span(data.methods, data.mode);
    const lines = data.methods.flatMap((method) => [...this.band(data, method), this.mean(method), ...this.runs(data, method)]);
    return {
      grid: { left: 12, right: 18, top: 14, bottom: 34, containLabel: true },
      xAxis: axis({ type: "value", name: unit, nameLocation: "middle", nameGap: 28, min: 0, max: data.budget ?? "dataMax" }),
      yAxis: axis({ type: "value", scale: true, min, max, interval, axisLine: { show: false }, axisLabel: { formatter: (value: number) => number(value) } }),
      tooltip: tooltip({ trigger: "axis", formatter: (items: { seriesId?: string; value: [number, number] }[]) => this.tip(data, items) }),
      axisPointer: { lineStyle: { color: colour("muted") } },
      series: lines,
    };
  }

  private tip(data: Anytime, items: { seriesId?: string; value: [number, number] }[]): string {
    const x = items.find((item) => item.seriesId?.startsWith("mean|"))?.value[0];
    if (x === undefined) return "";
    const sign = data.mode === "max" ? -1 : 1;
    const means = data.methods.flatMap(({ method, x: corners, mean }): [string, number][] => {
      const value = mean[corners.findLastIndex((corner) => corner <= x)]; // a step holds until the next corner
      return value === null || value === undefined ? [] : [[method, value]];
    });
    means.sort((a, b) => sign * (a[1] - b[1]));
    const rows = means.slice(0, 12).map(([method, value]) => `${number(value)}  ${plain(method)}`);
    if (means.length > 12) rows.push(`and ${means.length - 12} more`);
    return [`${number(x)} ${data.over}`, ...rows].join("\n");
  }

  private faint(method: string): boolean {
    if (this.focus !== null) return this.focus !== method;
    return this.pinned.size > 0 && !this.pinned.has(method);
  }

  private mean(method: Band): Record<string, unknown> {
    const faint = this.faint(method.method);
    const strong = this.focus === method.method || this.pinned.has(method.method);
    return {
      id: `mean|${method.method}`, name: method.method, type: "line", step: "end", showSymbol: false, triggerLineEvent: true,
      data: method.x.map((x, place) => [x, method.mean[place]]), z: strong ? 5 : coloured(this.looks, method.method) ? 4 : 2,
      lineStyle: { color: tint(this.looks, method.method), type: dash(this.looks, method.method), width: strong ? 3.2 : coloured(this.looks, method.method) ? 2.2 : 1.3, opacity: faint ? 0.18 : 1 },
      itemStyle: { color: tint(this.looks, method.method) }, emphasis: { disabled: true },
    };
  }

  private band(data: Anytime, method: Band): Record<string, unknown>[] {
    const shown = this.focus === method.method || this.pinned.has(method.method) || (data.methods.length <= FEW && !this.faint(method.method));
    const places = method.x.map((_, place) => place).filter((place) => method.low[place] !== null && method.high[place] !== null);
    if (!shown || places.length < 2) return [];
    const fill = tint(this.looks, method.method);
    const render = (params: CustomSeriesRenderItemParams, tools: CustomSeriesRenderItemAPI) => {
      const box = params.coordSys as unknown as { x: number; y: number; width: number; height: number };
      const at = (place: number, value: number | null | undefined) => tools.coord([method.x[place]!, value ?? 0]).map((n, i) => (i ? Math.min(box.y + box.height, Math.max(box.y, n)) : n));
      const up = places.map((place) => at(place, method.high[place]));
      const down = places.map((place) => at(place, method.low[place])).reverse();
      return { type: "polygon", shape: { points: [...up, ...down] }, style: { fill, opacity: data.methods.length > 4 && this.focus === null ? 0.09 : 0.15 }, silent: true };
    };
    return [{ id: `band|${method.method}`, type: "custom", renderItem: render, data: [[method.x[0], 0]], clip: true, silent: true, z: 1, tooltip: { show: false } }];
  }

  private runs(data: Anytime, method: Band): Record<string, unknown>[] {
    if (!this.pinned.has(method.method) && this.focus !== method.method) return [];
    return data.runs.filter((run) => run.method === method.method).map((run) => ({
      id: `run|${method.method}|${run.seed}`, name: run.run, type: "line", step: "end", showSymbol: false, silent: true, data: run.steps, z: 3,
      lineStyle: { color: tint(this.looks, method.method), width: 1, opacity: this.faint(method.method) ? 0.1 : 0.55 }, emphasis: { disabled: true },
    }));
  }
}
