import { useMemo } from "react";
import type { Annotation, Metrics, MetricsPoint } from "../api/types";
import EChart from "../charts/EChart";
import { useHover } from "../charts/hover";
import { labelStrip, rangeOf, stripHeight, stripsOf, stripsOption, type Range, type Strip } from "../charts/strips";
import { Timeline, type Domain } from "../charts/Timeline";
import { count, measure, percent } from "../lib/format";
import { usePalette } from "../lib/theme";
import { at } from "../lib/time";

interface Props {
  metrics: Metrics;
  domain: Domain;
  annotations: Annotation[];
}

/** MetricStrips shows realised metrics over the same event time as the heat map, with the share of labels underneath. */
export default function MetricStrips({ metrics, domain, annotations }: Props) {
  const palette = usePalette();
  const strips = useMemo(() => stripsOf(metrics.names ?? [], metrics.label), [metrics.names, metrics.label]);
  const points = useMemo(
    () => (metrics.points ?? []).filter((p) => (at(p.start) ?? 0) >= domain.from && (at(p.start) ?? 0) < domain.to),
    [metrics.points, domain],
  );
  const ranges = useMemo(() => strips.map((s) => rangeOf(s, points, metrics.reference)), [strips, points, metrics.reference]);
  const option = useMemo(() => stripsOption(metrics, strips, ranges, domain, palette), [metrics, strips, ranges, domain, palette]);
  return (
    <Timeline
      domain={domain}
      annotations={annotations}
      titled={false}
      gutter={<Gutter strips={strips} points={points} metrics={metrics} />}
      plotProps={{ "data-testid": "metrics", "data-points": points.length }}
    >
      <EChart option={option} height={strips.length * stripHeight + labelStrip} label={`Realised ${(metrics.names ?? []).join(", ")} over time; the latest values stand beside it.`} />
      {strips.map((s, i) => (
        <Bounds key={s.id} strip={s} range={ranges[i]!} top={i * stripHeight} />
      ))}
    </Timeline>
  );
}

function Bounds({ strip, range, top }: { strip: Strip; range: Range; top: number }) {
  const write = strip.share ? percent : measure;
  return (
    <div className={top === 0 ? "bounds first" : "bounds"} style={{ top, height: stripHeight }} aria-hidden="true">
      <span>{write(range.high)}</span>
      <span>{write(range.low)}</span>
    </div>
  );
}

/** Gutter names each strip and gives its value in the window under the pointer, else the latest one with labels. */
function Gutter({ strips, points, metrics }: { strips: Strip[]; points: MetricsPoint[]; metrics: Metrics }) {
  const hover = useHover();
  const pointed = hover === null ? undefined : points.find((p) => at(p.start) === hover);
  const known = (p: MetricsPoint) => p.labelled > 0 && strips.some((s) => typeof p.metrics?.[s.names[0] ?? ""] === "number");
  const point = pointed ?? points.findLast((p) => known(p) && !p.provisional) ?? points.findLast(known) ?? points.at(-1);
  return (
    <>
      {strips.map((s) => {
        const write = s.share ? percent : measure;
        const reference = metrics.reference?.metrics?.[s.names[0] ?? ""];
        return (
          <div key={s.id} className="strip-head" style={{ height: stripHeight }} data-testid={`metric-${s.id}`}>
            <div className="strip-title">{s.title}</div>
            <div className="strip-value">{write(point?.metrics?.[s.names[0] ?? ""])}</div>
            <div className="strip-note">
              {s.names.length > 1 && <span className="predicted">predicted {write(point?.metrics?.[s.names[1] ?? ""])}</span>}
              {typeof reference === "number" && <span title="on the reference data">{s.names.length > 1 ? "ref." : "reference"} {write(reference)}</span>}
            </div>
          </div>
        );
      })}
      <div className="strip-head" style={{ height: labelStrip }} data-testid="label-share">
        <div className="strip-title">Labels arrived</div>
        <div className="strip-value small">
          {point && point.n > 0 ? percent(point.labelled / point.n) : "–"}
          <span className="strip-of"> of {count(point?.n)}</span>
        </div>
      </div>
    </>
  );
}
