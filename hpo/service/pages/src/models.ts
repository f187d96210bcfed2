// What the API answers; hpo/service/models/ says what each field means.

export type Word = "queued" | "starting" | "running" | "no sign of life" | "stopped" | "failed" | "complete";

export interface State {
  word: Word;
  since: number | null;
  sentence: string;
  command: string | null;
}

export interface Budget {
  unit: "epochs" | "cost";
  a_run: number | null;
  total: number | null;
  charged: number;
}

export interface Best {
  method: string;
  value: number | null;
  trial: string | null;
}

export interface Summary {
  study: string;
  suite: string | null;
  archived: boolean;
  owner: string | null;
  priority: number | null;
  state: State;
  task: string | null;
  trainable: string | null;
  metric: string;
  mode: "max" | "min";
  methods: string[];
  seeds: number;
  runs: number;
  runs_complete: number;
  budget: Budget;
  progress: number;
  best: Best | null;
  verdict: string | null;
  failed_trials: number;
  trained_epochs: number;
  left_epochs: number | null;
  seconds_left: number | null;
  began: number | null;
  updated: number | null;
  sign_of_life: number | null;
}

export interface Run {
  run: string;
  method: string;
  seed: number;
  status: string;
  reason: string | null;
  budget_epochs: number | null;
  budget_cost: number | null;
  charged_epochs: number;
  charged_cost: number | null;
  wasted_epochs: number;
  best: number | null;
  trials: Record<string, number>;
}

export interface Look {
  tint: string; // the name of a colour of the theme: var(--method-0)
  dash: number[];
}

export interface Occupancy {
  slots: number;
  busy: number;
  starting: number;
  waiting: number;
}

export interface Physical {
  trained_epochs: number;
  left_epochs: number | null;
  epochs_per_second: number | null;
  seconds_left: number | null;
  wasted_epochs: number;
}

export interface Study extends Summary {
  seeds_list: number[];
  folds: number;
  max_epochs: number | null;
  parallelism: number | null;
  run_list: Run[];
  trials: number;
  metrics: string[];
  warnings: string[];
  failed_exams: string | null;
  looks: Record<string, Look>;
  occupancy: Occupancy | null;
  physical: Physical;
  failure: string | null;
  job: { id: string; page: string } | null;
  verdict_sentence: string | null;
  version: string;
}

export type Interval = [number, number] | null;

export interface MethodRow {
  method: string;
  runs: number;
  partial: number;
  mean: number | null;
  ci95: Interval;
  mean_rank: number | null;
  best: number | null;
  test_mean: number | null;
  trials: number;
  failed_trials: number;
  task_means: Record<string, number | null>;
}

export interface PairRow {
  a: string;
  b: string;
  pairs: number;
  difference: number | null;
  ci95: Interval;
  p_adjusted: number | null;
  verdict: "a better" | "b better" | "equivalent" | "undecided";
  more_blocks: number | null;
  more_blocks_range: [number, number] | null;
  chances: Record<string, number> | null;
}

export interface Comparison {
  metric: string;
  mode: "max" | "min";
  verdict: string;
  notes: string[];
  tasks: string[];
  blocks: string;
  point: number | null;
  methods: MethodRow[];
  tests: PairRow[];
  aggregates: { methods: { method: string; iqm: number; ci95: Interval }[]; improvements: { a: string; b: string; probability: number; ci95: Interval }[] } | null;
  states?: Record<string, Word>; // of studies that are not complete
}

export interface Studies {
  studies: Summary[];
  total: number;
  next: string | null;
  counts?: Partial<Record<Word, number>>;
  owners?: string[];
  suites?: string[];
}

export interface Me {
  name: string;
  role: "view" | "run" | "admin";
  store: string;
  version: string;
  can: string[];
  cluster: boolean;
  session?: boolean; // whether there is one to log out of
}
