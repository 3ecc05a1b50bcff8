import type { ReactNode } from "react";
import type { Evidence, Policy } from "../../api/rollout";
import { domainOf } from "../../lib/interval";
import { amount, between, evidenceShare, gateName, odds, sideText, sortEvidence, worseSign } from "../../lib/rollout";
import { Finding } from "./Finding";
import { IntervalPlot } from "./IntervalPlot";

interface Props {
  evidence: Evidence[];
  policy: Policy | null | undefined;
  /** The two versions, for the head of the table. */
  live: string;
  canary: string;
}

/** GateTable is one row for each gate: what it found, its interval against the margin, and how far evidence of harm has come. */
export function GateTable({ evidence, policy, live, canary }: Props) {
  const worse = (gate: string) => worseSign(gate, policy);
  const of = evidence.some(between) ? "a difference" : "harm";
  const domain = domainOf(evidence, worse);
  const place = (x: number) => `${(100 * (x - domain.from)) / (domain.to - domain.from)}%`;
  return (
    <div className="gates-scroll" role="region" aria-label="Gates" tabIndex={0}>
      <table className="gates" data-testid="gates">
        <thead>
          <tr>
            <th scope="col">Gate</th>
            <th scope="col">Finding</th>
            <th scope="col" className="gates-axis">
              <span className="sr">Difference, in margins</span>
              <span aria-hidden="true" className="axis-label" style={{ left: place(0) }}>same</span>
              <span aria-hidden="true" className="axis-label margin" style={{ left: place(1) }}>margin</span>
            </th>
            <th scope="col">Difference</th>
            <th scope="col" title={of === "harm" ? "evidence against “not worse”; a full bar rolls back" : "evidence against “the same”; a full bar shows that they differ"}>Evidence of {of}</th>
            <th scope="col">{live}</th>
            <th scope="col">{canary}</th>
          </tr>
        </thead>
        <tbody>
          {sortEvidence(evidence).map((e) => (
            <Row key={e.gate + (e.segment ?? "")} e={e} plot={<IntervalPlot e={e} domain={domain} worse={worse(e.gate)} />} live={live} canary={canary} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

const modes: Record<Evidence["mode"], string> = { abort: "", hold: "holds", report: "reports", off: "off" };

function Row({ e, plot, live, canary }: { e: Evidence; plot: ReactNode; live: string; canary: string }) {
  const share = evidenceShare(e);
  const empty = e.finding === "no_data";
  return (
    <tr data-testid={`gate-${e.gate}`} data-finding={e.finding}>
      <th scope="row">
        {gateName(e.gate)}
        <small>
          {[e.required ? "required" : "", modes[e.mode]].filter(Boolean).join(", ")}
          {e.segment && <span className="segment"> {e.segment}</span>}
        </small>
      </th>
      <td className="gates-finding"><Finding e={e} /></td>
      <td className="gates-plot">{plot}</td>
      <td className="gates-difference">
        {!empty && (
          <>
            <b>{amount(e.unit, e.difference, true)}</b>
            <small>{amount(e.unit, e.lower, true)} … {amount(e.unit, e.upper, true)}{e.margin > 0 && `, margin ${amount(e.unit, e.margin)}`}</small>
          </>
        )}
      </td>
      <td className="gates-evidence">
        {!empty && e.threshold > 0 && (
          <>
            <span className={share >= 1 ? "evidence full" : "evidence"} role="meter" aria-label={`Evidence of ${between(e) ? "a difference" : "harm"}, ${gateName(e.gate)}`} aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(100 * share)}>
              <i style={{ width: `${100 * share}%` }} />
            </span>
            <small title={`ln e ${e.log_e.toFixed(2)} of ${e.threshold.toFixed(2)}, α ${e.alpha.toPrecision(2)}`}><span className="narrow">evidence </span>{odds(e)}</small>
          </>
        )}
      </td>
      <td className="gates-side" data-side={live}>{!empty && sideText(e, "live")}</td>
      <td className="gates-side" data-side={canary}>{!empty && sideText(e, "canary")}</td>
    </tr>
  );
}
