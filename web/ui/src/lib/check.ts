// What tests and golden vectors found, in words.
import type { TestReport, Verdict, Verification } from "../api/check";
import { count, percent, plural } from "./format";

export const verdictWords: Record<Verdict, string> = { passed: "passed", failed: "failed", too_few: "too few rows", skipped: "skipped" };

/** tally counts a report's tests: 11 passed, 1 failed. */
export function tally(r: TestReport): string {
  const parts: [number, string][] = [[r.passed, "passed"], [r.failed, "failed"], [r.too_few, "with too few rows"], [r.skipped, "skipped"]];
  return parts.filter(([n]) => n > 0).map(([n, word]) => `${count(n)} ${word}`).join(", ") || "no tests";
}

/** closeness says how far the worst answer lies from the golden one, in parts of what is tolerated. */
export function closeness(v: Verification): string {
  const all = v.outputs ?? [];
  const cases = plural(v.cases, "golden vector");
  const wrong = all.filter((o) => !o.ok);
  if (wrong.length > 0) return `${cases}: ${wrong.length} of ${plural(all.length, "output")} beyond the tolerance`;
  const shares = all.map((o) => o.share_of_tolerance).filter((x) => x !== undefined);
  if (shares.length === 0) return `${cases}: as they should be`;
  const worst = Math.max(...shares);
  return worst === 0 ? `${cases}: the same to the last bit` : `${cases}: the worst takes ${percent(worst)} of the tolerance`;
}
