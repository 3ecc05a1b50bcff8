import { useDeployments } from "../api/queries";
import type { Deployment } from "../api/types";
import { Sparkline } from "../charts/Sparkline";
import { Stat } from "../components/LiveStrip";
import { RolloutChip } from "../components/rollout/RolloutChip";
import { Link } from "../components/Link";
import { Command, Empty, Refusal, Skeleton } from "../components/Notice";
import { labelCommand, predictCommand, pushCommand } from "../lib/commands";
import { compact, count, digest, millis, percent, plural, rate } from "../lib/format";
import { useTitle } from "../lib/hooks";
import { deploymentPath } from "../lib/route";
import { at, day } from "../lib/time";

export function Overview() {
  useTitle("");
  const { data, error } = useDeployments();
  if (!data) return error ? <Refusal error={error} /> : <Skeleton height={220} />;
  if (data.length === 0) return <NoDeployments />;
  return (
    <>
      <h1 className="sr">Deployments</h1>
      <div className="cards">
        {data.map((d) => (
          <DeploymentCard key={d.name} d={d} />
        ))}
      </div>
    </>
  );
}

function DeploymentCard({ d }: { d: Deployment }) {
  const drifted = d.drifted ?? [];
  const from = at(d.from);
  const to = at(d.to);
  return (
    <Link href={deploymentPath(d.name)} className="card deployment" data-testid={`deployment-${d.name}`}>
      <header className="card-head">
        <h2>{d.name}</h2>
        {d.rollout && <RolloutChip rollout={d.rollout} />}
        <span className={`state ${d.state}`}>{d.state}</span>
      </header>
      <p className="card-sub">
        {d.model}@{d.version} · <code>{digest(d.digest)}</code> · {d.task || "no task"}
      </p>
      {d.state === "failed" && d.reason && <p className="reason">{d.reason}</p>}
      <div className="card-live">
        <Stat name="rows/s" value={rate(d.live.rows_per_second)} big />
        <Sparkline points={d.history ?? []} height={48} />
      </div>
      <div className="card-stats">
        <Stat name="p50" value={millis(d.live.p50_ms)} />
        <Stat name="p95" value={millis(d.live.p95_ms)} />
        <Stat name="p99" value={millis(d.live.p99_ms)} />
        <Stat name="rows" value={compact(d.rows)} title={count(d.rows)} />
        <Stat name="with label" value={percent(d.rows > 0 ? d.labelled / d.rows : null)} />
      </div>
      <footer className="card-foot">
        <span className={d.firing > 0 ? "chip bad" : "chip"}>{d.firing > 0 ? `${plural(d.firing, "alert")} firing` : "no alerts"}</span>
        {drifted.slice(0, 4).map((c) => (
          <span key={c} className="chip drift"><span className="sign drifted" />{c}</span>
        ))}
        {drifted.length > 4 && <span className="chip">+{drifted.length - 4}</span>}
        {from !== undefined && to !== undefined && (
          <span className="card-span">{day(from)} – {day(to)}</span>
        )}
      </footer>
    </Link>
  );
}

function NoDeployments() {
  const origin = location.origin;
  return (
    <Empty title="No model yet" testid="empty-overview">
      <p>Push one, and it serves, counts and watches from the first request on.</p>
      <ol className="steps">
        <li>
          <span>Push a model, with the data it was trained on as its reference:</span>
          <Command>{pushCommand("churn")}</Command>
        </li>
        <li>
          <span>Ask it for a prediction; the answer carries an id:</span>
          <Command>{predictCommand(origin, "churn", undefined)}</Command>
        </li>
        <li>
          <span>Tell it the truth when you know it:</span>
          <Command>{labelCommand(origin, "churn", undefined)}</Command>
        </li>
      </ol>
      <p>Or watch real flights flow: <code>fairlead demo</code></p>
    </Empty>
  );
}
