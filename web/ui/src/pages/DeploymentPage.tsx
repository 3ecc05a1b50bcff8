import { lazy, Suspense, useMemo, useState } from "react";
import { useAlerts, useDeployments, useDrift, useMetrics, useModels, type View } from "../api/queries";
import type { Alert, Deployment, Drift, Grain, Metrics, ModelVersion } from "../api/types";
import { createHover, HoverContext } from "../charts/hover";
import type { Domain } from "../charts/Timeline";
import { Alerts } from "../components/Alerts";
import { DeploymentHead } from "../components/DeploymentHead";
import { DistributionPanel } from "../components/DistributionPanel";
import { DriftTable } from "../components/DriftTable";
import { Legend } from "../components/Legend";
import { LiveStrip } from "../components/LiveStrip";
import { Command, Empty, Refusal, Skeleton } from "../components/Notice";
import { Segmented } from "../components/Segmented";
import { labelCommand, predictCommand, pushCommand } from "../lib/commands";
import { useTitle } from "../lib/hooks";
import { useSelection } from "../lib/route";
import { at, dayShort, grainMillis, iso } from "../lib/time";
import { domainOf, grainOf, holdAround, spanOf, spans } from "../lib/view";

const HeatMap = lazy(() => import("../components/HeatMap"));
const MetricStrips = lazy(() => import("../components/MetricStrips"));

export function DeploymentPage({ name }: { name: string }) {
  useTitle(name);
  const { data, error } = useDeployments();
  if (!data) return error ? <Refusal error={error} /> : <Skeleton height={320} />;
  const d = data.find((x) => x.name === name);
  if (!d)
    return (
      <Empty title={`There is no deployment “${name}”`} testid="unknown-deployment">
        <p>{data.length > 0 ? `There are: ${data.map((x) => x.name).join(", ")}.` : "There is none at all yet."} Push a model under that name:</p>
        <Command>{pushCommand(name)}</Command>
      </Empty>
    );
  return <Detail key={name} d={d} all={data} />;
}

const grains = [
  { value: "hour", label: "Hour" },
  { value: "day", label: "Day" },
] as const satisfies readonly { value: Grain; label: string }[];

function Detail({ d, all }: { d: Deployment; all: Deployment[] }) {
  const [query, select] = useSelection();
  const [hover] = useState(createHover);
  const [asTable, setAsTable] = useState(false);
  const grain = grainOf(query.get("grain"), d.from, d.to);
  const span = spanOf(grain, query.get("span"));
  const held = at(query.get("to"));
  const view: View = { grain, limit: span.windows, to: held === undefined ? undefined : iso(held) };

  const drift = useDrift(d.name, view);
  const metrics = useMetrics(d.name, view);
  const alerts = useAlerts();
  const models = useModels();
  const version = models.data?.find((m) => m.name === d.model)?.versions?.find((v) => v.version === d.version);
  const mine = useMemo(() => (alerts.data ?? []).filter((a) => a.deployment === d.name), [alerts.data, d.name]);

  const starts = drift.data?.windows?.length ? drift.data.windows : (metrics.data?.points ?? []).map((p) => p.start);
  // While the other grain loads, the old picture stays on its own axis.
  const shown = drift.data?.grain ?? grain;
  const found = domainOf(shown, span.windows, starts, shown === grain ? held : undefined);
  const domain = useStable(found);

  const column = query.get("col");
  const start = at(query.get("at"));
  const selected = column && start !== undefined ? { column, start } : undefined;
  const planted = selected && (d.annotations ?? []).find((a) => a.kind === "planted" && (at(a.start) ?? 0) < selected.start + grainMillis[grain] && (at(a.end) ?? 0) > selected.start);

  // The stream would carry the chosen cell away, so choosing one holds the view.
  const pick = (col: string, t: number) =>
    select({ col, at: iso(t), grain, span: query.get("span") ?? undefined, to: query.get("to") ?? (domain ? iso(domain.to) : undefined) }, selected !== undefined);
  const follow = () => select({ col: undefined, at: undefined, to: undefined });
  const open = (a: Alert) => {
    const onset = at(a.onset);
    if (onset === undefined) return;
    const windows = spanOf(a.grain, query.get("span")).windows;
    select({ col: a.column, at: iso(onset), grain: a.grain, to: iso(holdAround(onset, a.grain, windows, at(d.to))) });
  };
  const annotations = d.annotations ?? [];

  return (
    <HoverContext value={hover}>
      <DeploymentHead d={d} all={all} version={version} />
      {d.state === "failed" && <div className="refusal" role="alert"><b>This deployment does not serve.</b><p>{d.reason}</p></div>}
      <LiveStrip deployment={d} />
      {d.rows === 0 && starts.length === 0 ? (
        <NoRows d={d} version={version} />
      ) : (
        <div className={selected ? "detail with-panel" : "detail"}>
          <div className="main-column">
            <section className="card" aria-labelledby="drift-title">
              <header className="card-head">
                <h2 id="drift-title">Data drift</h2>
                {held !== undefined && (
                  <button type="button" className="held" data-testid="follow" onClick={follow} title="show the newest windows again">
                    held at {dayShort(held)} · follow live
                  </button>
                )}
                <div className="tools">
                  <Segmented label="Grain" options={grains} value={grain} onChange={(g) => select({ grain: g, span: undefined, col: undefined, at: undefined, to: undefined })} />
                  <Segmented label="Span" options={spans[grain]} value={span.value} onChange={(s) => select({ grain, span: s })} />
                  <button type="button" className="quiet-button" aria-pressed={asTable} onClick={() => setAsTable(!asTable)}>Table</button>
                </div>
              </header>
              <DriftBody drift={drift.data} error={drift.error} d={d} version={version}>
                {(data) => (
                  <>
                    {asTable ? (
                      <DriftTable drift={data} onSelect={pick} />
                    ) : domain && (
                      <Suspense fallback={<Skeleton height={260} />}>
                        <HeatMap drift={data} domain={domain} annotations={annotations} selected={selected} onSelect={pick} />
                      </Suspense>
                    )}
                    <Legend rule={data.rule} />
                  </>
                )}
              </DriftBody>
            </section>
            <section className="card" aria-labelledby="metrics-title">
              <header className="card-head">
                <h2 id="metrics-title">Model metrics</h2>
                <span className="hint">realised, as labels arrive · hollow: fewer than 95 % have their label · dashed line: reference</span>
              </header>
              <MetricsBody metrics={metrics.data} error={metrics.error} d={d} version={version} domain={domain} />
            </section>
          </div>
          <div className="side-column">
            {selected && (
              <DistributionPanel
                deployment={d.name}
                column={selected.column}
                start={selected.start}
                grain={grain}
                drift={drift.data}
                planted={planted?.title}
                onSelect={pick}
                onClose={follow}
              />
            )}
            {alerts.error && !alerts.data ? <Refusal error={alerts.error} /> : <Alerts alerts={mine} onOpen={open} />}
          </div>
        </div>
      )}
    </HoverContext>
  );
}

