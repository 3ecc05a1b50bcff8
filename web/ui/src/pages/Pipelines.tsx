import { usePipelines } from "../api/queries";
import type { Pipeline } from "../api/pipeline";
import { DagView } from "../components/DagView";
import { Command, Empty, Refusal, Skeleton } from "../components/Notice";
import { bytes, digest, plural } from "../lib/format";
import { useTitle } from "../lib/hooks";
import { at, moment } from "../lib/time";

export function Pipelines() {
  useTitle("Pipelines");
  const { data, error } = usePipelines();
  if (!data) return error ? <Refusal error={error} /> : <Skeleton height={240} />;
  if (data.length === 0)
    return (
      <Empty title="No pipeline yet" testid="empty-pipelines">
        <p>Several models and transforms can answer as one deployment: in a row, side by side, one in place of another that is late.</p>
        <Command>fairlead pipeline push examples/pipelines/reviews</Command>
      </Empty>
    );
  return (
    <>
      <h1 className="page-title">Pipelines</h1>
      {data.map((p) => (
        <PipelineCard key={p.name} p={p} />
      ))}
    </>
  );
}

function PipelineCard({ p }: { p: Pipeline }) {
  const versions = p.versions ?? [];
  const steps = p.steps ?? [];
  const names = (all: Pipeline["inputs"]) => (all ?? []).map((t) => t.name).join(", ");
  return (
    <section className="card pipeline" data-testid={`pipeline-${p.name}`}>
      <header className="card-head">
        <h2>{p.name}</h2>
        <span className={`state ${p.state}`}>{p.state}</span>
        <span className="hint">
          v{p.version} · <code title={p.digest}>{digest(p.digest)}</code>
          {steps.length > 0 && <> · {p.task || "no task"} · {names(p.inputs)} → {names(p.outputs)}</>}
        </span>
        <span className="when hint">{moment(at(p.pushed) ?? 0)} UTC</span>
      </header>
      {p.state === "failed" && <div className="refusal" role="alert"><b>This pipeline does not answer.</b><p>{p.reason}</p></div>}
      {steps.length > 0 && (
        <>
          <DagView name={p.name} steps={steps} />
          <p className="hint">Mean time and counts since it was loaded.{steps.some((s) => s.fallback) && " A dashed arrow leads to the step that answers when one fails or is late."}</p>
        </>
      )}
      {versions.length > 1 && (
        <details className="fold">
          <summary>{plural(versions.length, "version")}</summary>
          <ul className="pipeline-versions">
            {versions.map((v) => (
              <li key={v.version} className={v.version === p.version ? undefined : "gone"}>
                <b>v{v.version}</b> <code>{digest(v.digest)}</code> {bytes(v.size)} · {moment(at(v.pushed) ?? 0)} UTC{v.version === p.version && " · answers"}
              </li>
            ))}
          </ul>
        </details>
      )}
    </section>
  );
}
