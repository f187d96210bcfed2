// How methods are drawn where several studies share a picture: as hpo/report/palette.py does it for one.

import { s } from "./dom.js";
import type { Look } from "./models.js";

const COLOURS = 8;
const TOP = 6; // in colour where there are more methods than colours
const DASHES: number[][] = [[], [5, 1.5], [1.2, 1.2], [6, 1.5, 1.2, 1.5]];

// A look for each method: up to eight by their place, of more the first of `best`, the others grey.
export function looksOf(methods: readonly string[], best: readonly string[] = methods): Map<string, Look> {
  const coloured = methods.length <= COLOURS ? methods : best.slice(0, TOP);
  return new Map(
    methods.map((method) => {
      const place = coloured.indexOf(method);
      return [method, place < 0 ? { tint: "other", dash: [] } : { tint: `method-${place}`, dash: DASHES[place % DASHES.length] ?? [] }];
    }),
  );
}

// A piece of a method's line, for legends and tables.
export function lookKey(look: Look | undefined): SVGSVGElement {
  const dash = look?.dash.map((part) => part * 2).join(" ") || null;
  return s("svg", { viewBox: "0 0 26 8", class: `key tint-${look?.tint ?? "other"}`, "aria-hidden": "true" }, s("line", { x1: 1, x2: 25, y1: 4, y2: 4, "stroke-width": 3, "stroke-dasharray": dash }));
}