/** useStable keeps the same object while its numbers are the same, so that charts are not drawn again for nothing. */
function useStable(d: Domain | undefined): Domain | undefined {
  const { from, to, grain } = d ?? {};
  return useMemo(
    () => (from === undefined || to === undefined || grain === undefined ? undefined : { from, to, grain }),
    [from, to, grain],
  );
}

interface BodyProps {
  error: React.ComponentProps<typeof Refusal>["error"] | null;
  d: Deployment;
  version: ModelVersion | undefined;
}

function DriftBody({ drift, error, d, version, children }: BodyProps & { drift: Drift | undefined; children: (d: Drift) => React.ReactNode }) {
  if (!drift) return error ? <Refusal error={error} /> : <Skeleton height={260} />;
  if (drift.empty === "no_reference")
    return (
      <Empty title="No reference to compare with" testid="no-reference">
        <p>{d.model}@{d.version} was pushed without one, so its rows are counted but not compared. Push it again with the data it was trained on:</p>
        <Command>{pushCommand(d.model)}</Command>
      </Empty>
    );
  if (drift.empty || !drift.windows?.length)
    return (
      <Empty title="No window yet" testid="no-windows">
        <p>The first one appears a few seconds after the first rows:</p>
        <Command>{predictCommand(location.origin, d.name, version)}</Command>
      </Empty>
    );
  return (
    <>
      {error && !error.lost && <Refusal error={error} />}
      {children(drift)}
    </>
  );
}

function MetricsBody({ metrics, error, d, version, domain }: BodyProps & { metrics: Metrics | undefined; domain: Domain | undefined }) {
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
    <Suspense fallback={<Skeleton height={320} />}>
      <MetricStrips metrics={metrics} domain={domain} annotations={d.annotations ?? []} />
    </Suspense>
  );
}

function NoRows({ d, version }: { d: Deployment; version: ModelVersion | undefined }) {
  return (
    <section className="card">
      <Empty title="No predictions yet" testid="no-rows">
        <p>{d.name} is {d.state === "ready" ? "ready" : d.state}. Send it a row:</p>
        <Command>{predictCommand(location.origin, d.name, version)}</Command>
        <p>The answer carries an id; tell the truth under it when you know it:</p>
        <Command>{labelCommand(location.origin, d.name, version)}</Command>
      </Empty>
    </section>
  );
}
