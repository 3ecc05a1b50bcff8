import { memo, useId } from "react";
import type { LivePoint } from "../api/types";
import { rate } from "../lib/format";

interface Props {
  points: LivePoint[];
  height: number;
  /** Seconds on the axis; the newest point is at the right edge. */
  seconds?: number;
}

const width = 240;

/** Sparkline draws rows per second over the last two minutes; its scale starts at zero. */
export const Sparkline = memo(function Sparkline({ points, height, seconds = 120 }: Props) {
  const id = useId();
  const top = Math.max(1, ...points.map((p) => p.rows)) * 1.12;
  const shown = points.slice(-seconds);
  const x = (i: number) => width - ((shown.length - 1 - i) / (seconds - 1)) * width;
  const y = (rows: number) => height - 1.5 - (rows / top) * (height - 4);
  const line = shown.map((p, i) => `${i === 0 ? "M" : "L"}${x(i).toFixed(1)} ${y(p.rows).toFixed(1)}`).join("");
  const last = shown.at(-1);
  const area = last ? `${line}L${width} ${height}L${x(0).toFixed(1)} ${height}Z` : "";
  return (
    <svg
      className="sparkline"
      viewBox={`0 0 ${width} ${height}`}
      preserveAspectRatio="none"
      height={height}
      role="img"
      aria-label={last ? `rows per second over the last two minutes, now ${rate(last.rows)}` : "no traffic yet"}
    >
      <defs>
        <linearGradient id={id} x1="0" y1="0" x2="0" y2="1">
          <stop className="spark-from" offset="0" />
          <stop className="spark-to" offset="1" />
        </linearGradient>
      </defs>
      <path d={`M0 ${height - 0.5}H${width}`} className="spark-base" />
      {last && <path d={area} fill={`url(#${id})`} />}
      {last && <path d={line} className="spark-line" vectorEffect="non-scaling-stroke" />}
    </svg>
  );
});
