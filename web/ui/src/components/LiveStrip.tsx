import type { Deployment } from "../api/types";
import { Sparkline } from "../charts/Sparkline";
import { compact, count, millis, percent, rate } from "../lib/format";

/** LiveStrip is the traffic of the last ten seconds, and of the last two minutes as a line. */
export function LiveStrip({ deployment: d }: { deployment: Deployment }) {
  const { live } = d;
  return (
    <section className="live card" aria-label="Live traffic" data-testid="live">
      <div className="live-rate">
        <Stat name="rows/s" value={rate(live.rows_per_second)} testid="rows-per-second" big />
        <Stat name="requests/s" value={rate(live.requests_per_second)} />
        <Stat name="errors/s" value={rate(live.errors_per_second)} bad={live.errors_per_second > 0} />
      </div>
      <div className="live-line">
        <Sparkline points={d.history ?? []} height={56} />
        <div className="live-axis"><span>2 min ago</span><span>now</span></div>
      </div>
      <div className="live-latency" title="request latency inside the server">
        <Stat name="p50" value={millis(live.p50_ms)} />
        <Stat name="p95" value={millis(live.p95_ms)} />
        <Stat name="p99" value={millis(live.p99_ms)} />
      </div>
      <div className="live-total">
        <Stat name="rows stored" value={compact(d.rows)} title={count(d.rows)} />
        <Stat name="with label" value={percent(d.rows > 0 ? d.labelled / d.rows : null)} title={`${count(d.labelled)} labels`} />
      </div>
    </section>
  );
}

interface StatProps {
  name: string;
  value: string;
  big?: boolean;
  bad?: boolean;
  title?: string;
  testid?: string;
}

export function Stat({ name, value, big = false, bad = false, title, testid }: StatProps) {
  return (
    <div className={`stat${big ? " big" : ""}${bad ? " bad" : ""}`} title={title}>
      <div className="stat-value" data-testid={testid}>{value}</div>
      <div className="stat-name">{name}</div>
    </div>
  );
}
