// What the API answers about one study; hpo/service/models/ says what each member means.

import type { Comparison, MethodRow, Run, State, Study, Summary } from "../models.js";

export type Cell = string | number | boolean | null;
export type { Comparison, MethodRow, Run, State, Study, Summary };

export interface RunDetail extends Run {
  incumbent: string | null;
}

export interface Exam {
  trial: string;
  exam: string;
  epoch: number;
  reason: string | null;
  metrics: Record<string, number | null>;
}

export interface Hyperparameter {
  name: string;
  kind: "float" | "int" | "choice";
  low: number | null;
  high: number | null;
  log: boolean;
  step: number | null;
  values: Cell[] | null;
  condition: Record<string, Cell[]> | null;
}

export interface StudyDetail extends Study {
  run_list: RunDetail[];
  trials: number;
  max_epochs: number | null;
  parallelism: number | null;
  exams: Exam[];
  failed_exams: string | null;
  space: Hyperparameter[];
  metrics: string[];
  warnings: string[];
}

export interface Column {
  name: string;
  kind: "text" | "whole" | "real" | "flag";
  label: string;
  hyperparameter: boolean;
  values: Cell[] | null;
  low: number | null;
  high: number | null;
  log: boolean;
}

export interface Trials {
  total: number;
  matched: number;
  offset: number;
  columns: Column[];
  rows: Cell[][];
}

export interface Band {
  method: string;
  x: number[];
  mean: (number | null)[];
  low: (number | null)[];
  high: (number | null)[];
  runs: number;
  value: number | null;
}

export interface Steps {
  run: string;
  method: string;
  seed: number;
  steps: [number, number | null][];
}

export type Over = "epochs" | "cost" | "seconds";

export interface Anytime {
  metric: string;
  mode: "max" | "min";
  over: Over;
  unit: "epochs" | "cost";
  budget: number | null;
  methods: Band[];
  runs: Steps[];
}

export interface LedgerRow {
  run: string;
  method: string;
  seed: number;
  unit: "epochs" | "cost";
  budget: number | null;
  charged: number;
  charged_epochs: number;
  shared_epochs: number;
  wasted_epochs: number;
  train_seconds: number | null;
  reason: string | null;
}

export interface Ledger {
  unit: "epochs" | "cost";
  trained_epochs: number;
  sentence: string;
  runs: LedgerRow[];
}

export interface Dimension {
  name: string;
  kind: "range" | "choice";
  values: string[] | null;
  low: number | null;
  high: number | null;
  log: boolean;
}

export interface Parallel {
  total: number;
  dimensions: Dimension[];
  rows: { trial: string; run: string; values: (number | null)[]; best: boolean }[];
}

export interface Curve {
  trial: string;
  run: string;
  epochs: number[];
  values: (number | null)[];
  rungs: number[];
  pauses: number[];
  promotions: number[];
  status: string;
  best: boolean;
}

export interface Curves {
  metric: string;
  metrics: string[];
  total: number;
  curves: Curve[];
}

export interface Marginal {
  name: string;
  values: Cell[];
  mean: (number | null)[];
  std: (number | null)[];
}

export interface Importance {
  metric: string;
  trials: number;
  epochs: string;
  unexplained: number | null;
  decided: boolean;
  shares: { name: string; share: number; low: number | null; high: number | null }[];
  pairs: { a: string; b: string; share: number; low: number | null; high: number | null }[];
  marginals: Marginal[];
  incumbent: Record<string, Cell>;
  notes: string[];
}

export interface Failures {
  total: number;
  groups: { reason: string; kind: string; count: number; trials: string[] }[];
}

export interface Plan {
  rows: [string, string][];
  methods: string[];
  note: string | null;
  estimate: { epochs: number; seconds: number | null; gpu_hours: number | null } | null;
}

export interface Definition {
  yaml: string;
  command: string;
  environment: Record<string, unknown>;
  digest: string;
  warnings: string[];
  journal: string[];
}

export interface Asked {
  run: string;
  method: string;
  seed: number;
  number: number;
  status: string;
  epochs: number;
  best_epoch: number | null;
  best_value: number | null;
  incumbent: boolean;
  first_order: number | null;
  last_order: number | null;
  began: number | null;
  ended: number | null;
}

export interface TrialAnswer {
  study: string;
  trial: string;
  config: Record<string, Cell>;
  status: string;
  epochs: number;
  best_epoch: number | null;
  best_value: number | null;
  curve: Record<string, Cell[]>;
  runs: Asked[];
  attempts: { epoch: number; attempt: number; worker: string | null; seconds: number | null; finished: number | null }[];
  worker: string | null;
  seconds: number | null;
  failure: { epoch: number; kind: string; reason: string | null } | null;
  checkpoint: string | null;
  command: string;
  yaml: string;
}
