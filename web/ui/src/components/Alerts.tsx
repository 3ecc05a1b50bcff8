import type { Alert } from "../api/types";
import { measure, plural } from "../lib/format";
import { at, moment } from "../lib/time";
import { noticed } from "./AlertDialog";

interface Props {
  alerts: Alert[];
  onOpen: (alert: Alert) => void;
  onExplain: (alert: Alert) => void;
}

const order = { firing: 0, pending: 1, resolved: 2 };

/** Alerts lists a deployment's alerts: firing ones first, then the newest. */
export function Alerts({ alerts, onOpen, onExplain }: Props) {
  const sorted = [...alerts].sort((a, b) => order[a.state] - order[b.state] || (at(b.onset) ?? 0) - (at(a.onset) ?? 0));
  const firing = alerts.filter((a) => a.state === "firing").length;
  return (
    <section className="card alerts" aria-labelledby="alerts-title" data-testid="alerts">
      <header className="card-head">
        <h2 id="alerts-title">Alerts</h2>
        <span className={firing > 0 ? "chip bad" : "chip"}>{firing > 0 ? `${firing} firing` : "none firing"}</span>
      </header>
      {sorted.length === 0 ? (
        <p className="calm">Nothing has drifted for long enough to alert anybody.</p>
      ) : (
        <ul>
          {sorted.slice(0, 50).map((a) => (
            <li key={a.id}>
              <button type="button" className="alert" data-testid="alert" data-state={a.state} data-column={a.column} onClick={() => onOpen(a)}>
                <span className="alert-top">
                  <span className={`state ${a.state}`}>{a.state}</span>
                  <b>{a.column}</b>
                  {noticed(a) && <span className="chip">{noticed(a)}</span>}
                  {a.planted && <span className="chip planted" title={`planted: ${a.planted}`}>planted</span>}
                </span>
                <span className="alert-message">{a.message}</span>
                <span className="alert-time">
                  since {moment(at(a.onset) ?? 0)} · worst {measure(a.worst)} · {plural(a.n, "row")}
                </span>
              </button>
              <button type="button" className="quiet-button explain" data-testid="explain" aria-label={`Explain ${a.column}`} onClick={() => onExplain(a)}>Explain</button>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
