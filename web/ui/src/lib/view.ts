// Which stretch of event time is on screen.
import type { Grain } from "../api/types";
import type { Domain } from "../charts/Timeline";
import { at, floorTo, grainMillis } from "./time";

export const spans: Record<Grain, readonly { value: string; label: string; windows: number }[]> = {
  hour: [
    { value: "3d", label: "3 d", windows: 72 },
    { value: "7d", label: "7 d", windows: 168 },
    { value: "14d", label: "14 d", windows: 336 },
  ],
  day: [
    { value: "30d", label: "30 d", windows: 30 },
    { value: "90d", label: "90 d", windows: 90 },
    { value: "1y", label: "1 y", windows: 366 },
  ],
};

const fallback: Record<Grain, string> = { hour: "7d", day: "90d" };
const least: Record<Grain, number> = { hour: 24, day: 14 };

/** spanOf gives the chosen span of a grain, or the usual one. */
export function spanOf(grain: Grain, chosen: string | null) {
  const all = spans[grain];
  return all.find((s) => s.value === chosen) ?? all.find((s) => s.value === fallback[grain])!;
}

/** grainOf takes the chosen grain; by itself it goes to days once there are two weeks of them. */
export function grainOf(chosen: string | null, from: string | undefined, to: string | undefined): Grain {
  if (chosen === "hour" || chosen === "day") return chosen;
  const first = at(from);
  const last = at(to);
  return first !== undefined && last !== undefined && last - first >= 14 * grainMillis.day ? "day" : "hour";
}

/**
 * domainOf spans the windows that are there, at most `windows` of them up to `held` or the newest. A first few windows
 * do not fill the whole width.
 */
export function domainOf(grain: Grain, windows: number, starts: readonly string[], held: number | undefined): Domain | undefined {
  const size = grainMillis[grain];
  const first = at(starts[0]);
  const last = at(starts.at(-1));
  if (first === undefined || last === undefined) return undefined;
  const to = held ?? floorTo(last, grain) + size;
  const from = Math.max(floorTo(first, grain), to - windows * size);
  return { grain, from: Math.min(from, to - size), to: Math.max(to, from + least[grain] * size) };
}

/** holdAround places the right edge so that a window of interest is well inside, but not past the newest event. */
export function holdAround(start: number, grain: Grain, windows: number, newest: number | undefined): number {
  const size = grainMillis[grain];
  const wanted = floorTo(start, grain) + Math.ceil(windows * 0.4) * size;
  return newest === undefined ? wanted : Math.min(wanted, floorTo(newest, grain) + size);
}
