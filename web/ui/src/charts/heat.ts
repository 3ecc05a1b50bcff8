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
  value(i: number): number;
  coord(p: [number, number]): [number, number];
}

interface Item {
  fill: string;
  level: string;
  provisional: boolean;
}

/** heatOption draws the rows. A provisional cell is hatched and faint, one with too few rows a thin bar. */
export function heatOption(drift: Drift, rows: Row[], height: number, domain: Domain, p: Palette): EChartsCoreOption {
  const scale = scaleOf(p);
  const size = grainMillis[drift.grain];
  const data: number[][] = [];
  const items: Item[] = [];
  const starts = (drift.windows ?? []).map((w) => at(w) ?? NaN);
  for (const row of rows) {
    (row.column.cells ?? []).forEach((cell, i) => {
      const start = starts[i];
      if (start === undefined || start < domain.from || start >= domain.to) return;
      const reading = read(cell, drift.rule.threshold);
      const fill = shade(reading, scale);
      if (!fill || !cell) return;
      data.push([start, start + size, row.top]);
      items.push({ fill, level: reading.level, provisional: cell.provisional });
    });
  }
  const hatch = css(p.surface, 0.85);
  const mark = css(p.surface, 0.95);
  return {
    grid: { left: 0, right: 0, top: 0, bottom: 0 },
    xAxis: { type: "value", min: domain.from, max: domain.to, show: false },
    yAxis: { type: "value", min: 0, max: height, inverse: true, show: false },
    series: {
      type: "custom",
      silent: true,
      clip: true,
      data,
      encode: { x: [0, 1], y: 2 },
      renderItem(params: { dataIndex: number }, api: API) {
        const item = items[params.dataIndex];
        if (!item) return undefined;
        const [x0, y] = api.coord([api.value(0), api.value(2)]);
        const [x1] = api.coord([api.value(1), api.value(2)]);
        return cellShape(item, x0, x1, y, hatch, mark);
      },
    },
  };
}

function cellShape(item: Item, x0: number, x1: number, y: number, hatch: string, mark: string) {
  const gap = x1 - x0 > 4 ? 1 : 0;
  const width = Math.max(1, x1 - x0 - gap);
  const few = item.level === "few";
  const top = y + (few ? rowHeight / 2 - 2 : 1);
  const high = few ? 4 : rowHeight - 2;
  const rect = {
    type: "rect",
    shape: { x: x0, y: top, width, height: high, r: width > 8 && !few ? 2.5 : 0 },
    style: { fill: item.fill, opacity: item.provisional && !few ? 0.6 : 1 },
  };
  const children: object[] = [rect];
  if (item.provisional && !few) {
    for (let s = -high; s < width; s += 6) {
      children.push({
        type: "line",
        shape: { x1: Math.max(x0, x0 + s), y1: top + high - Math.max(0, -s), x2: Math.min(x0 + width, x0 + s + high), y2: top + Math.max(0, s + high - width) },
        style: { stroke: hatch, lineWidth: 1.4 },
      });
    }
  } else if (item.level === "drifted" && width >= 7) {
    // A mark, so that the verdict does not hang on colour alone.
    children.push({ type: "circle", shape: { cx: x0 + width / 2, cy: top + high / 2, r: 2 }, style: { fill: mark } });
  }
  return children.length === 1 ? rect : { type: "group", children };
}
