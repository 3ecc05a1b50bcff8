import { Fragment, useContext, useMemo, useRef, type ReactNode, type PointerEvent } from "react";
import type { Annotation, Grain } from "../api/types";
import { at, floorTo, grainMillis, ticks, windowName } from "../lib/time";
import { useWidth } from "../lib/hooks";
import { HoverContext, useHover } from "./hover";

export interface Domain {
  from: number;
  to: number;
  grain: Grain;
}

/** Position in the domain, as a share of its width. */
export const along = (d: Domain, t: number): number => (t - d.from) / (d.to - d.from);

export interface Pointer {
  x: number;
  y: number;
  width: number;
  /** Start of the window under the pointer. */
  t: number;
}

/** windowAt is the start of the window at a place on the plot. */
export const windowAt = (d: Domain, p: { x: number; width: number }): number =>
  floorTo(d.from + (p.x / p.width) * (d.to - d.from), d.grain);

interface Props {
  domain: Domain;
  annotations: Annotation[];
  /** Whether the bands carry their titles here; once on a page is enough. */
  titled: boolean;
  gutter: ReactNode;
  children: ReactNode;
  onPoint?: (p: Pointer | null) => void;
  onPick?: (p: Pointer) => void;
  plotProps?: Record<`data-${string}`, string | number>;
}

/** Timeline lines up a gutter of names, a plot over event time, planted bands, the pointer's line and the axis. */
export function Timeline({ domain, annotations, titled, gutter, children, onPoint, onPick, plotProps }: Props) {
  const plot = useRef<HTMLDivElement>(null);
  const width = useWidth(plot);
  const hover = useContext(HoverContext);

  function locate(e: PointerEvent | React.MouseEvent): Pointer {
    const box = e.currentTarget.getBoundingClientRect();
    const x = e.clientX - box.left;
    return { x, y: e.clientY - box.top, width: box.width, t: windowAt(domain, { x, width: box.width }) };
  }

  return (
    <div className="timeline">
      {titled && <BandTitles domain={domain} annotations={annotations} width={width} />}
      <div className="gutter">{gutter}</div>
      <div
        className={onPick ? "plot pickable" : "plot"}
        ref={plot}
        {...plotProps}
        data-from={domain.from}
        data-to={domain.to}
        onPointerMove={(e) => {
          const p = locate(e);
          hover.set(p.t);
          onPoint?.(p);
        }}
        onPointerLeave={() => {
          hover.set(null);
          onPoint?.(null);
        }}
        onClick={(e) => onPick?.(locate(e))}
      >
        <Bands domain={domain} annotations={annotations} />
        {children}
        <Crosshair domain={domain} />
      </div>
      <Axis domain={domain} width={width} />
    </div>
  );
}

interface Band extends Annotation {
  left: number;
  right: number;
}

function bands(domain: Domain, annotations: Annotation[]): Band[] {
  return annotations
    .map((a) => ({ ...a, left: along(domain, at(a.start) ?? NaN), right: along(domain, at(a.end) ?? NaN) }))
    .filter((b) => b.right > 0 && b.left < 1)
    .map((b) => ({ ...b, left: Math.max(0, b.left), right: Math.min(1, b.right) }))
    .sort((a, b) => a.left - b.left);
}

const share = (x: number) => `${(x * 100).toFixed(3)}%`;

function Bands({ domain, annotations }: { domain: Domain; annotations: Annotation[] }) {
  return bands(domain, annotations).map((b) => (
    <Fragment key={b.id ?? b.title + b.start}>
      <div className={`band ${b.kind}`} style={{ left: share(b.left), width: share(b.right - b.left) }} />
      <div className={`band-edge ${b.kind}`} style={{ left: share(b.left), width: share(b.right - b.left) }} />
    </Fragment>
  ));
}

function BandTitles({ domain, annotations, width }: { domain: Domain; annotations: Annotation[]; width: number }) {
  // Titles that would touch go to lanes of their own, seven pixels a letter.
  const ends: number[] = [];
  const placed = bands(domain, annotations).map((b) => {
    const text = b.kind === "planted" ? `planted: ${b.title}` : b.title;
    const length = Math.min(width, Math.max((b.right - b.left) * width, text.length * 6.6 + 18));
    const from = Math.max(0, Math.min(b.left * width, width - length));
    let lane = ends.findIndex((end) => end <= from - 4);
    if (lane < 0) lane = ends.length;
    ends[lane] = from + length;
    return { band: b, text, lane, from };
  });
  if (placed.length === 0) return null;
  return (
    <>
      <div className="gutter" />
      <div className="band-titles" style={{ height: ends.length * 22 + 2 }}>
        {placed.map(({ band, text, lane, from }) => (
          <div
            key={band.id ?? band.title + band.start}
            className={`band-title ${band.kind}`}
            data-testid="planted"
            title={band.text || text}
            style={{ left: from, top: lane * 22, maxWidth: width - from, minWidth: (band.right - band.left) * width }}
          >
            {text}
          </div>
        ))}
      </div>
    </>
  );
}

function Crosshair({ domain }: { domain: Domain }) {
  const t = useHover();
  if (t === null || t < domain.from || t >= domain.to) return null;
  const size = grainMillis[domain.grain];
  return (
    <div
      className="crosshair"
      style={{ left: share(along(domain, t)), width: share(size / (domain.to - domain.from)) }}
    />
  );
}

function Axis({ domain, width }: { domain: Domain; width: number }) {
  const most = Math.max(2, Math.floor(width / 72));
  const marks = useMemo(
    () => ticks(domain.from, domain.to, most).filter((m) => (1 - along(domain, m.t)) * width > 40),
    [domain, most, width],
  );
  const hover = useHover();
  const pointed = hover !== null && hover >= domain.from && hover < domain.to ? hover : undefined;
  return (
    <>
      <div className="gutter axis-unit">UTC</div>
      <div className="axis" aria-hidden="true">
        {marks.map((m) => (
          <span key={m.t} className={m.major ? "tick major" : "tick"} style={{ left: share(along(domain, m.t)) }}>
            {m.label}
          </span>
        ))}
        {pointed !== undefined && (
          <span className={along(domain, pointed) > 0.6 ? "pointed before" : "pointed"} style={{ left: share(along(domain, pointed)) }}>
            {windowName(pointed, domain.grain)}
          </span>
        )}
      </div>
    </>
  );
}
