// Pipelines, as in api/pipeline.go.
import type { List, Tensor, Time } from "./types";

export interface PipelineStep {
  name: string;
  kind: "model" | "transform" | "process" | "ensemble" | "switch";
  runs: string;
  needs: List<string>;
  within?: string;
  fallback?: string;
  inputs: List<Tensor>;
  outputs: List<Tensor>;
  count: number;
  rows: number;
  failed: number;
  late: number;
  fallbacks: number;
  mean_ms: number;
}

export interface Pipeline {
  name: string;
  version: number;
  digest: string;
  pushed: Time;
  state: "ready" | "failed";
  reason?: string;
  task?: string;
  inputs: List<Tensor>;
  outputs: List<Tensor>;
  steps: List<PipelineStep>;
  versions: List<{ version: number; digest: string; pushed: Time; size: number }>;
}
