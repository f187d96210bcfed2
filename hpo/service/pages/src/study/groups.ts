// Groups of failures as filters of the trials. Pure.

import type { Failures } from "./answers.js";
import { listed, type Filter } from "./trials_filters.js";

type Group = Failures["groups"][number];

// The filters that show a group: its trials where all are named, else its kind and the longest plain part of its reason.
export function filtersOf(group: Pick<Group, "kind" | "reason">, trials: string[], count: number): Filter[] {
  if (trials.length === count) return [{ column: "trial", operator: "in", value: listed(trials) }];
  const parts = group.reason.split(/[0-9][^\s]*|'[^']*'|"[^"]*"|\S*\/\S*/).map((part) => part.trim());
  const longest = parts.sort((a, b) => b.length - a.length)[0] ?? "";
  const failed: Filter[] = [{ column: "kind", operator: "eq", value: group.kind }];
  return longest.length > 3 ? [...failed, { column: "reason", operator: "has", value: longest.slice(0, 120) }] : failed;
}
