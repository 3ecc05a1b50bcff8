import { useState, type ReactNode } from "react";
import { useExplanation, useRollouts, useStatus } from "../../api/queries";
import type { Explanation, Rollout } from "../../api/rollout";
import type { Deployment, ModelVersion } from "../../api/types";
import { isOver, needsPerson, phaseClass, phaseWords, summary, titleOf, track } from "../../lib/rollout";
import { useSelection } from "../../lib/route";
import { at, dayShort, moment } from "../../lib/time";
import { Refusal, Skeleton } from "../Notice";
import { BackAgain, Commands } from "./Commands";
import { Decisions } from "./Decisions";
import { GateTable } from "./GateTable";
import { StageTrack } from "./StageTrack";
import { StartRollout } from "./StartRollout";
import { Traffic } from "./Traffic";

interface Props {
  d: Deployment;
  versions: ModelVersion[];
}

/** RolloutCard is the rollout under way, or the latest one, or one of the earlier; nothing where there can be none. */
export function RolloutCard({ d, versions }: Props) {
  const [query, select] = useSelection();
  const { data, error } = useRollouts(d.name, d.rollout?.id);
  const [starting, setStarting] = useState(false);
  if (!data) return error && !error.lost ? <Refusal error={error} /> : null;
  const chosen = data.find((r) => r.id === query.get("rollout")) ?? data[0];
  const can = versions.some((v) => v.version !== d.version) && !d.rollout && d.state === "ready";
  if (!chosen && !can) return null;
  const start = can && <button type="button" className="quiet-button" onClick={() => setStarting(true)}>Roll out another version</button>;
  const form = starting && <StartRollout d={d} versions={versions} last={data.find((r) => r.kind === "rollout")?.policy} onClose={() => setStarting(false)} />;
  if (!chosen)
    return (
      <section className="card rollout none" aria-label="Rollout" data-testid="rollout">
        <span className="hint">v{d.version} answers everything. There has been no rollout.</span>
        <div className="tools">{start}</div>
        {form}
      </section>
    );
  return (
    <section className="card rollout" aria-labelledby="rollout-title" data-testid="rollout" data-phase={chosen.phase}>
      <One
        key={chosen.id} listed={chosen} latest={chosen.id === data[0]?.id} start={start}
        history={data.length > 1 && <History all={data} chosen={chosen.id} onChoose={(id) => select({ rollout: id === data[0]?.id ? undefined : id })} />}
      />
      {form}
    </section>
  );
}

function History({ all, chosen, onChoose }: { all: Rollout[]; chosen: string; onChoose: (id: string) => void }) {
  return (
    <label className="rollout-history">
      <span className="sr">Rollout</span>
      <select value={chosen} onChange={(e) => onChoose(e.target.value)}>
        {all.map((r) => (
          <option key={r.id} value={r.id}>{dayShort(at(r.started) ?? 0)}: {titleOf(r)}, {phaseWords(r)}</option>
        ))}
      </select>
    </label>
  );
}

function One({ listed, latest, start, history }: { listed: Rollout; latest: boolean; start: ReactNode; history: ReactNode }) {
  const { data, error } = useExplanation(listed.deployment, listed.id, isOver(listed.phase));
  const r: Rollout = data ?? listed;
  const over = isOver(r.phase);
  const decisions = data?.history ?? [];
  return (
    <>
      <header className="card-head">
        <h2 id="rollout-title">{titleOf(r)}</h2>
        <span className={`state ${phaseClass(r)}`} data-testid="rollout-state">{phaseWords(r)}</span>
        <span className="hint">
          since {moment(at(r.started) ?? 0)} UTC{r.started_by && `, by ${r.started_by}`}{r.why && `: ${r.why}`}
        </span>
        {history}
        {over || !latest ? (
          <div className="tools">
            {latest && r.phase === "completed" && <BackAgain r={r} />}
            {latest && start}
          </div>
        ) : (
          <Commands r={r} history={decisions} />
        )}
      </header>
      {error && !error.lost && <Refusal error={error} />}
      <p className={`says ${r.phase}${needsPerson(r.waiting) ? " person" : ""}`} data-testid="says" aria-live="polite">{r.says}</p>
      {data ? <Body r={data} /> : <Skeleton height={220} />}
    </>
  );
}

function Body({ r }: { r: Explanation }) {
  const status = useStatus();
  const history = r.history ?? [];
  const evidence = r.now ?? [];
  const live = r.kind === "rollout" ? `v${r.from} ${r.phase === "baking" ? "before" : "live"}` : "first";
  const canary = r.kind === "rollout" ? `v${r.to} new` : "other";
  return (
    <>
      <div className="rollout-top">
        {r.kind === "rollout" && <StageTrack stages={track(r, history, at(status.data?.now))} waiting={r.paused || needsPerson(r.waiting)} />}
        <Traffic r={r} />
      </div>
      {evidence.length > 0 && (
        <>
          <h3 className="sub">Gates now <span>{summary(evidence)}</span></h3>
          <GateTable evidence={evidence} policy={r.policy} live={live} canary={canary} />
        </>
      )}
      <Decisions r={r} history={history} live={live} canary={canary} />
    </>
  );
}
