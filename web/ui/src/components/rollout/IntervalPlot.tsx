import { memo } from "react";
import type { Evidence } from "../../api/rollout";
import { plot, type Domain } from "../../lib/interval";
import { findingOf, sayEvidence } from "../../lib/rollout";

const mid = "50%";
const pct = (x: number) => `${(100 * x).toFixed(2)}%`;

interface Props {
  e: Evidence;
  domain: Domain;
  worse: 1 | -1;
}

/** IntervalPlot draws the difference with its always-valid interval against “the same” and the margin. */
export const IntervalPlot = memo(function IntervalPlot({ e, domain, worse }: Props) {
  if (e.finding === "no_data") return <svg className="interval" height="100%" width="100%" role="img" aria-label={sayEvidence(e)} />;
  const p = plot(e, domain, worse);
  return (
    <svg className={`interval ${findingOf(e).look}`} height="100%" width="100%" role="img" aria-label={sayEvidence(e)} data-testid="interval">
      {p.margin !== undefined && <rect className="interval-beyond" x={pct(p.margin)} width={pct(1 - p.margin)} height="100%" />}
      <line className="interval-zero" x1={pct(p.zero)} x2={pct(p.zero)} y1="0" y2="100%" />
      {p.margin !== undefined && <line className="interval-margin" x1={pct(p.margin)} x2={pct(p.margin)} y1="0" y2="100%" />}
      {p.tolerance !== undefined && <line className="interval-tolerance" x1={pct(p.tolerance)} x2={pct(p.tolerance)} y1="0" y2="100%" />}
      <line className="interval-line" x1={pct(p.lower)} x2={pct(p.upper)} y1={mid} y2={mid} />
      <End at={p.lower} open={p.openLeft} side={-1} />
      <End at={p.upper} open={p.openRight} side={1} />
      {p.off ? (
        <svg x={pct(p.point)} y={mid} overflow="visible"><path className="interval-point" d={p.point > 0.5 ? "M-16-5.5-5 0-16 5.5Z" : "M16-5.5 5 0 16 5.5Z"} /></svg>
      ) : (
        <circle className="interval-point" cx={pct(p.point)} cy={mid} r="4.5" />
      )}
    </svg>
  );
});

/** End closes a whisker, or shows that it goes on beyond the picture. */
function End({ at, open, side }: { at: number; open: boolean; side: -1 | 1 }) {
  return (
    <svg x={pct(at)} y={mid} overflow="visible">
      <path className="interval-end" d={open ? (side === 1 ? "M-6-4.5-1 0-6 4.5" : "M6-4.5 1 0 6 4.5") : "M0-5V5"} />
    </svg>
  );
}
