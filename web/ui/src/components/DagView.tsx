import { useId } from "react";
import type { PipelineStep } from "../api/pipeline";
import { layout, type Box, type Dag, type Edge } from "../lib/dag";
import { compact, count, millis, plural } from "../lib/format";

const box = { width: 204, height: 110, gapX: 64, gapY: 24 };
const source = { width: 78, height: 34 };
const left = source.width + 52;

const x = (b: Box) => left + b.column * (box.width + box.gapX);
/** Arrows past a full column run above or below its boxes, and need room there. */
const pad = (dag: Dag) => (dag.edges.some((e) => lane(e, dag).some((c) => dag.boxes.filter((b) => b.column === c).length === dag.rows)) ? 24 : 8);
/** lane lists the columns that an arrow passes. */
function lane(e: Edge, dag: Dag): number[] {
  const column = (name: string | undefined) => dag.boxes.find((b) => b.step.name === name)?.column ?? -1;
  if (e.kind === "fallback" || e.from === undefined) return [];
  return Array.from({ length: Math.max(0, column(e.to) - column(e.from) - 1) }, (_, i) => column(e.from) + 1 + i);
}
/** Columns with fewer steps stand in the middle. */
const y = (b: Box, dag: Dag) => {
  const mine = dag.boxes.filter((o) => o.column === b.column).length;
  return pad(dag) + (b.row + (dag.rows - mine) / 2) * (box.height + box.gapY);
};

/** DagView draws the steps of a pipeline from left to right, with what each has cost. */
export function DagView({ name, steps }: { name: string; steps: PipelineStep[] }) {
  const id = useId();
  const dag = layout(steps);
  const width = left + dag.columns * (box.width + box.gapX) - box.gapX + 4;
  const height = dag.rows * (box.height + box.gapY) - box.gapY + 2 * pad(dag);
  const middle = height / 2;
  return (
    <div className="table-scroll" role="region" aria-label={`Steps of ${name}`} tabIndex={0}>
      <div className="dag" style={{ width, height }} data-testid={`dag-${name}`}>
        <svg width={width} height={height} aria-hidden="true">
          <defs>
            {(["data", "fallback"] as const).map((kind) => (
              <marker key={kind} id={`${id}${kind}`} className={`dag-arrow ${kind}`} viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto-start-reverse">
                <path d="M0 1 9 5 0 9Z" />
              </marker>
            ))}
          </defs>
          {dag.edges.map((e) => (
            <path key={`${e.from}-${e.to}-${e.kind}`} className={`dag-edge ${e.kind}`} d={route(e, dag, middle)} markerEnd={`url(#${id}${e.kind})`} />
          ))}
        </svg>
        <span className="dag-source" style={{ left: 0, top: middle - source.height / 2, width: source.width, height: source.height }}>request</span>
        <ol>
          {dag.boxes.map((b) => (
            <li key={b.step.name} className={`dag-step ${b.step.kind}`} style={{ left: x(b), top: y(b, dag), width: box.width, height: box.height }} data-testid={`step-${b.step.name}`}>
              <Step s={b.step} />
            </li>
          ))}
        </ol>
      </div>
    </div>
  );
}

/** route is the path of one arrow. Arrows into the same box end a little apart. */
function route(e: Edge, dag: Dag, middle: number): string {
  const at = (step: string | undefined) => dag.boxes.find((b) => b.step.name === step);
  const to = at(e.to);
  const from = at(e.from);
  if (!to) return "";
  if (e.kind === "fallback") return from ? sideways(x(from), y(from, dag), x(to), y(to, dag)) : "";
  const into = dag.edges.filter((o) => o.kind === "data" && o.to === e.to);
  const height = (o: Edge) => { const f = at(o.from); return f ? y(f, dag) : middle; };
  into.sort((a, b) => height(a) - height(b));
  const [bx, by] = [x(to) - 1, y(to, dag) + box.height / 2 + 14 * (into.indexOf(e) - (into.length - 1) / 2)];
  const [ax, ay] = from ? [x(from) + box.width, y(from, dag) + box.height / 2] : [source.width, middle];
  const bend = (x1: number, y1: number, x2: number, y2: number) => `C${(x1 + x2) / 2} ${y1} ${(x1 + x2) / 2} ${y2} ${x2} ${y2}`;
  const between = from ? dag.boxes.filter((b) => b.column > from.column && b.column < to.column) : [];
  if (between.length === 0) return `M${ax} ${ay}${bend(ax, ay, bx, by)}`;
  const above = ay <= middle;
  const run = above ? Math.min(...between.map((b) => y(b, dag))) - 12 : Math.max(...between.map((b) => y(b, dag))) + box.height + 12;
  const begin = Math.min(...between.map(x)) - 6;
  const end = Math.max(...between.map(x)) + box.width + 6;
  return `M${ax} ${ay}${bend(ax, ay, begin, run)}H${end}${bend(end, run, bx, by)}`;
}

/** sideways goes from the bottom or the top of a box to its fallback, which stands in the same column or nearby. */
function sideways(ax: number, ay: number, bx: number, by: number): string {
  const down = by > ay;
  const [sx, sy] = [ax + box.width * 0.82, down ? ay + box.height : ay];
  const [ex, ey] = [bx + box.width * 0.82, down ? by - 1 : by + box.height + 1];
  const c = Math.max(10, Math.abs(ey - sy) / 2) * (down ? 1 : -1);
  return `M${sx} ${sy}C${sx} ${sy + c} ${ex} ${ey - c} ${ex} ${ey}`;
}

function Step({ s }: { s: PipelineStep }) {
  const trouble = s.failed + s.late;
  return (
    <>
      <p className="dag-name"><b>{s.name}</b><span className="chip">{s.kind}</span></p>
      <p className="dag-runs" title={s.runs}>{s.runs}</p>
      <p className="dag-cost" title={`${count(s.count)} computations, ${count(s.rows)} rows`}>
        <b>{s.count > 0 ? millis(s.mean_ms) : "–"}</b>{s.within && ` of ${s.within}`} · {compact(s.count)}×
      </p>
      {trouble + s.fallbacks > 0 ? (
        <p className={trouble > 0 ? "dag-trouble" : "dag-cost"}>
          {[s.failed > 0 && `${compact(s.failed)} failed`, s.late > 0 && `${compact(s.late)} late`, s.fallbacks > 0 && plural(s.fallbacks, "fallback")].filter(Boolean).join(", ")}
        </p>
      ) : (
        <p className="dag-cost">{s.fallback ? `else ${s.fallback}` : s.count > 0 ? "no failures" : "not asked yet"}</p>
      )}
    </>
  );
}
