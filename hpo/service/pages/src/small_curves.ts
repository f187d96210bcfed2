// A small picture of anytime curves: the mean of each method as a step line, its 95% interval as a band. Plain SVG.

import { h, put, s } from "./dom.js";
import { number } from "./format.js";
import type { Look } from "./models.js";

export interface MethodCurve {
  method: string;
  x: number[];
  mean: number[];
  low: number[];
  high: number[];
  runs: number;
  value: number | null;
}

const HEIGHT = 190;
const LEFT = 46;
const RIGHT = 8;
const TOP = 8;
const BOTTOM = 24;
const MOST_BANDS = 8;

// A figure with its caption, which draws itself anew as its width changes.
export function smallCurves(title: HTMLElement, caption: string, curves: readonly MethodCurve[], looks: ReadonlyMap<string, Look>, mode: "max" | "min"): HTMLElement {
  const head = h("figcaption", {}, title, h("span.note", {}, caption));
  if (!curves.some((curve) => curve.x.length)) return h("figure", {}, head, h("p.note", {}, "No epoch has been charged yet."));
  const frame = h("div.small-curve");
  const best = [...curves].sort((a, b) => ((b.mean.at(-1) ?? 0) - (a.mean.at(-1) ?? 0)) * (mode === "max" ? 1 : -1));
  const said = best.map((curve) => `${curve.method} ${number(curve.mean.at(-1))}`).join(", ");
  const draw = (width: number) => put(frame, picture(Math.max(220, width), curves, looks, `Mean best value so far. At the end: ${said}`));
  new ResizeObserver(([entry]) => entry && draw(Math.round(entry.contentRect.width))).observe(frame);
  return h("figure", {}, head, frame);
}

function picture(width: number, curves: readonly MethodCurve[], looks: ReadonlyMap<string, Look>, label: string): SVGSVGElement {
  const right = Math.max(1e-9, ...curves.map((curve) => curve.x.at(-1) ?? 0));
  const [low, high] = range(curves);
  const x = (value: number) => LEFT + (value / right) * (width - LEFT - RIGHT);
  const y = (value: number) => TOP + (1 - (value - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  const svg = s("svg", { width, height: HEIGHT, role: "img", "aria-label": label });
  for (const tick of ticks(low, high, 4)) {
    svg.append(s("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(tick), y2: y(tick) }));
    svg.append(s("text", { x: LEFT - 6, y: y(tick) + 4, "text-anchor": "end" }, number(tick, 3)));
  }
  for (const tick of ticks(0, right, Math.max(2, Math.floor(width / 90)))) {
    svg.append(s("text", { x: x(tick), y: HEIGHT - 6, "text-anchor": "middle" }, number(tick, 3)));
  }
  const [wide, tall] = [width - LEFT - RIGHT, HEIGHT - TOP - BOTTOM];
  const plot = s("svg", { x: LEFT, y: TOP, width: wide, height: tall, viewBox: `${LEFT} ${TOP} ${wide} ${tall}` }); // it clips
  svg.append(plot);
  const tint = (method: string) => `tint-${looks.get(method)?.tint ?? "other"}`;
  for (const curve of curves.filter((one) => banded(curves, looks, one))) {
    const ahead = steps(curve.x, curve.high, right, x, y);
    const back = steps(curve.x, curve.low, right, x, y).reverse();
    plot.append(s("path", { class: `band ${tint(curve.method)}`, d: `M${[...ahead, ...back].join("L")}Z` }));
  }
  for (const curve of curves) {
    const d = `M${steps(curve.x, curve.mean, right, x, y).join("L")}`;
    const dash = looks.get(curve.method)?.dash.map((part) => part * 2).join(" ") || null;
    plot.append(s("path", { class: `line ${tint(curve.method)}`, d, "stroke-dasharray": dash }, s("title", {}, `${curve.method}: ${number(curve.mean.at(-1))}`)));
  }
  return svg;
}

// Bands of many grey methods would hide all lines: of them only the lines are drawn.
function banded(curves: readonly MethodCurve[], looks: ReadonlyMap<string, Look>, curve: MethodCurve): boolean {
  return curves.length <= MOST_BANDS || (looks.get(curve.method)?.tint ?? "other") !== "other";
}

// The corners of a curve that holds each value until the next one.
function steps(xs: number[], ys: number[], right: number, x: (value: number) => number, y: (value: number) => number): string[] {
  const found: string[] = [];
  const at = (i: number, j: number) => found.push(`${x(xs[i] as number).toFixed(1)},${y(ys[j] as number).toFixed(1)}`);
  for (let i = 0; i < xs.length; i += 1) {
    if (i) at(i, i - 1);
    at(i, i);
  }
  if (xs.length) found.push(`${x(right).toFixed(1)},${y(ys.at(-1) as number).toFixed(1)}`);
  return found;
}

// What the means span, but for the first values, which are far from the rest; bands may reach beyond it.
function range(curves: readonly MethodCurve[]): [number, number] {
  const values = curves.flatMap((curve) => curve.mean).filter(Number.isFinite).sort((a, b) => a - b);
  if (!values.length) return [0, 1];
  const low = values[Math.floor(values.length * 0.06)] as number;
  const high = values[values.length - 1] as number;
  const gap = (high - low) * 0.14 || Math.abs(high) * 0.05 || 1;
  return [low - gap, high + gap];
}

function ticks(low: number, high: number, wanted: number): number[] {
  const rough = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough) ?? rough;
  const found: number[] = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high + step / 1e6; tick += step) found.push(Number(tick.toPrecision(12)));
  return found;
}
