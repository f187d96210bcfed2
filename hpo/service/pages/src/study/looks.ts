// How methods are drawn: colour, dash and a swatch, the same everywhere.

import { h, s, type Child } from "../dom.js";
import { colour } from "../frame.js";
import type { Look } from "../models.js";

export type Looks = Record<string, Look>;

export function tint(looks: Looks, method: string): string {
  return colour(looks[method]?.tint ?? "ink") || colour("ink");
}

export function dash(looks: Looks, method: string): number[] | "solid" {
  const given = looks[method]?.dash ?? [];
  return given.length ? given.map((length) => 2 * length) : "solid";
}

// Whether the method has a colour of its own; of many, most share a grey.
export function coloured(looks: Looks, method: string): boolean {
  return (looks[method]?.tint ?? "other") !== "other";
}

export function swatch(looks: Looks, method: string): SVGSVGElement {
  const given = looks[method];
  const line = s("line", {
    x1: 1, x2: 25, y1: 4, y2: 4, "stroke-width": 3, stroke: `var(--${given?.tint ?? "ink"})`,
    "stroke-dasharray": given?.dash.length ? given.dash.map((length) => 2 * length).join(" ") : null,
  });
  return s("svg", { viewBox: "0 0 26 8", class: "swatch", "aria-hidden": "true" }, line);
}

export function methodOf(run: string): string {
  return run.slice(0, run.lastIndexOf("/"));
}

export function methodName(looks: Looks, method: string): HTMLSpanElement {
  return h("span.method", {}, swatch(looks, method), h("span", {}, ...breaking(method)));
}

// A name that may go on in the next line after its own separators, rather than anywhere.
export function breaking(name: string): Child[] {
  return name.split(/(?<=[_\-/.])/).flatMap((part, place) => (place ? [h("wbr"), part] : [part]));
}
