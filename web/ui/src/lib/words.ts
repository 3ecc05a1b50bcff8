// A distribution in words: what moved, by how much, and whether that is more than chance.
import type { Bin, Distribution } from "../api/types";
import { measure, percent, plural, value } from "./format";

const share = (bins: Bin[], kind: Bin["kind"], side: "reference" | "current") =>
  bins.filter((b) => b.kind === kind).reduce((sum, b) => sum + b[side], 0);

/** binName writes a bin's bounds as people read numbers; other bins carry their own label. */
export function binName(b: Bin): string {
  if (b.kind === "range" && b.low !== null && b.high !== null) return `${value(b.low)} … ${value(b.high)}`;
  if (b.kind === "under" && b.high !== null) return `under ${value(b.high)}`;
  if (b.kind === "over" && b.low !== null) return `over ${value(b.low)}`;
  return b.label;
}

/** shownBins leaves out special bins that are empty on both sides, and puts what lies under the range first. */
export function shownBins(bins: Bin[]): Bin[] {
  const ordinary = (b: Bin) => b.kind === "range" || b.kind === "value" || b.kind === "category";
  const shown = bins.filter((b) => ordinary(b) || b.reference > 0 || b.current > 0);
  return [...shown.filter((b) => b.kind === "under"), ...shown.filter((b) => b.kind !== "under")];
}

/** headline is the verdict in one sentence. */
export function headline(d: Distribution): string {
  const { cell } = d;
  if (cell.verdict === "too_few")
    return `${plural(cell.n, "row")}: too few to tell drift from chance.`;
  if (cell.verdict === "drifted")
    return `${d.column} has drifted: PSI ${measure(cell.psi_debiased)} after debiasing, more than chance and the threshold allow.`;
  if (cell.psi !== null && cell.psi_floor !== null && cell.psi > cell.psi_floor)
    return `${d.column} moved more than chance explains, but less than the threshold.`;
  return `${d.column} looks like its reference.`;
}

/** explain lists what happened, the largest effects first. Nothing is said about shifts under two points of share. */
export function explain(d: Distribution): string[] {
  const bins = d.bins ?? [];
  const out: string[] = [];
  if (d.mean !== null && d.reference_mean !== null) {
    const from = value(d.reference_mean);
    const to = value(d.mean);
    if (from === to) out.push(`The mean stays at ${to}.`);
    else {
      const times = d.mean / d.reference_mean;
      const factor = Number.isFinite(times) && times > 0 && (times >= 1.15 || times <= 0.87) ? ` (×${times.toFixed(2)})` : "";
      out.push(`Mean ${from} → ${to}${factor}.`);
    }
  }
  const outside: [Bin["kind"], string][] = [
    ["over", "of rows lie beyond the reference’s maximum"],
    ["under", "of rows lie below the reference’s minimum"],
    ["unseen", "of rows have a value the reference has never seen"],
    ["null", "of rows have no value"],
    ["nan", "of rows are not a number"],
    ["inf", "of rows are infinite"],
  ];
  const special: { share: number; text: string }[] = [];
  for (const [kind, text] of outside) {
    const now = share(bins, kind, "current");
    const before = share(bins, kind, "reference");
    if (now - before >= 0.002) {
      const was = before > 0 ? ` (reference: ${percent(before)})` : "";
      special.push({ share: now, text: `${percent(now)} ${text}${was}.` });
    }
  }
  special.sort((a, b) => b.share - a.share);
  out.push(...special.map((s) => s.text));
  const moved = bins
    .filter((b) => (b.kind === "range" || b.kind === "value" || b.kind === "category" || b.kind === "other") && Math.abs(b.current - b.reference) >= 0.02)
    .sort((a, b) => Math.abs(b.current - b.reference) - Math.abs(a.current - a.reference))
    .slice(0, d.kind === "categorical" ? 3 : 2);
  for (const b of moved) {
    const name = b.kind === "other" ? "All other known values" : binName(b);
    if (b.current === 0) out.push(`${name} has gone (reference: ${percent(b.reference)}).`);
    else out.push(`${name}: ${percent(b.reference)} → ${percent(b.current)} of rows.`);
  }
  return out;
}
