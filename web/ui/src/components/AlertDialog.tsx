import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState, type ReactNode } from "react";
import { post, type Failure } from "../api/client";
import { useAlertExplanation } from "../api/queries";
import type { Alert, AlertExplanation, ExampleRow, ValueShare } from "../api/types";
import { measure, percent, plural } from "../lib/format";
import { hoursLabel, silenceHours, silenceOf } from "../lib/silence";
import { at, moment } from "../lib/time";
import { Dialog } from "./Dialog";
import { Refusal, Skeleton } from "./Notice";
import { said, useSigned, WhoWhy } from "./WhoWhy";

const harms = {
  hurts: "hurts: the model does worse",
  moves: "moves predictions",
  unknown: "harm not known yet",
  quiet: "harmless so far",
};

/** AlertDialog says what is known of an alert, and takes what a person decides. */
export function AlertDialog({ alert, onClose }: { alert: Alert; onClose: () => void }) {
  const { data, error } = useAlertExplanation(alert.id);
  return (
    <Dialog title={`${alert.column} drifted`} onClose={onClose} wide testid="alert-dialog">
      {data ? <Told e={data} /> : error ? <Refusal error={error} /> : <Waiting alert={alert} />}
      {alert.state !== "resolved" && <Decide alert={alert} />}
    </Dialog>
  );
}

function Waiting({ alert }: { alert: Alert }) {
  return (
    <>
      <p className="lead">{alert.message}</p>
      <p className="calm" role="status">Looking at recorded rows and asking the model again…</p>
      <Skeleton height={180} />
    </>
  );
}

function Told({ e }: { e: AlertExplanation }) {
  const sure = e.sure;
  return (
    <div className="explained">
      <p className="lead">{e.text}</p>
      <p className="chips">
        <span className={e.harm === "hurts" ? "chip bad" : "chip"} data-testid="harm">{harms[e.harm]}</span>
        {e.course.kind !== "none" && (
          <span className="chip">{e.course.kind}, {percent(e.course.confidence)} sure{e.course.provisional && ", provisional"}</span>
        )}
        <span className="chip" title={`rule: ${sure.rule}`}>
          {plural(sure.rows, "row")} in {sure.drifted} of {plural(sure.windows, "window")} · PSI {measure(sure.psi)}, chance up to {measure(sure.floor)}
        </span>
      </p>
      <Part title="What to do"><ul>{(e.advice ?? []).map((x) => <li key={x}>{x}</li>)}</ul></Part>
      {e.impact && <Part title="What it does to predictions"><p>{e.impact.reason ? `Not known: ${e.impact.reason}.` : e.impact.says}</p></Part>}
      {e.carried && <Part title="Which rows carry it"><Carried carried={e.carried} /></Part>}
      {(e.shares ?? []).length > 0 && <Part title="Which values"><Shares shares={e.shares!} /></Part>}
      {(e.effects ?? []).length > 0 && (
        <Part title="The model before and since">
          <ul>{e.effects!.map((x) => <li key={x.what} className={x.clear ? undefined : "faint"}>{x.what}: {measure(x.before)} → {measure(x.since)}</li>)}</ul>
        </Part>
      )}
      {(e.related ?? []).length > 0 && <Part title="Moved with it"><p>{e.related!.map((x) => x.column).join(", ")}</p></Part>}
      {(e.changes ?? []).length > 0 && (
        <Part title="What changed near the onset">
          <ul>{e.changes!.map((x) => <li key={x.time + x.text}>{moment(at(x.time) ?? 0)}: {x.text}</li>)}</ul>
        </Part>
      )}
      {(e.examples ?? []).length > 0 && <Part title="Example rows"><Examples rows={e.examples!} column={e.alert.column} /></Part>}
    </div>
  );
}

function Part({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className="explained-part">
      <h3>{title}</h3>
      {children}
    </section>
  );
}

function Carried({ carried }: { carried: NonNullable<AlertExplanation["carried"]> }) {
  const segments = carried.segments ?? [];
  if (carried.reason || segments.length === 0) return <p>{carried.reason ? `Not known: ${carried.reason}.` : carried.says}</p>;
  return (
    <table className="shares">
      <thead><tr><th>rows with</th><th>of the change</th><th>of the rows</th></tr></thead>
      <tbody>
        {segments.map((s) => (
          <tr key={s.label}><td>{s.label}</td><td><Bar share={s.part.value} />{percent(s.part.value)}</td><td><Bar share={s.rows} />{percent(s.rows)}</td></tr>
        ))}
      </tbody>
    </table>
  );
}

