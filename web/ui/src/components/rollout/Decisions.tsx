import { useState } from "react";
import type { Decision, Rollout } from "../../api/rollout";
import { spaced, summary } from "../../lib/rollout";
import { at, stamp } from "../../lib/time";
import { GateTable } from "./GateTable";

const signs: Record<Decision["action"], { sign: string; word: string; tone: "" | "good" | "bad" | "warn" }> = {
  start: { sign: "▸", word: "started", tone: "" },
  enter: { sign: "↗", word: "entered", tone: "good" },
  promote: { sign: "↗", word: "promoted", tone: "good" },
  complete: { sign: "✓", word: "completed", tone: "good" },
  rollback: { sign: "✕", word: "rolled back", tone: "bad" },
  hold: { sign: "‖", word: "held", tone: "warn" },
  continue: { sign: "▸", word: "went on", tone: "" },
  pause: { sign: "‖", word: "paused", tone: "warn" },
  resume: { sign: "▸", word: "resumed", tone: "" },
  approve: { sign: "✓", word: "approved", tone: "good" },
  report: { sign: "!", word: "reported", tone: "warn" },
  weights: { sign: "⇄", word: "moved", tone: "" },
  end: { sign: "■", word: "ended", tone: "" },
};

const most = 8;

/** Decisions is the story of a rollout, newest first; the numbers behind each decision fold out. */
export function Decisions({ r, history, live, canary }: { r: Rollout; history: Decision[]; live: string; canary: string }) {
  const [all, setAll] = useState(false);
  const newest = [...history].reverse();
  const shown = all ? newest : newest.slice(0, most);
  return (
    <div className="decisions">
      <h3 className="sub">Decisions</h3>
      <ol data-testid="decisions">
        {shown.map((d) => (
          <One key={d.sequence} d={d} r={r} live={live} canary={canary} told={d === newest[0] && d.action === "rollback"} />
        ))}
      </ol>
      {newest.length > shown.length && (
        <button type="button" className="quiet-button" onClick={() => setAll(true)}>All {newest.length}</button>
      )}
    </div>
  );
}

/** One is one decision. Told, its numbers are open from the start. */
function One({ d, r, live, canary, told }: { d: Decision; r: Rollout; live: string; canary: string; told: boolean }) {
  const [open, setOpen] = useState(told);
  const { sign, word, tone } = signs[d.action];
  const evidence = d.evidence ?? [];
  const t = at(d.time);
  return (
    <li className={`decision ${tone}`} data-action={d.action}>
      <span className="decision-sign" aria-hidden="true">{sign}</span>
      <div>
        <p className="decision-head">
          <b>{word}</b>
          <span>{spaced(d.stage)}{d.next && ` → ${spaced(d.next)}`}</span>
          <span>by {d.actor}</span>
          {t !== undefined && <time dateTime={d.time}>{stamp(t)} UTC</time>}
        </p>
        <p>{d.text}</p>
        {d.why && <p className="decision-why">“{d.why}” <span>{d.actor}</span></p>}
        {evidence.length > 0 && (
          <details open={told} onToggle={(e) => setOpen(e.currentTarget.open)}>
            <summary>The numbers: {summary(evidence)}</summary>
            {open && <GateTable evidence={evidence} policy={r.policy} live={live} canary={canary} />}
          </details>
        )}
      </div>
    </li>
  );
}
