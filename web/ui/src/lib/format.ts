// Numbers as people read them: thousands separators, units after a thin space, an en dash for what is not there.

export const none = "–";
const thin = "\u202f";

const grouped = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en-US", { notation: "compact", minimumFractionDigits: 1, maximumFractionDigits: 1 });

type Maybe = number | null | undefined;
const missing = (x: Maybe): x is null | undefined => x === null || x === undefined || !Number.isFinite(x);

/** count writes whole numbers: 3,000,000. */
export const count = (x: Maybe): string => (missing(x) ? none : grouped.format(x));

/** compact writes large numbers in few characters, always one decimal: 3.0M. Below 10,000 nothing is lost. */
export const compact = (x: Maybe): string =>
  missing(x) ? none : Math.abs(x) < 10_000 ? grouped.format(x) : short.format(x);

/** rate writes a number per second; under ten it keeps one decimal. */
export function rate(x: Maybe): string {
  if (missing(x)) return none;
  if (x === 0) return "0";
  return x < 10 ? x.toFixed(1) : grouped.format(x);
}

/** millis writes a latency with three digits and the unit that suits it. */
export function millis(x: Maybe): string {
  if (missing(x)) return none;
  if (x < 0.9995) return `${digits(x * 1000, 3)}${thin}µs`;
  if (x < 999.5) return `${digits(x, 3)}${thin}ms`;
  return `${digits(x / 1000, 3)}${thin}s`;
}

/** span writes a length of time given in seconds. */
export function span(seconds: Maybe): string {
  if (missing(seconds)) return none;
  if (seconds < 1) return `${Math.round(seconds * 1000)}${thin}ms`;
  if (seconds < 99.5) return `${digits(seconds, 2)}${thin}s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)}${thin}min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)}${thin}h`;
  return `${grouped.format(seconds / 86_400)}${thin}d`;
}

/** percent writes a share in [0,1]; a share that is not nothing is never written as 0, one that is not all never as 100. */
export function percent(share: Maybe): string {
  if (missing(share)) return none;
  const p = share * 100;
  if (p === 0) return `0${thin}%`;
  if (p < 0.1) return `<${thin}0.1${thin}%`;
  if (p < 9.95) return `${p.toFixed(1)}${thin}%`;
  if (p < 100 && p >= 99.5) return `${Math.min(99.9, Math.floor(p * 10) / 10).toFixed(1)}${thin}%`;
  return `${Math.round(p)}${thin}%`;
}

/** measure writes a distance or a score with three decimals, tiny ones as such. */
export function measure(x: Maybe): string {
  if (missing(x)) return none;
  if (x < 0 && x > -0.0005) return "0.000"; // no minus before nothing
  if (x > 0 && x < 0.0005) return "<0.001";
  return (Math.abs(x) >= 100 ? x.toFixed(0) : Math.abs(x) >= 10 ? x.toFixed(1) : x.toFixed(3)).replace("-", "−");
}

/** value writes any number of a feature with up to four digits, and all digits of the whole part. */
export function value(x: Maybe): string {
  if (missing(x)) return none;
  if (Number.isInteger(x) || Math.abs(x) >= 1000) return grouped.format(x).replace("-", "−");
  return digits(x, Math.abs(x) < 1 ? 3 : 4).replace("-", "−");
}

/** bytes writes a size in powers of 1,000. */
export function bytes(x: Maybe): string {
  if (missing(x)) return none;
  const units = ["B", "kB", "MB", "GB", "TB"];
  let i = 0;
  while (x >= 999.5 && i < units.length - 1) {
    x /= 1000;
    i++;
  }
  return `${i === 0 ? x : digits(x, 3)}${thin}${units[i]}`;
}

/** digest shortens sha256:… to what people compare. */
export const digest = (d: string): string => d.replace(/^sha256:/, "").slice(0, 12);

/** plural counts things: 1 row, 2 rows. */
export const plural = (n: number, one: string, many = `${one}s`): string => `${count(n)} ${n === 1 ? one : many}`;

function digits(x: number, n: number): string {
  if (x === 0) return "0";
  const whole = Math.floor(Math.log10(Math.abs(x))) + 1;
  const fixed = x.toFixed(Math.max(0, Math.min(6, n - whole)));
  return fixed.includes(".") ? fixed.replace(/\.?0+$/, "") : fixed;
}
