// The metric strips: one small plot above the other over the shared time axis, each on a scale of its own.
import type { EChartsCoreOption } from "echarts/core";
import type { Metrics, MetricsPoint } from "../api/types";
import { css, type Palette } from "../lib/theme";
import { at, grainMillis } from "../lib/time";
import type { Domain } from "./Timeline";

export const stripHeight = 74;
export const labelStrip = 54;
const pad = 9;

export interface Strip {
  id: string;
  title: string;
  /** The metrics drawn; the second one is dashed. */
  names: string[];
  better: "higher" | "lower" | "neither";
  share: boolean;
}

const known: Record<string, { title: string; better: Strip["better"]; share: boolean }> = {
  accuracy: { title: "Accuracy", better: "higher", share: true },
  auroc: { title: "AUROC", better: "higher", share: false },
  log_loss: { title: "Log loss", better: "lower", share: false },
  brier: { title: "Brier", better: "lower", share: false },
  mae: { title: "MAE", better: "lower", share: false },
  rmse: { title: "RMSE", better: "lower", share: false },
  bias: { title: "Bias", better: "neither", share: false },
};

/** stripsOf arranges a task's metrics; the rate that came and the rate that was predicted share a strip. */
export function stripsOf(names: string[], label: string): Strip[] {
  const out: Strip[] = [];
  for (const name of names) {
    if (name === "predicted_rate" && names.includes("positive_rate")) continue;
    if (name === "positive_rate" || name === "predicted_rate") {
      const pair = ["positive_rate", "predicted_rate"].filter((n) => names.includes(n));
      out.push({ id: "rate", title: `${title(label || "positive")} rate`, names: pair, better: "neither", share: true });
      continue;
    }
    const k = known[name] ?? { title: title(name), better: "neither" as const, share: false };
    out.push({ id: name, names: [name], ...k });
  }
  return out;
}

const title = (s: string) => {
  const words = s.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
};

/**
 * telling leaves out windows with fewer than twenty labels, as at night: one flight is late by 0 or 100 %, and would
 * set the scale of all. Where traffic is thin throughout, nothing is left out.
 */
export function telling(points: MetricsPoint[]): MetricsPoint[] {
  const labelled = points.map((p) => p.labelled).sort((a, b) => a - b);
  const median = labelled[Math.floor(labelled.length / 2)] ?? 0;
  return median < 100 ? points : points.filter((p) => p.labelled >= 20);
}

export interface Range {
  low: number;
  high: number;
}

/** rangeOf fits a strip's scale to what it shows, the reference included, with room above and below. */
export function rangeOf(strip: Strip, points: MetricsPoint[], reference: MetricsPoint | null | undefined): Range {
  const all = [...telling(points), ...(reference ? [reference] : [])]
    .flatMap((p) => strip.names.map((n) => p.metrics?.[n]))
    .filter((x): x is number => typeof x === "number" && Number.isFinite(x));
  if (all.length === 0) return { low: 0, high: 1 };
  const least = Math.min(...all);
  const most = Math.max(...all);
  // A flat line is not a jagged one: the scale never spans less than two hundredths, or five percent of the value.
  const room = Math.max((most - least) * 0.12, Math.abs(most) * 0.025, 0.01);
  const bounded = strip.share || strip.id === "auroc" || strip.id === "brier" || strip.id === "log_loss";
  return {
    low: bounded ? Math.max(0, least - room) : least - room,
    high: strip.share || strip.id === "auroc" ? Math.min(1, most + room) : most + room,
  };
}

const axis = (i: number, range: Range) => ({ type: "value", gridIndex: i, min: range.low, max: range.high, show: false });

