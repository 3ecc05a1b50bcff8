// The scale of the dot and its whiskers. Each gate is drawn in units of its own margin, so that all rows share two lines:
// “as the live version” at 0 and “the margin” at 1. Right is always worse.
import type { Evidence } from "../api/rollout";

/** Domain is what the picture shows, in margins. */
export interface Domain {
  from: number;
  to: number;
}

export interface Plot {
  /** Positions from 0, the left edge, to 1. */
  lower: number;
  upper: number;
  point: number;
  zero: number;
  /** Where the margin and what is tolerated lie; undefined where the gate has none. */
  margin: number | undefined;
  tolerance: number | undefined;
  /** The interval goes on beyond the edge. */
  openLeft: boolean;
  openRight: boolean;
  /** The point itself lies beyond an edge. */
  off: boolean;
}

/** unitOf is one unit of the axis: the margin, else what is tolerated, else as much as the interval needs. */
export function unitOf(e: Evidence): number {
  if (e.margin > 0) return e.margin;
  if (e.tolerance > 0) return e.tolerance;
  const finite = [e.lower, e.upper, e.difference].map(Math.abs).filter((x) => Number.isFinite(x) && x < 1e300);
  return Math.max(...finite, 0) || 1;
}

/** domainOf shows a little to the left of “the same”, and as much to the right as the worst point needs, up to 4 margins. */
export function domainOf(all: Evidence[], worse: (gate: string) => 1 | -1 = () => 1): Domain {
  const points = all.filter((e) => e.finding !== "no_data").map((e) => (worse(e.gate) * e.difference) / unitOf(e));
  return { from: -1.25, to: Math.min(4, Math.max(1.75, 1.12 * Math.max(0, ...points))) };
}

export function plot(e: Evidence, domain: Domain, worse: 1 | -1 = 1): Plot {
  const unit = unitOf(e);
  const place = (x: number) => (x - domain.from) / (domain.to - domain.from);
  const clip = (x: number) => Math.min(1, Math.max(0, x));
  const ends = [(worse * e.lower) / unit, (worse * e.upper) / unit].sort((a, b) => a - b) as [number, number];
  const point = place((worse * e.difference) / unit);
  const [lower, upper] = [place(ends[0]), place(ends[1])];
  return {
    lower: clip(lower),
    upper: clip(upper),
    point: clip(point),
    zero: place(0),
    margin: e.margin > 0 ? place(1) : undefined,
    tolerance: e.tolerance > 0 && e.margin > 0 && e.tolerance !== e.margin && place(e.tolerance / unit) <= 1 ? place(e.tolerance / unit) : undefined,
    openLeft: lower < 0,
    openRight: upper > 1,
    off: point < 0 || point > 1,
  };
}
