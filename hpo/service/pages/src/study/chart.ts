// A chart in a page: its size and colours follow the page, and it never takes the focus; a sentence says what it shows.

import type { EChartsCoreOption, EChartsType } from "echarts/core";
import { echarts } from "../echarts.js";
import { h } from "../dom.js";
import { colour } from "../frame.js";

const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', Arial, sans-serif";

export class Chart {
  readonly element = h("div.chart", { role: "img", "aria-label": "A chart that is not drawn yet" });
  private drawn: EChartsType | null = null;
  private build: (() => EChartsCoreOption) | null = null;
  private width = 0;
  private readonly ready: ((drawn: EChartsType) => void)[] = [];

  constructor(className = "") {
    if (className) this.element.classList.add(...className.split(" "));
    new ResizeObserver(() => this.fit()).observe(this.element);
    window.addEventListener("themechange", () => this.redraw());
  }

  // Draws what `build` answers now, and again whenever the theme or the width changes. `label` is for who does not see it.
  show(label: string, build: () => EChartsCoreOption): void {
    if (this.element.getAttribute("aria-label") !== label) this.element.setAttribute("aria-label", label);
    this.build = build;
    this.redraw();
  }

  // Runs once there is something drawn: handlers of the library are registered here.
  when(action: (drawn: EChartsType) => void): void {
    if (this.drawn) action(this.drawn);
    else this.ready.push(action);
  }

  get wide(): number {
    return this.element.clientWidth;
  }

  redraw(): void {
    if (!this.build || !this.element.clientWidth) return;
    this.drawn ??= echarts.init(this.element, null, { renderer: "svg" });
    this.width = this.element.clientWidth;
    this.drawn.setOption({ ...common(), ...this.build() }, { notMerge: false, replaceMerge: ["series", "xAxis", "yAxis"] });
    for (const action of this.ready.splice(0)) action(this.drawn); // a brush needs its axes
  }

  private fit(): void {
    if (!this.element.clientWidth) return;
    if (!this.drawn) return this.redraw();
    this.drawn.resize();
    if (Math.abs(this.width - this.element.clientWidth) > 1) this.redraw();
  }
}

// What all charts have in common: no movement, the page's font and colours, tooltips as drawn text.
function common(): EChartsCoreOption {
  return { animation: false, textStyle: { fontFamily: FONT, color: colour("ink"), fontSize: 12 }, tooltip: tooltip() };
}

export function tooltip(more: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    renderMode: "richText", // elements with style attributes are what the page's policy forbids
    confine: true,
    transitionDuration: 0,
    backgroundColor: colour("card"),
    borderColor: colour("line"),
    textStyle: { color: colour("ink"), fontSize: 12, lineHeight: 17, fontFamily: FONT },
    ...more,
  };
}

// An axis in the page's colours.
export function axis(more: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    axisLine: { onZero: false, lineStyle: { color: colour("line") } },
    axisTick: { lineStyle: { color: colour("line") } },
    axisLabel: { color: colour("muted"), hideOverlap: true, ...(more["axisLabel"] as object | undefined) },
    nameTextStyle: { color: colour("muted") },
    splitLine: { lineStyle: { color: colour("line"), opacity: 0.5 } },
    ...without(more, "axisLabel"),
  };
}

function without(values: Record<string, unknown>, name: string): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([key]) => key !== name));
}

// Text as the library's tooltips take it: it must not read a name's braces as a style.
export function plain(text: string): string {
  return text.replaceAll("{", "{\u200b");
}
