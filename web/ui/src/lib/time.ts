// Event time is shown in UTC, as the windows are cut; nothing here asks what time it is.
import type { Grain } from "../api/types";

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const weekdays = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const two = (n: number) => String(n).padStart(2, "0");

export const hour = 3_600_000;
export const grainMillis: Record<Grain, number> = { hour, day: 24 * hour };

/** at parses a time; Go's zero time and nonsense are undefined. */
export function at(time: string | undefined | null): number | undefined {
  if (!time || time.startsWith("0001-")) return undefined;
  const t = Date.parse(time);
  return Number.isNaN(t) ? undefined : t;
}

export const floorTo = (t: number, grain: Grain): number => t - (((t % grainMillis[grain]) + grainMillis[grain]) % grainMillis[grain]);

/** iso writes a time as the API takes it, without milliseconds where there are none. */
export const iso = (t: number): string => new Date(t).toISOString().replace(".000Z", "Z");

/** day writes 14 Mar 2001. */
export function day(t: number): string {
  const d = new Date(t);
  return `${d.getUTCDate()} ${months[d.getUTCMonth()]} ${d.getUTCFullYear()}`;
}

/** dayShort writes 14 Mar. */
export const dayShort = (t: number): string => day(t).replace(/ \d+$/, "");

/** clock writes 15:04. */
export const clock = (t: number): string => `${two(new Date(t).getUTCHours())}:${two(new Date(t).getUTCMinutes())}`;

/** moment writes 14 Mar 2001, 15:04. */
export const moment = (t: number): string => `${day(t)}, ${clock(t)}`;

/** stamp writes 14 Mar 2001, 15:04:05. */
export const stamp = (t: number): string => `${moment(t)}:${two(new Date(t).getUTCSeconds())}`;

/** windowName writes a window: Wed 14 Mar 2001, or Wed 14 Mar 2001, 15:00–16:00. */
export function windowName(start: number, grain: Grain): string {
  const name = `${weekdays[new Date(start).getUTCDay()]} ${day(start)}`;
  if (grain === "day") return name;
  const end = clock(start + hour);
  return `${name}, ${clock(start)}–${end === "00:00" ? "24:00" : end}`;
}

/** local writes the wall clock of the reader: 15:04:05. */
export function local(t: number): string {
  const d = new Date(t);
  return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}

export interface Tick {
  t: number;
  label: string;
  major: boolean;
}

const steps = [1, 2, 3, 6, 12, 24, 48, 24 * 7, 24 * 14].map((h) => h * hour);

/** ticks places at most `most` labelled times on [from, to]: whole hours, days, Mondays, or firsts of months. */
export function ticks(from: number, to: number, most: number): Tick[] {
  if (!(to > from) || most < 1) return [];
  const step = steps.find((s) => (to - from) / s <= most);
  if (step === undefined) return monthTicks(from, to, most);
  // Weeks begin on Monday; 1970-01-05 was one.
  const origin = step >= 24 * 7 * hour ? 4 * 24 * hour : 0;
  const out: Tick[] = [];
  for (let t = Math.ceil((from - origin) / step) * step + origin; t < to; t += step) {
    const midnight = t % (24 * hour) === 0;
    out.push({ t, label: midnight ? dayShort(t) : clock(t), major: midnight });
  }
  return out;
}

function monthTicks(from: number, to: number, most: number): Tick[] {
  const first = new Date(from);
  const all: number[] = [];
  for (let m = 0; ; m++) {
    const t = Date.UTC(first.getUTCFullYear(), first.getUTCMonth() + m, 1);
    if (t >= to) break;
    if (t >= from) all.push(t);
  }
  const every = Math.ceil(all.length / most);
  return all
    .filter((_, i) => i % every === 0)
    .map((t) => {
      const d = new Date(t);
      const january = d.getUTCMonth() === 0;
      return { t, label: january ? String(d.getUTCFullYear()) : (months[d.getUTCMonth()] ?? ""), major: january };
    });
}
