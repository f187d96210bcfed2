// Which trials are shown: filters as the address and the API write them (F:OP:V), and the sentence that says them. Pure.

import { number } from "../format.js";

export const OPERATORS = ["eq", "ne", "lt", "le", "gt", "ge", "in", "has"] as const;
export type Operator = (typeof OPERATORS)[number];

export interface Filter {
  column: string;
  operator: Operator;
  value: string;
}

const WORDS: Record<Operator, string> = {
  eq: "is", ne: "is not", lt: "is below", le: "is at most", gt: "is above", ge: "is at least", in: "is one of", has: "contains",
};

export function word(operator: Operator): string {
  return WORDS[operator];
}

// Reads "F:OP:V"; null for what is none, which an address may hold.
export function parsed(text: string): Filter | null {
  const match = /^([^:]+):([a-z]+):([^]*)$/.exec(text);
  if (!match) return null;
  const [, column, operator, value] = match as unknown as [string, string, string, string];
  return (OPERATORS as readonly string[]).includes(operator) ? { column, operator: operator as Operator, value } : null;
}

export function written(filter: Filter): string {
  return `${filter.column}:${filter.operator}:${filter.value}`;
}

// The values of an `in`: separated by commas; a comma of a value itself is written %2C.
export function listed(values: readonly string[]): string {
  return values.map((value) => value.replaceAll("%", "%25").replaceAll(",", "%2C")).join(",");
}

export function unlisted(text: string): string[] {
  return text.split(",").map((value) => {
    try {
      return decodeURIComponent(value);
    } catch {
      return value;
    }
  });
}

// The filters that keep a column within a range, in place of those of the column before.
export function within(filters: readonly Filter[], column: string, low: number, high: number): Filter[] {
  return [
    ...without(filters, column),
    { column, operator: "ge", value: plainNumber(low) },
    { column, operator: "le", value: plainNumber(high) },
  ];
}

export function amongst(filters: readonly Filter[], column: string, values: readonly string[]): Filter[] {
  return [...without(filters, column), { column, operator: "in", value: listed(values) }];
}

export function without(filters: readonly Filter[], column: string): Filter[] {
  return filters.filter((filter) => filter.column !== column);
}

function plainNumber(value: number): string {
  return String(Number(value.toPrecision(6)));
}

// The range that the filters of a column leave: [low, high], each null without a bound; null where none is a bound.
export function range(filters: readonly Filter[], column: string): [number | null, number | null] | null {
  let low: number | null = null;
  let high: number | null = null;
  for (const filter of filters) {
    if (filter.column !== column) continue;
    const value = Number(filter.value);
    if (!Number.isFinite(value)) continue;
    if (filter.operator === "ge" || filter.operator === "gt" || filter.operator === "eq") low = Math.max(low ?? -Infinity, value);
    if (filter.operator === "le" || filter.operator === "lt" || filter.operator === "eq") high = Math.min(high ?? Infinity, value);
  }
  return low === null && high === null ? null : [low, high];
}

// The values that the filters of a column name; null where none names any.
export function named(filters: readonly Filter[], column: string): string[] | null {
  const found = filters.find((f) => f.column === column && (f.operator === "in" || f.operator === "eq"));
  if (!found) return null;
  return found.operator === "in" ? unlisted(found.value) : [found.value];
}

export interface Said {
  text: string;
  filters: Filter[]; // those that the text stands for
}

// One text a column and comparison: a lower and an upper bound become "from ... to ...".
export function said(filters: readonly Filter[], label: (column: string) => string = (c) => c): Said[] {
  const found: Said[] = [];
  const done = new Set<Filter>();
  for (const filter of filters) {
    if (done.has(filter)) continue;
    const other = filter.operator === "ge" ? filters.find((f) => f.column === filter.column && f.operator === "le") : undefined;
    const mine = other ? [filter, other] : [filter];
    for (const one of mine) done.add(one);
    const text = other
      ? `${label(filter.column)} from ${shown(filter.value)} to ${shown(other.value)}`
      : `${label(filter.column)} ${WORDS[filter.operator]} ${values(filter)}`;
    found.push({ text, filters: mine });
  }
  return found;
}

function values(filter: Filter): string {
  return filter.operator === "in" ? unlisted(filter.value).map(shown).join(", ") : shown(filter.value);
}

function shown(value: string): string {
  if (value === "") return "empty";
  const asNumber = Number(value);
  return Number.isFinite(asNumber) && value.trim() === value && !/^0x/i.test(value) ? number(asNumber) : value;
}

// "1,204 of 100,000 rows: status is completed; learning_rate from 0.001 to 0.01."
export function sentence(matched: number, total: number, filters: readonly Filter[], search: string, label?: (c: string) => string): string {
  const whole = total === 1 ? "1 row" : `${total.toLocaleString("en")} rows`;
  const parts = said(filters, label).map((one) => one.text);
  if (search) parts.push(`“${search}” anywhere`);
  if (!parts.length) return `All ${whole}.`;
  return `${matched.toLocaleString("en")} of ${whole}: ${parts.join("; ")}.`;
}
