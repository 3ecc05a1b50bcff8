// Rollouts, as in api/rollout.go.
import type { List, Time } from "./types";

export type Phase = "waiting" | "running" | "baking" | "completed" | "rolled_back" | "ended";
export type Finding = "harm" | "non_inferior" | "open" | "no_data";
export type Mode = "abort" | "hold" | "report" | "off";
export type Command = "pause" | "resume" | "approve" | "promote" | "abort";

export interface Arm {
  version: number;
  share: number;
}

export interface Rollout {
  id: string;
  deployment: string;
  model: string;
  kind: "rollout" | "experiment" | "bandit";
  from: number;
  to: number;
  phase: Phase;
  stage: string;
  stages?: List<string>;
  shadow: boolean;
  canary: number;
  arms?: List<Arm>;
  started: Time;
  started_by?: string;
  why?: string;
  entered?: Time;
  ended?: Time;
  paused: boolean;
  waiting?: string;
  says: string;
  decisions: number;
  requests: { live: number; canary: number; pairs: number };
  policy?: Policy | null;
}

/** Policy is the part of a rollout's policy that the page reads; the server fills in every default. */
export interface Policy {
  stages?: List<{ traffic: string; requests?: number; time?: string; max?: string; approve?: boolean }>;
  bake?: string;
  budget?: number;
  metrics?: List<{ name: string; better?: "higher" | "lower" }>;
  bandit?: { event: string; better?: "higher" | "lower"; every?: string; floor?: string } | null;
}

export interface Side {
  n: number;
  events?: number;
  value: number;
}

export interface Evidence {
  gate: string;
  segment?: string;
  finding: Finding;
  required: boolean;
  mode: Mode;
  unit: string;
  live: Side;
  canary: Side;
  difference: number;
  lower: number;
  upper: number;
  margin: number;
  tolerance: number;
  log_e: number;
  threshold: number;
  alpha: number;
}

export interface Decision {
  sequence: number;
  time: Time;
  action: "start" | "enter" | "promote" | "complete" | "rollback" | "hold" | "continue" | "pause" | "resume" | "approve" | "report" | "weights" | "end";
  reason: string;
  stage: string;
  next?: string;
  text: string;
  actor: string;
  why?: string;
  evidence?: List<Evidence>;
}

export interface Explanation extends Rollout {
  history: List<Decision>;
  now: List<Evidence>;
  text: string;
}

export interface StartRequest {
  version: string;
  policy?: string;
  force?: boolean;
  by?: string;
  why?: string;
}

/** Forecast is what a policy means at a traffic. Times are in minutes; −1: not within the stage's longest time. */
export interface Forecast {
  runs: number;
  false_abort: number;
  aborted: number;
  promoted: number;
  minutes: number;
  late: number;
  stages: List<{
    stage: string;
    false_abort: number;
    minutes: number;
    late: number;
    undecided: number;
    waits: string;
    detect: number;
    detect_late: number;
    missed: number;
    affected: number;
  }>;
}

export interface Plan {
  deployment: string;
  traffic: { requests_per_second?: number; error_rate?: number };
  plan: Forecast;
  text: string;
}

/** DeploymentRollout is where a deployment's rollout stands, in the list of deployments. */
export interface DeploymentRollout {
  id: string;
  to: number;
  phase: Phase;
  stage: string;
  canary: number;
}