function Shares({ shares }: { shares: ValueShare[] }) {
  return (
    <table className="shares">
      <thead><tr><th>value</th><th>before</th><th>now</th></tr></thead>
      <tbody>
        {shares.slice(0, 6).map((s) => (
          <tr key={s.label}><td>{s.label}</td><td><Bar share={s.before} />{percent(s.before)}</td><td><Bar share={s.now} now />{percent(s.now)}</td></tr>
        ))}
      </tbody>
    </table>
  );
}

const Bar = ({ share, now = false }: { share: number; now?: boolean }) => (
  <span className={now ? "share-bar now" : "share-bar"} aria-hidden="true"><i style={{ width: `${100 * Math.min(1, Math.max(0, share))}%` }} /></span>
);

function Examples({ rows, column }: { rows: ExampleRow[]; column: string }) {
  const text = (x: unknown) => (x === null || x === undefined ? "–" : String(x));
  return (
    <table className="shares">
      <thead><tr><th>row</th><th>{column}</th><th>score</th><th>other inputs</th></tr></thead>
      <tbody>
        {rows.map((r) => (
          <tr key={r.id} title={r.why}>
            <td><code>{r.id}</code><br /><small>{moment(at(r.time) ?? 0)}</small></td>
            <td>{text(r.value)}{r.back !== undefined && <><br /><small>before: {text(r.back)}</small></>}</td>
            <td>{measure(r.score)}{r.score_back !== undefined && <><br /><small>then {measure(r.score_back)}</small></>}</td>
            <td><small>{(r.inputs ?? []).map((i) => `${i.name} ${i.redacted ? "redacted" : text(i.value)}`).join(", ")}</small></td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** Decide acknowledges or silences. Both are for the people who are told, and neither changes what is measured. */
function Decide({ alert }: { alert: Alert }) {
  const [signed, change] = useSigned();
  const [hours, setHours] = useState<number>(8);
  const client = useQueryClient();
  const act = useMutation<unknown, Failure, "ack" | "unack" | "silence">({
    mutationFn: (what) =>
      what === "silence"
        ? post("/silences", silenceOf(alert, hours, signed.why.trim(), signed.by, Date.now()))
        : post(`/alerts/${what}`, { id: alert.id, ...(said(signed).by && { by: said(signed).by }), ...(signed.why.trim() && { note: signed.why.trim() }) }),
    onSettled: () => client.invalidateQueries({ queryKey: ["alerts"] }),
  });
  const { acknowledged, silenced } = alert;
  return (
    <footer className="decide">
      {acknowledged && <p data-testid="acknowledged">Acknowledged by {acknowledged.by}, {moment(at(acknowledged.at) ?? 0)}{acknowledged.note && `: ${acknowledged.note}`}. Nobody is told again until it is over.</p>}
      {silenced && <p data-testid="silenced">Silenced by {silenced.by}{silenced.until && ` until ${moment(at(silenced.until) ?? 0)}`}: {silenced.reason}</p>}
      <WhoWhy value={signed} onChange={change} placeholder="for those who are told" />
      <div className="dialog-actions">
        <button type="button" className="primary-button" disabled={act.isPending} onClick={() => act.mutate(acknowledged ? "unack" : "ack")}>
          {acknowledged ? "Take the acknowledgement back" : "Acknowledge"}
        </button>
        <label className="field short">
          <span>for</span>
          <select value={hours} onChange={(e) => setHours(Number(e.target.value))} aria-label="How long">
            {silenceHours.map((h) => <option key={h} value={h}>{hoursLabel(h)}</option>)}
          </select>
        </label>
        <button
          type="button" className="quiet-button" disabled={act.isPending || signed.why.trim() === "" || silenced !== undefined}
          title={signed.why.trim() === "" ? "say why first" : undefined} onClick={() => act.mutate("silence")}
        >
          Silence {alert.column}
        </button>
      </div>
      {act.error && <Refusal error={act.error} />}
    </footer>
  );
}

/** noticed says in a word that somebody knows of an alert. */
export function noticed(a: Alert): string | undefined {
  if (a.acknowledged) return `acknowledged by ${a.acknowledged.by}`;
  return a.silenced && `silenced by ${a.silenced.by}`;
}
