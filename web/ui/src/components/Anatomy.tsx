import type { Serving } from "../api/types";
import { bytes, compact, count, millis } from "../lib/format";
import { Stat } from "./LiveStrip";

const stages = ["decode", "queue", "run", "encode"] as const;
const micros = (us: number) => millis(us / 1000);

/** Anatomy is where the time of a request goes, and how the version is run. */
export function Anatomy({ serving: s }: { serving: Serving }) {
  const times = stages.map((name) => ({ name, us: s[`${name}_us`] }));
  const total = times.reduce((sum, t) => sum + t.us, 0);
  return (
    <section className="card anatomy" data-testid="anatomy">
      <header className="card-head">
        <h2>Where the time goes</h2>
        <span className="hint">{s.requests > 0 ? `mean of ${compact(s.requests)} requests since the server started` : "nothing asked yet"}</span>
      </header>
      {total > 0 && (
        <>
          <div className="anatomy-bar" role="img" aria-label={times.map((t) => `${t.name} ${micros(t.us)}`).join(", ")}>
            {times.map((t) => (
              <i key={t.name} className={t.name} style={{ flexGrow: t.us / total }} />
            ))}
          </div>
          <ul className="anatomy-legend">
            {times.map((t) => (
              <li key={t.name}><i className={t.name} />{t.name} <b>{micros(t.us)}</b></li>
            ))}
          </ul>
        </>
      )}
      <div className="card-stats">
        <Stat name="runs of the model" value={compact(s.runs)} title={count(s.runs)} />
        <Stat name="waiting now" value={count(s.waiting)} />
        <Stat name="refused" value={compact(s.refused)} bad={s.refused > 0} title="by the queue, since it was loaded" />
        {s.cache_ttl_seconds > 0 && <Stat name="out of the cache" value={compact(s.cache_hits)} />}
        {s.memory_bytes > 0 && <Stat name="memory" value={bytes(s.memory_bytes)} />}
        {s.threads > 1 && <Stat name="threads" value={count(s.threads)} />}
      </div>
      <p className="hint">
        <b>{s.max_batch > 1 ? `Batches of up to ${s.max_batch} rows` : "No batching"}:</b> {s.batching || "not measured"}
        {s.per_row_us > 0 && ` · a run takes ${micros(s.fixed_us)} + ${micros(s.per_row_us)} a row`}
      </p>
      {(s.report ?? []).length > 0 && (
        <details>
          <summary className="hint">What the checks at load found</summary>
          <ul className="anatomy-report">{s.report?.map((line) => <li key={line}>{line}</li>)}</ul>
        </details>
      )}
    </section>
  );
}
