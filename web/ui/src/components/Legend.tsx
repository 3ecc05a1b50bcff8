import type { Rule } from "../api/types";
import { plural } from "../lib/format";

/** Legend says in words what the shades mean, and when the alert rule fires. */
export function Legend({ rule }: { rule: Rule }) {
  return (
    <div className="legend">
      <span><i className="key quiet" />within noise</span>
      <span><i className="key near" />above noise, under {rule.threshold}</span>
      <span><i className="key drifted" />drifted: {rule.measure === "ks" ? "KS" : "PSI"} over {rule.threshold} and over noise</span>
      <span><i className="key few" />too few rows</span>
      <span><i className="key open" />window still open</span>
      <span className="rule">
        alert after {plural(rule.for, `drifted ${rule.grain}`)}{among(rule)}, resolved after {plural(rule.clear, `clean ${rule.grain}`)}
      </span>
    </div>
  );
}

function among(rule: Rule) {
  if ((rule.of ?? 0) > rule.for) {
    return ` among ${rule.of}`;
  }
  return rule.for > 1 ? " in a row" : "";
}
