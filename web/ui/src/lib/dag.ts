// Where the steps of a pipeline stand: each one column to the right of the last step that it needs.
import type { PipelineStep } from "../api/pipeline";

export interface Box {
  step: PipelineStep;
  column: number;
  row: number;
}

export interface Edge {
  /** Undefined is the request. */
  from: string | undefined;
  to: string;
  kind: "data" | "fallback";
}

export interface Dag {
  boxes: Box[];
  edges: Edge[];
  columns: number;
  rows: number;
}

/** layout keeps the order of the steps inside a column. A step that nothing feeds reads the request. */
export function layout(steps: PipelineStep[]): Dag {
  const column = new Map<string, number>();
  const used = new Map<number, number>();
  const known = new Set(steps.map((s) => s.name));
  const boxes: Box[] = [];
  const edges: Edge[] = [];
  for (const step of steps) { // each comes after those that it needs
    const needs = (step.needs ?? []).filter((n) => known.has(n));
    const at = needs.reduce((c, n) => Math.max(c, (column.get(n) ?? 0) + 1), 0);
    column.set(step.name, at);
    const row = used.get(at) ?? 0;
    used.set(at, row + 1);
    boxes.push({ step, column: at, row });
    if (needs.length === 0) edges.push({ from: undefined, to: step.name, kind: "data" });
    for (const n of needs) edges.push({ from: n, to: step.name, kind: "data" });
    if (step.fallback && known.has(step.fallback)) edges.push({ from: step.name, to: step.fallback, kind: "fallback" });
  }
  return { boxes, edges, columns: used.size, rows: Math.max(0, ...used.values()) };
}
