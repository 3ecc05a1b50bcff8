// Invented flights that move with the clock: shares drawn from a seeded generator, so that every run shows the same.
const hour = 3_600_000;
export const day = 24 * hour;
export const size = { hour, day };
export const first = Date.UTC(2001, 2, 1);
const end = Date.UTC(2001, 6, 1);

/** random gives a generator of numbers in (0,1) for a text. */
export function random(text) {
  let s = 2166136261;
  for (const c of text) s = Math.imul(s ^ c.charCodeAt(0), 16777619);
  return () => {
    s = (s + 0x6d2b79f5) | 0;
    let t = Math.imul(s ^ (s >>> 15), 1 | s);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 4294967296;
  };
}
const gauss = (r) => Math.sqrt(-2 * Math.log(r())) * Math.cos(2 * Math.PI * r());

const range = (edges, i) => ({ label: `${edges[i].toLocaleString("en-US")} … ${edges[i + 1].toLocaleString("en-US")}`, kind: "range", low: edges[i], high: edges[i + 1] });
const named = (label) => ({ label, kind: "category", low: null, high: null });
const special = (kind, label) => ({ label, kind, low: null, high: null });

const miles = [31, 192, 281, 371, 462, 588, 733, 888, 1079, 1546, 2475];
const minutes = [300, 432, 505, 575, 650, 735, 820, 905, 1000, 1115, 1439];
const scores = [0.02, 0.07, 0.1, 0.13, 0.16, 0.19, 0.22, 0.26, 0.31, 0.39, 0.93];
const airports = ["DFW", "ORD", "ATL", "LAX", "PHX", "STL", "DTW", "IAH", "MSP", "LAS", "DEN", "SFO"];
const airportShare = [0.058, 0.056, 0.044, 0.04, 0.034, 0.033, 0.031, 0.029, 0.028, 0.027, 0.025, 0.024];
const even = (n) => Array.from({ length: n }, () => 1 / n);
const deciles = (edges) => ({ kind: "numeric", bins: [...even(10).map((_, i) => range(edges, i)), special("over", `over ${edges[10].toLocaleString("en-US")}`)], shares: [...even(10), 0] });
const airport = () => ({
  kind: "categorical",
  bins: [...airports.map(named), special("other", "other"), special("unseen", "unseen")],
  shares: [...airportShare, 1 - airportShare.reduce((a, b) => a + b), 0],
});
const weekdays = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

export const columns = [
  { name: "scheduled_minute", ...deciles(minutes) },
  { name: "hour", kind: "categorical", bins: Array.from({ length: 18 }, (_, i) => named(String(i + 6))), shares: even(18) },
  { name: "weekday", kind: "categorical", bins: weekdays.map(named), shares: [0.148, 0.145, 0.147, 0.146, 0.147, 0.129, 0.138] },
  { name: "distance", ...deciles(miles), mean: 733 },
  { name: "origin", ...airport() },
  { name: "destination", ...airport() },
  { name: "probability", output: true, ...deciles(scores), mean: 0.21 },
];

export const incidents = [
  { id: "km", kind: "planted", title: "distance in kilometres", text: "An upstream team changed the unit.", start: Date.UTC(2001, 3, 9), end: Date.UTC(2001, 3, 12) },
  { id: "ord", kind: "planted", title: "flights from ORD missing", text: "Two days without the rows of one airport.", start: Date.UTC(2001, 3, 24), end: Date.UTC(2001, 3, 26) },
];

/** now is event time: some days at once, then so many days a second. */
export const now = (started, speed, days) => Math.min(end - 1, first + days * day + ((Date.now() - started) / 1000) * speed * day);

const daily = [0.2, 0.05, 0.05, 0.05, 0.2, 0.7, 2.6, 4.6, 5.8, 6, 5.8, 5.9, 6, 6, 6, 6, 6.1, 6.3, 6.2, 5.6, 4.8, 3.6, 1.9, 0.6];
const total = daily.reduce((a, b) => a + b);

export function rowsIn(t, grain, until) {
  let n = 0;
  for (let h = t; h < Math.min(t + size[grain], until); h += hour) {
    const part = Math.min(1, (until - h) / hour);
    n += 16_400 * (daily[new Date(h).getUTCHours()] / total) * part * (0.97 + 0.06 * random(`n${h}`)());
  }
  return Math.round(n);
}

const within = (id, t) => {
  const i = incidents.find((x) => x.id === id);
  return t >= i.start && t < i.end;
};

function sharesAt(column, t) {
  const s = [...column.shares];
  const r = random(`${column.name}${Math.floor(t / day)}`);
  const sway = column.name === "probability" ? 0.16 : column.name === "weekday" ? 0 : 0.03;
  for (let i = 0; i < s.length; i++) s[i] *= Math.exp(sway * gauss(r));
  if (column.name === "distance" && within("km", t)) [0, 0.061, 0.056, 0.062, 0.058, 0.079, 0.09, 0.087, 0.1, 0.155, 0.252].forEach((x, i) => (s[i] = x));
  if (column.name === "origin" && within("ord", t)) s[1] = 0;
  const sum = s.reduce((a, b) => a + b);
  return s.map((x) => x / sum);
}

