import { lazy, Suspense } from "react";
import type { Failure } from "../api/client";
import type { Deployment, Metrics, ModelVersion } from "../api/types";
import type { Domain } from "../charts/Timeline";
import { labelCommand } from "../lib/commands";
import { Command, Empty, Refusal, Skeleton } from "./Notice";

const MetricStrips = lazy(() => import("./MetricStrips"));

interface Props {
  d: Deployment;
  version: ModelVersion | undefined;
  metrics: Metrics | undefined;
  error: Failure | null;
  domain: Domain | undefined;
}

/** MetricsCard is the realised metrics, or what is missing for them. */
export function MetricsCard(props: Props) {
  return (
    <section className="card" aria-labelledby="metrics-title">
      <header className="card-head">
        <h2 id="metrics-title">Model metrics</h2>
        <span className="hint">
          realised, as labels arrive · hollow: fewer than 95 % have their label
          {props.metrics?.reference && " · dashed line: reference"} · windows with fewer than 20 labels left out
        </span>
      </header>
      <Body {...props} />
    </section>
  );
}

function Body({ metrics, error, d, version, domain }: Props) {
  if (!metrics) return error ? <Refusal error={error} /> : <Skeleton height={260} />;
  if (metrics.empty === "no_task")
    return (
      <Empty title="This model has no task" testid="no-task">
        <p>Say <code>task: binary</code> and <code>label: {"{name: …}"}</code> in its <code>fairlead.yaml</code>, and its metrics are computed as labels arrive.</p>
      </Empty>
    );
  if (metrics.empty === "no_labels")
    return (
      <Empty title="No labels yet" testid="no-labels">
        <p>Every answer carries an id. Send the truth under that id, however late:</p>
        <Command>{labelCommand(location.origin, d.name, version)}</Command>
      </Empty>
    );
  if (metrics.empty || !metrics.points?.length || !domain)
    return (
      <Empty title="Nothing measured yet" testid="no-metrics">
        <p>Metrics begin with the first labelled predictions.</p>
      </Empty>
    );
  return (
    <>
      {error && !error.lost && <Refusal error={error} />}
      <Suspense fallback={<Skeleton height={320} />}>
        <MetricStrips metrics={metrics} domain={domain} annotations={d.annotations ?? []} />
      </Suspense>
    </>
  );
}
