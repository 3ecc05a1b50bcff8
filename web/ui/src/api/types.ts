// The control API's types: the same names, units and nullability as api/control.go. Times are RFC 3339 in UTC.
// Go writes an empty list as null or [], so every list may be null here.

import type { Origin, RemovedVersion, Variant } from "./registry";
import type { DeploymentRollout } from "./rollout";

export type Time = string;
export type Grain = "hour" | "day";
export type List<T> = T[] | null;

export interface Status {
  version: string;
  started: Time;
  now: Time;
  engine: string;
  recorded: number;
  dropped: number;
  stored: number;
  labels: number;
  lag_seconds: number;
  loss_window_seconds: number;
}

export interface Tensor {
  name: string;
  datatype: string;
  shape: List<number>;
  features?: List<string>;
  role?: string;
  classes?: List<string>;
}

export interface RefInfo {
  rows: number;
  from?: Time;
  to?: Time;
  phases: boolean;
}

export interface ModelVersion {
  model: string;
  version: number;
  digest: string;
  created: Time;
  size_bytes: number;
  task: string;
  inputs: List<Tensor>;
  outputs: List<Tensor>;
  label?: string;
  reference?: RefInfo | null;
  notes?: List<string>;
  variants?: List<Variant>;
  origins?: List<Origin>;
  card?: string;
  tests?: number;
}

/** ModelExample is a request that a version answers. */
export interface ModelExample {
  source: "reference" | "golden" | "made";
  request: { instances?: Record<string, unknown>[]; inputs?: unknown[] };
}

export interface Model {
  name: string;
  aliases: Record<string, number> | null;
  versions: List<ModelVersion>;
  removed?: List<RemovedVersion>;
}

export interface Live {
  requests_per_second: number;
  rows_per_second: number;
  errors_per_second: number;
  p50_ms: number | null;
  p95_ms: number | null;
  p99_ms: number | null;
}

export interface LivePoint {
  time: Time;
  rows: number;
  p50_ms: number | null;
  p99_ms: number | null;
}

export interface Annotation {
  id?: string;
  kind: "planted" | "note";
  title: string;
  text?: string;
  start: Time;
  end: Time;
}

/** Serving is how a loaded version is run; times in microseconds. */
export interface Serving {
  max_batch: number;
  batching: string;
  fixed_us: number;
  per_row_us: number;
  threads: number;
  memory_bytes: number;
  cache_ttl_seconds: number;
  decode_us: number;
  queue_us: number;
  run_us: number;
  encode_us: number;
  requests: number;
  runs: number;
  cache_hits: number;
  waiting: number;
  refused: number;
  report?: List<string>;
}

export interface Deployment {
  name: string;
  model: string;
  version: number;
  digest: string;
  task: string;
  state: "ready" | "loading" | "failed" | "unloaded";
  reason?: string;
  live: Live;
  rows: number;
  labelled: number;
  from?: Time;
  to?: Time;
  firing: number;
  label?: string;
  drifted: List<string>;
  history: List<LivePoint>;
  annotations: List<Annotation>;
  rollout?: DeploymentRollout | null;
  serving?: Serving | null;
}

export interface Cell {
  n: number;
  m: number;
  reference: string;
  psi: number | null;
  psi_debiased: number | null;
  psi_floor: number | null;
  ks: number | null;
  ks_floor: number | null;
  d1: number | null;
  d1_floor: number | null;
  js: number | null;
  js_floor: number | null;
  missing: number;
  unseen: number;
  verdict: "ok" | "drifted" | "too_few";
  provisional: boolean;
}

export interface DriftColumn {
  name: string;
  kind: "numeric" | "categorical";
  output: boolean;
  cells: List<Cell | null>;
}

export interface Rule {
  measure: string;
  threshold: number;
  grain: Grain;
  for: number;
  of?: number;
  fdr?: number;
  clear: number;
}

export interface Drift {
  deployment: string;
  version: number;
  grain: Grain;
  windows: List<Time>;
  columns: List<DriftColumn>;
  rule: Rule;
  empty?: string;
}

export interface Bin {
  label: string;
  kind: "range" | "value" | "category" | "other" | "under" | "over" | "null" | "nan" | "inf" | "unseen";
  low: number | null;
  high: number | null;
  reference: number;
  current: number;
  rows: number;
}

export interface Distribution {
  column: string;
  kind: "numeric" | "categorical";
  grain: Grain;
  start: Time;
  end: Time;
  cell: Cell;
  bins: List<Bin>;
  mean: number | null;
  reference_mean: number | null;
}

export interface MetricsPoint {
  start: Time;
  n: number;
  labelled: number;
  provisional: boolean;
  metrics: Record<string, number | null> | null;
}

export interface Metrics {
  deployment: string;
  grain: Grain;
  task: string;
  label: string;
  names: List<string>;
  points: List<MetricsPoint>;
  reference?: MetricsPoint | null;
  empty?: string;
}

export interface Alert {
  id: string;
  deployment: string;
  column: string;
  state: "pending" | "firing" | "resolved";
  measure: string;
  value: number;
  worst: number;
  threshold: number;
  floor: number;
  n: number;
  grain: Grain;
  onset: Time;
  last: Time;
  fired?: Time;
  resolved?: Time;
  message: string;
  planted?: string;
  incident?: string;
  acknowledged?: Acknowledgement;
  silenced?: { id: string; reason: string; by: string; until?: Time };
}

export interface Acknowledgement {
  by: string;
  note?: string;
  at: Time;
}

/** Bounded is a number with its interval. */
export interface Bounded {
  value: number;
  low?: number | null;
  high?: number | null;
}

export interface ValueShare {
  label: string;
  before: number;
  now: number;
  part: number;
}

export interface ExampleRow {
  id: string;
  time: Time;
  why: string;
  value: unknown;
  back?: unknown;
  score?: number | null;
  score_back?: number | null;
  decision?: string;
  decision_back?: string;
  inputs: { name: string; value: unknown; redacted?: boolean }[] | null;
}

/** AlertExplanation is what the server knows of an alert. */
export interface AlertExplanation {
  alert: Alert;
  text: string;
  harm: "hurts" | "moves" | "unknown" | "quiet";
  course: { kind: "none" | "instantaneous" | "gradual" | "periodic" | "temporary"; confidence: number; provisional: boolean };
  since: Time;
  until?: Time;
  sure: { windows: number; drifted: number; rows: number; psi: number; floor: number; rule: string };
  shares: ValueShare[] | null;
  related: { column: string; output?: boolean; onset: Time; psi: number }[] | null;
  effects: { what: string; before: number; since: number; clear: boolean }[] | null;
  changes: { time: Time; text: string }[] | null;
  advice: string[] | null;
  carried?: { says: string; even: boolean; reason?: string; segments: { label: string; part: Bounded; rows: number }[] | null };
  impact?: { says: string; reason?: string; rows: number; version?: number };
  examples?: ExampleRow[] | null;
  together: string[] | null;
}

export interface SQLAnswer {
  columns: List<string>;
  types: List<string>;
  rows: List<unknown[]>;
  truncated: boolean;
  seconds: number;
}

export interface ErrorBody {
  error: string;
  code: string;
  hint?: string;
}