/** measure counts one column in one window, and computes the distances from the counts. */
export function measure(column, t, grain, until) {
  const n = rowsIn(t, grain, until);
  if (n === 0) return null;
  const m = grain === "day" ? 131_900 : Math.max(40, 8 * rowsIn(t, grain, Infinity));
  const r = random(`${column.name}${t}${grain}`);
  const ref = column.shares.map((s) => Math.round(s * m));
  const cur = sharesAt(column, t).map((s) => Math.max(0, Math.round(n * s + Math.sqrt(n * s) * gauss(r))));
  const p = share(ref);
  const q = share(cur);
  const kept = ref.map((x, i) => x + cur[i] > 0);
  const hp = share(ref.filter((_, i) => kept[i]).map((x) => x + 0.5));
  const hq = share(cur.filter((_, i) => kept[i]).map((x) => x + 0.5));
  const psi = hp.reduce((sum, x, i) => sum + (x - hq[i]) * Math.log(x / hq[i]), 0);
  const df = hp.length - 1;
  const k = 1 / n + 1 / m;
  const floor = k * df * (1 - 2 / (9 * df) + 3.09 * Math.sqrt(2 / (9 * df))) ** 3;
  const debiased = psi - k * df;
  let gap = 0;
  let ks = 0;
  p.forEach((x, i) => (ks = Math.max(ks, Math.abs((gap += x - q[i])))));
  const numeric = column.kind === "numeric";
  const d1 = p.reduce((sum, x, i) => sum + Math.abs(x - q[i]), 0);
  const unseen = column.bins.reduce((sum, b, i) => sum + (b.kind === "over" || b.kind === "unseen" ? q[i] : 0), 0);
  return {
    ref: p,
    cur,
    shares: q,
    cell: {
      n,
      m,
      reference: grain === "day" ? `same phase: ${weekdays[(new Date(t).getUTCDay() + 6) % 7]}` : `same phase: ${weekdays[(new Date(t).getUTCDay() + 6) % 7]} ${new Date(t).getUTCHours()}h`,
      psi,
      psi_debiased: debiased,
      psi_floor: floor,
      ks: numeric ? ks : null,
      ks_floor: numeric ? 1.95 * Math.sqrt(k) : null,
      d1,
      d1_floor: 0.8 * Math.sqrt(df * k) + 2.2 * Math.sqrt(k),
      js: psi / 8,
      js_floor: floor / 8,
      missing: 0,
      unseen,
      verdict: floor > 0.2 ? "too_few" : psi > floor && debiased > 0.2 ? "drifted" : "ok",
      provisional: t + size[grain] > until,
    },
  };
}

const share = (counts) => {
  const sum = counts.reduce((a, b) => a + b, 0) || 1;
  return counts.map((x) => x / sum);
};

export function windows(grain, limit, to, until) {
  const last = Math.floor((Math.min(to ?? Infinity, until) - 1) / size[grain]);
  const least = Math.floor(first / size[grain]);
  const out = [];
  for (let i = Math.max(least, last - limit + 1); i <= last; i++) out.push(i * size[grain]);
  return out;
}

/** realised gives a window's metrics; labels come some four hours late. */
export function realised(t, grain, until) {
  const n = rowsIn(t, grain, until);
  const r = random(`late${Math.floor(t / day)}`);
  const storm = Math.max(0, gauss(r));
  const km = within("km", t) ? 1 : 0;
  const s = random(`m${t}${grain}`);
  const jitter = (grain === "day" ? 0.004 : 0.015) * gauss(s);
  const arrived = Math.max(0, Math.min(1, (until - t - 3 * hour) / (size[grain] + 2 * hour)));
  const late = 0.15 + 0.07 * storm + jitter;
  return {
    n,
    labelled: Math.round(n * arrived),
    provisional: arrived < 0.95,
    metrics: arrived === 0 ? { accuracy: null, auroc: null, log_loss: null, brier: null, positive_rate: null, predicted_rate: 0.19 } : {
      accuracy: 0.845 - 0.6 * (late - 0.15) - 0.035 * km + jitter,
      auroc: 0.694 - 0.02 * storm - 0.05 * km + jitter,
      log_loss: 0.41 + 0.9 * (late - 0.15) + 0.06 * km - jitter,
      brier: 0.125 + 0.35 * (late - 0.15) + 0.02 * km - jitter / 2,
      positive_rate: late,
      predicted_rate: 0.185 + 0.015 * storm + 0.07 * km + jitter / 2,
    },
  };
}
