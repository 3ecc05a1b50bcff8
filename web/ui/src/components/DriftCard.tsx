import { lazy, Suspense, useState, type ReactNode } from "react";
import type { Failure } from "../api/client";
import type { Deployment, Drift, Grain, ModelVersion } from "../api/types";
import type { Domain } from "../charts/Timeline";
import { predictCommand, pushCommand } from "../lib/commands";
import type { Change } from "../lib/route";
import { dayShort } from "../lib/time";
import { spans } from "../lib/view";
import { DriftTable } from "./DriftTable";
import { Legend } from "./Legend";
import { Command, Empty, Refusal, Skeleton } from "./Notice";
import { Segmented } from "./Segmented";

const HeatMap = lazy(() => import("./HeatMap"));

const grains = [
  { value: "hour", label: "Hour" },
  { value: "day", label: "Day" },
] as const satisfies readonly { value: Grain; label: string }[];

interface Props {
  d: Deployment;
  version: ModelVersion | undefined;
  drift: Drift | undefined;
  error: Failure | null;
  grain: Grain;
  span: string;
  held: number | undefined;
  domain: Domain | undefined;
  selected: { column: string; start: number } | undefined;
  onView: (change: Change) => void;
  onFollow: () => void;
  onPick: (column: string, start: number) => void;
}

/** reportPath is the server's page on the windows that are shown. */
function reportPath(name: string, grain: Grain, drift: Drift | undefined): string {
  const q = new URLSearchParams({ format: "html", grain });
  const windows = drift?.windows ?? [];
  if (windows.length > 0) {
    q.set("from", windows[0]!);
    q.set("limit", String(windows.length));
  }
  return `/api/v1/deployments/${encodeURIComponent(name)}/drift-report?${q}`;
}

/** DriftCard is the heat map with its choices: grain, span, map or table. */
export function DriftCard(p: Props) {
  const { d, grain, domain } = p;
  const [asTable, setAsTable] = useState(false);
  return (
    <section className="card" aria-labelledby="drift-title">
      <header className="card-head">
        <h2 id="drift-title">Data drift</h2>
        {p.held !== undefined && (
          <button type="button" className="held" data-testid="follow" onClick={p.onFollow} title="show the newest windows again">
            held at {dayShort(p.held)} · follow live
          </button>
        )}
        <div className="tools">
          <Segmented label="Grain" options={grains} value={grain} onChange={(g) => p.onView({ grain: g, span: undefined, col: undefined, at: undefined, to: undefined })} />
          <Segmented label="Span" options={spans[grain]} value={p.span} onChange={(s) => p.onView({ grain, span: s })} />
          <a className="quiet-button" href={reportPath(d.name, grain, p.drift)} target="_blank" rel="noreferrer" title="one page on these windows, to keep or to send">Report</a>
          <button type="button" className="quiet-button" aria-pressed={asTable} onClick={() => setAsTable(!asTable)}>Table</button>
        </div>
      </header>
      <Body {...p}>
        {(drift) => (
          <>
            {asTable && <DriftTable drift={drift} onSelect={p.onPick} />}
            {!asTable && domain && (
              <Suspense fallback={<Skeleton height={260} />}>
                <HeatMap drift={drift} domain={domain} annotations={d.annotations ?? []} selected={p.selected} onSelect={p.onPick} />
              </Suspense>
            )}
            <Legend rule={drift.rule} />
          </>
        )}
      </Body>
    </section>
  );
}

function Body({ drift, error, d, version, children }: Props & { children: (drift: Drift) => ReactNode }) {
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
