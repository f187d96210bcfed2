// The ends of an axis. Pure.

import type { Band } from "./answers.js";

// The range of the values without poor first epochs, which would squeeze the rest into a thin strip.
export function span(methods: readonly Band[], mode: "max" | "min"): [number?, number?, number?] {
  const values = methods.flatMap((m) => [...m.mean, ...m.low.slice(-1), ...m.high.slice(-1)]).filter((v) => v !== null).sort((a, b) => a - b);
  if (values.length < 3) return [];
  const at = (share: number) => values[Math.floor(share * (values.length - 1))]!;
  const [low, high] = mode === "max" ? [at(0.08), at(1)] : [at(0), at(0.92)];
  const room = 0.03 * (high - low) || 0.05 * Math.abs(high) || 0.05;
  const rough = (high - low + 2 * room) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((one) => one >= rough)!;
  const ends = [Math.floor((low - room) / step) * step, Math.ceil((high + room) / step) * step, step].map((v) => Number(v.toPrecision(8))) as [number, number, number];
  if (ends[0] < 0 && values[0]! >= 0) ends[0] = 0;
  if (ends[1] > 1 && values.at(-1)! <= 1) ends[1] = 1; // a share
  return ends;
}
