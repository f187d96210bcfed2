// Brushes on axes as filters of columns, and filters as brushes. Pure.

import type { Dimension } from "./answers.js";
import { amongst, named, range, within, without, type Filter } from "./trials_filters.js";

export function asFilters(filters: readonly Filter[], column: string, dimension: Dimension, interval: [number, number]): Filter[] {
  const [low, high] = [Math.min(...interval), Math.max(...interval)];
  if (!dimension.values) return within(filters, column, low, high);
  const chosen = dimension.values.filter((_, place) => place >= Math.round(low) && place <= Math.round(high));
  return chosen.length ? amongst(filters, column, chosen) : without(filters, column);
}

export function asInterval(filters: readonly Filter[], column: string, dimension: Dimension): [number, number] | null {
  if (!dimension.values) {
    const found = range(filters, column);
    if (!found || dimension.low === null || dimension.high === null) return null;
    return [Math.max(dimension.low, found[0] ?? dimension.low), Math.min(dimension.high, found[1] ?? dimension.high)];
  }
  const places = (named(filters, column) ?? []).map((value) => dimension.values!.indexOf(value)).filter((place) => place >= 0);
  if (!places.length) return null;
  return [Math.min(...places) - 0.4, Math.max(...places) + 0.4];
}
