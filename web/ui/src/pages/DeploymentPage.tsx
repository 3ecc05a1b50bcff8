import { useMemo, useState } from "react";
import { useAlerts, useDeployments, useDrift, useMetrics, useModels } from "../api/queries";
import type { Alert, Annotation, Deployment, Grain, ModelVersion } from "../api/types";
import { createHover, HoverContext } from "../charts/hover";
import type { Domain } from "../charts/Timeline";
import { Anatomy } from "../components/Anatomy";
import { AlertDialog } from "../components/AlertDialog";
import { Alerts } from "../components/Alerts";
import { DeploymentHead } from "../components/DeploymentHead";
import { Dialog } from "../components/Dialog";
import { DistributionPanel } from "../components/DistributionPanel";
import { DriftCard } from "../components/DriftCard";
import { LiveStrip } from "../components/LiveStrip";
import { MetricsCard } from "../components/MetricsCard";
import { Command, Empty, Refusal, Skeleton } from "../components/Notice";
import { RolloutCard } from "../components/rollout/RolloutCard";
import { labelCommand, predictCommand, pushCommand } from "../lib/commands";
import { useTitle } from "../lib/hooks";
import { useSelection } from "../lib/route";
import { at, grainMillis, iso } from "../lib/time";
import { domainOf, grainOf, holdAround, spanOf } from "../lib/view";

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

/** useView reads what is chosen from the address, loads it, and gives the ways to choose something else. */
function useView(d: Deployment) {
  const [query, select] = useSelection();
  const grain = grainOf(query.get("grain"), d.from, d.to);
  const span = spanOf(grain, query.get("span"));
  const held = at(query.get("to"));
  const view = { grain, limit: span.windows, to: held === undefined ? undefined : iso(held) };
  const drift = useDrift(d.name, view);
  const metrics = useMetrics(d.name, view);

  const starts = drift.data?.windows?.length ? drift.data.windows : (metrics.data?.points ?? []).map((p) => p.start);
  // While the other grain loads, the old picture stays on its own axis.
  const shown = drift.data?.grain ?? grain;
  const domain = useStable(domainOf(shown, span.windows, starts, shown === grain ? held : undefined));

  const column = query.get("col");
  const start = at(query.get("at"));
  const selected = column && start !== undefined ? { column, start } : undefined;

  // The stream would carry the chosen cell away, so choosing one holds the view.
  const pick = (col: string, t: number) =>
    select({ col, at: iso(t), grain, to: query.get("to") ?? (domain ? iso(domain.to) : undefined) }, selected !== undefined);
  const follow = () => select({ col: undefined, at: undefined, to: undefined });
  const open = (a: Alert) => {
    const onset = at(a.onset);
    if (onset === undefined) return;
    const windows = spanOf(a.grain, query.get("span")).windows;
    select({ col: a.column, at: iso(onset), grain: a.grain, to: iso(holdAround(onset, a.grain, windows, at(d.to))) });
  };
  return { grain, span, held, drift, metrics, starts, domain, selected, alert: query.get("alert"), select, pick, follow, open };
}

function Detail({ d, all }: { d: Deployment; all: Deployment[] }) {
  const v = useView(d);
  const [hover] = useState(createHover);
  const alerts = useAlerts();
  const models = useModels();
  const versions = models.data?.find((m) => m.name === d.model)?.versions ?? [];
  const version = versions.find((x) => x.version === d.version);
  const mine = useMemo(() => (alerts.data ?? []).filter((a) => a.deployment === d.name), [alerts.data, d.name]);
  const { selected } = v;

  return (
    <HoverContext value={hover}>
      <DeploymentHead d={d} all={all} version={version} />
      {v.alert && <OpenAlert id={v.alert} alerts={alerts.data} onClose={() => v.select({ alert: undefined })} />}
      {d.state === "failed" && <div className="refusal" role="alert"><b>This deployment does not serve.</b><p>{d.reason}</p></div>}
      <LiveStrip deployment={d} />
      <RolloutCard d={d} versions={versions} />
      {d.rows === 0 && v.starts.length === 0 ? (
        <>
          <NoRows d={d} version={version} />
          {d.serving && <Anatomy serving={d.serving} />}
        </>
      ) : (
        <div className={selected ? "detail with-panel" : "detail"}>
          <div className="main-column">
            <DriftCard
              d={d} version={version} drift={v.drift.data} error={v.drift.error}
              grain={v.grain} span={v.span.value} held={v.held} domain={v.domain} selected={selected}
              onView={v.select} onFollow={v.follow} onPick={v.pick}
            />
            <MetricsCard d={d} version={version} metrics={v.metrics.data} error={v.metrics.error} domain={v.domain} />
            {d.serving && <Anatomy serving={d.serving} />}
          </div>
          <div className="side-column">
            {selected && (
              <DistributionPanel
                deployment={d.name} column={selected.column} start={selected.start} grain={v.grain} drift={v.drift.data}
                planted={plantedAt(d.annotations ?? [], selected.start, v.grain)?.title}
                onSelect={v.pick} onClose={v.follow}
              />
            )}
            {alerts.error && !alerts.data ? <Refusal error={alerts.error} /> : <Alerts alerts={mine} onOpen={v.open} onExplain={(a) => v.select({ alert: a.id })} />}
          </div>
        </div>
      )}
    </HoverContext>
  );
}

/** OpenAlert shows the alert that the address names, which is where messages to people point. */
function OpenAlert({ id, alerts, onClose }: { id: string; alerts: Alert[] | undefined; onClose: () => void }) {
  if (!alerts) return null;
  const alert = alerts.find((a) => a.id === id);
  if (alert) return <AlertDialog alert={alert} onClose={onClose} />;
  return (
    <Dialog title="This alert is gone" onClose={onClose} testid="alert-dialog">
      <p>No alert is called <code>{id}</code> any more: rows that came late, or another rule, took away what it rested on.</p>
    </Dialog>
  );
}

/** plantedAt finds the planted incident that a window touches. */
const plantedAt = (annotations: Annotation[], start: number, grain: Grain) =>
  annotations.find((a) => a.kind === "planted" && (at(a.start) ?? 0) < start + grainMillis[grain] && (at(a.end) ?? 0) > start);

/** useStable keeps the same object while its numbers are the same, so that charts are not drawn again for nothing. */
function useStable(d: Domain | undefined): Domain | undefined {
  const { from, to, grain } = d ?? {};
  return useMemo(
    () => (from === undefined || to === undefined || grain === undefined ? undefined : { from, to, grain }),
    [from, to, grain],
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
