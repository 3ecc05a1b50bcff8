// The heat map's picture: one rectangle a cell, on a canvas, over the shared time axis.
import type { EChartsCoreOption } from "echarts/core";
import type { Drift, DriftColumn } from "../api/types";
import { css, type Palette } from "../lib/theme";
import { at, grainMillis } from "../lib/time";
import { read, shade, type Scale } from "../lib/verdict";
import type { Domain } from "./Timeline";

export const rowHeight = 28;
const groupGap = 22;

export interface Row {
  column: DriftColumn;
  top: number;
  /** First of the model's outputs: a heading stands above it. */
  firstOutput: boolean;
}

/** layout stacks the columns, the outputs apart from the features. */
export function layout(columns: DriftColumn[]): { rows: Row[]; height: number } {
  let top = 0;
  let output = false;
  const rows = columns.map((column) => {
    const firstOutput = column.output && !output && top > 0;
    if (firstOutput) top += groupGap;
    output = column.output;
    const row = { column, top, firstOutput };
    top += rowHeight;
    return row;
  });
  return { rows, height: top };
}

export const scaleOf = (p: Palette): Scale => ({
  quiet: p.quiet,
  near: p.near,
  nearStrong: p["near-strong"],
  drifted: p.drifted,
  driftedStrong: p["drifted-strong"],
  few: p.few,
});

interface API {
  coord(p: [number, number]): [number, number];
}

interface Item {
  start: number;
  top: number;
  fill: string;
  few: boolean;
  drifted: boolean;
  provisional: boolean;
}

/**
 * heatOption draws the rows. A provisional cell is hatched and faint, one with too few rows a thin bar. Cells of one
 * shade are one path: a thousand elements of their own would cost more each second than all the rest of the page.
 */
export function heatOption(drift: Drift, rows: Row[], height: number, domain: Domain, p: Palette): EChartsCoreOption {
  const size = grainMillis[drift.grain];
  const items = itemsOf(drift, rows, domain, scaleOf(p));
  return {
    grid: { left: 0, right: 0, top: 0, bottom: 0 },
    xAxis: { type: "value", min: domain.from, max: domain.to, show: false },
    yAxis: { type: "value", min: 0, max: height, inverse: true, show: false },
    series: {
      type: "custom",
      silent: true,
      clip: true,
      data: [[domain.from, 0]],
      renderItem(_: unknown, api: API) {
        const [zero] = api.coord([domain.from, 0]);
        const [one] = api.coord([domain.from + size, 0]);
        return { type: "group", children: shapes(items, (t) => api.coord([t, 0])[0], one - zero, p) };
      },
    },
  };
}

function itemsOf(drift: Drift, rows: Row[], domain: Domain, scale: Scale): Item[] {
  const items: Item[] = [];
  const starts = (drift.windows ?? []).map((w) => at(w) ?? NaN);
  for (const row of rows) {
    (row.column.cells ?? []).forEach((cell, i) => {
      const start = starts[i];
      if (!cell || start === undefined || start < domain.from || start >= domain.to) return;
      const { level, strength } = read(cell, drift.rule.threshold);
      // Twenty shades are more than an eye tells apart, and few enough to be a path each.
      const fill = shade({ level, strength: Math.round(strength * 20) / 20 }, scale);
      if (fill) items.push({ start, top: row.top, fill, few: level === "few", drifted: level === "drifted", provisional: cell.provisional && level !== "few" });
    });
  }
  return items;
}

/** Paths collects rectangles and lines by their style. */
class Paths {
  private readonly paths = new Map<string, { data: string[]; style: object }>();
  add(key: string, style: object, data: string): void {
    const path = this.paths.get(key);
    if (path) path.data.push(data);
    else this.paths.set(key, { data: [data], style });
  }
  get children(): object[] {
    return [...this.paths.values()].map(({ data, style }) => ({ type: "path", shape: { pathData: data.join("") }, style }));
  }
}

const px = (x: number) => x.toFixed(2);
const rect = (x: number, y: number, w: number, h: number) => `M${px(x)} ${px(y)}h${px(w)}v${px(h)}h${px(-w)}z`;
const disc = (x: number, y: number, r: number) => `M${px(x - r)} ${px(y)}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`;

function shapes(items: Item[], x: (t: number) => number, step: number, p: Palette): object[] {
  const under = new Paths();
  const over = new Paths();
  const width = Math.max(1, step - (step > 4 ? 1 : 0));
  for (const item of items) {
    const left = x(item.start);
    const top = item.top + (item.few ? rowHeight / 2 - 2 : 1);
    const high = item.few ? 4 : rowHeight - 2;
    under.add(item.fill + item.provisional, { fill: item.fill, opacity: item.provisional ? 0.6 : 1 }, rect(left, top, width, high));
    if (item.provisional) over.add("hatch", { fill: null, stroke: css(p.surface, 0.85), lineWidth: 1.4 }, hatch(left, top, width, high));
    // A mark, so that the verdict does not hang on colour alone.
    else if (item.drifted && width >= 7) over.add("mark", { fill: css(p.surface, 0.95) }, disc(left + width / 2, top + high / 2, 2));
  }
  return [...under.children, ...over.children];
}

/** hatch is the diagonals of a rectangle, six pixels apart, cut at its edges. */
function hatch(x: number, y: number, w: number, h: number): string {
  let d = "";
  for (let s = 6 - h; s < w; s += 6)
    d += `M${px(x + Math.max(0, s))} ${px(y + h - Math.max(0, -s))}L${px(x + Math.min(w, s + h))} ${px(y + Math.max(0, s + h - w))}`;
  return d;
}