/** stripsOption draws the strips and, under them, the share of labels that have arrived. */
export function stripsOption(m: Metrics, strips: Strip[], ranges: Range[], domain: Domain, p: Palette): EChartsCoreOption {
  const points = (m.points ?? []).filter((q) => {
    const t = at(q.start);
    return t !== undefined && t >= domain.from && t < domain.to;
  });
  const shown = telling(points);
  const size = grainMillis[m.grain];
  const time = (i: number) => ({ type: "value", gridIndex: i, min: domain.from, max: domain.to, show: false });
  const series: object[] = [];
  strips.forEach((strip, i) => {
    const reference = m.reference?.metrics?.[strip.names[0] ?? ""];
    if (typeof reference === "number")
      series.push({
        ...line(i, [[domain.from, reference], [domain.to, reference]]),
        lineStyle: { color: css(p.muted, 0.8), width: 1, type: [5, 4] },
      });
    strip.names.forEach((name, k) => {
      const color = k === 0 ? css(p.accent) : css(p.predicted);
      series.push({
        ...line(i, lineData(shown, name, size)),
        lineStyle: { color, width: k === 0 ? 2 : 1.5, type: k === 0 ? "solid" : [2, 3], cap: "round" },
        z: 3 - k,
      });
    });
    series.push(dots(shown, strip.names[0] ?? "", i, size, p));
  });
  series.push(labelBars(points, strips.length, size, p));
  return {
    grid: [
      ...strips.map((_, i) => ({ left: 0, right: 0, top: i * stripHeight + pad, height: stripHeight - 2 * pad })),
      { left: 0, right: 0, top: strips.length * stripHeight + pad, height: labelStrip - pad - 4 },
    ],
    xAxis: [...strips.map((_, i) => time(i)), time(strips.length)],
    yAxis: [...ranges.map((r, i) => axis(i, r)), axis(strips.length, { low: 0, high: 1 })],
    series,
  };
}

const line = (i: number, data: unknown[]) => ({
  type: "line",
  xAxisIndex: i,
  yAxisIndex: i,
  data,
  silent: true,
  showSymbol: false,
  symbol: "circle",
  clip: false,
  connectNulls: false,
});

function lineData(points: MetricsPoint[], name: string, size: number): unknown[] {
  const data: unknown[] = [];
  let previous: number | undefined;
  for (const q of points) {
    const t = at(q.start);
    if (t === undefined) continue;
    if (previous !== undefined && t - previous > size * 1.5) data.push([previous + size, null]);
    previous = t;
    data.push([t + size / 2, q.metrics?.[name] ?? null]);
  }
  return data;
}

const circle = (x: number, y: number, r: number) =>
  `M${(x - r).toFixed(2)} ${y.toFixed(2)}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`;

/** dots marks provisional points as hollow, and the others as full where there is room; two paths in all. */
function dots(points: MetricsPoint[], name: string, i: number, size: number, p: Palette) {
  const crowded = points.length > 64;
  return {
    type: "custom",
    xAxisIndex: i,
    yAxisIndex: i,
    silent: true,
    z: 4,
    data: [[0, 0]],
    renderItem(_: unknown, api: API) {
      let full = "";
      let hollow = "";
      for (const q of points) {
        const v = q.metrics?.[name];
        const t = at(q.start);
        if (typeof v !== "number" || t === undefined || (crowded && !q.provisional)) continue;
        const [x, y] = api.coord([t + size / 2, v]);
        if (q.provisional) hollow += circle(x, y, crowded ? 2.25 : 3.25);
        else full += circle(x, y, 2);
      }
      const children: object[] = [];
      if (full) children.push({ type: "path", shape: { pathData: full }, style: { fill: css(p.accent) } });
      if (hollow) children.push({ type: "path", shape: { pathData: hollow }, style: { fill: css(p.surface), stroke: css(p.accent), lineWidth: 1.5 } });
      return { type: "group", children };
    },
  };
}

interface API {
  coord(p: [number, number]): [number, number];
}

const box = (x: number, y: number, w: number, h: number) => `M${x.toFixed(2)} ${y.toFixed(2)}h${w.toFixed(2)}v${h.toFixed(2)}h${(-w).toFixed(2)}z`;

function labelBars(points: MetricsPoint[], i: number, size: number, p: Palette) {
  return {
    type: "custom",
    xAxisIndex: i,
    yAxisIndex: i,
    silent: true,
    data: [[0, 0]],
    renderItem(_: unknown, api: API) {
      let track = "";
      let settled = "";
      let open = "";
      for (const q of points) {
        const t = at(q.start);
        if (t === undefined) continue;
        const [x0, y] = api.coord([t, q.n > 0 ? q.labelled / q.n : 0]);
        const [x1, base] = api.coord([t + size, 0]);
        const [, top] = api.coord([t, 1]);
        const width = Math.max(1, x1 - x0 - (x1 - x0 > 4 ? 1 : 0));
        track += box(x0, top, width, base - top);
        if (q.provisional) open += box(x0, y, width, base - y);
        else settled += box(x0, y, width, base - y);
      }
      const path = (d: string, fill: string) => ({ type: "path", shape: { pathData: d }, style: { fill } });
      return { type: "group", children: [path(track, css(p.muted, 0.12)), path(settled, css(p.accent, 0.55)), path(open, css(p.accent, 0.3))].filter((c) => c.shape.pathData) };
    },
  };
}
