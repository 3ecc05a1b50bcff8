import { useEffect, useRef } from "react";
import { useDistribution } from "../api/queries";
import type { Bin, Distribution, Drift, Grain } from "../api/types";
import { count, percent } from "../lib/format";
import { at, iso, windowName } from "../lib/time";
import { words, read } from "../lib/verdict";
import { binName, explain, headline, shownBins } from "../lib/words";
import { Measures } from "./Measures";
import { Refusal, Skeleton } from "./Notice";

interface Props {
  deployment: string;
  column: string;
  start: number;
  grain: Grain;
  drift: Drift | undefined;
  planted: string | undefined;
  onSelect: (column: string, start: number) => void;
  onClose: () => void;
}

/** DistributionPanel lays one window's distribution over the reference's and says what happened. */
export function DistributionPanel({ deployment, column, start, grain, drift, planted, onSelect, onClose }: Props) {
  const { data, error } = useDistribution(deployment, column, grain, iso(start));
  const panel = useRef<HTMLElement>(null);
  const cells = drift?.columns?.find((c) => c.name === column)?.cells ?? [];
  const windows = drift?.windows ?? [];
  const here = windows.findIndex((w) => at(w) === start);

  function step(by: 1 | -1) {
    for (let i = here + by; here >= 0 && i >= 0 && i < windows.length; i += by) {
      const t = at(windows[i]);
      if (cells[i] && t !== undefined) return () => onSelect(column, t);
    }
    return undefined;
  }
  const back = step(-1);
  const forth = step(1);

  useEffect(() => panel.current?.focus({ preventScroll: true }), [column]);

  return (
    <aside
      className="panel card"
      ref={panel}
      tabIndex={-1}
      aria-label={`Distribution of ${column}`}
      data-testid="distribution"
      onKeyDown={(e) => {
        if (e.key === "Escape") onClose();
        if (e.key === "ArrowLeft") back?.();
        if (e.key === "ArrowRight") forth?.();
      }}
    >
      <header className="panel-head">
        <div>
          <h2>{column}</h2>
          <p>{windowName(start, grain)} UTC</p>
        </div>
        <div className="panel-buttons">
          <button type="button" className="icon-button" onClick={back} disabled={!back} aria-label="Previous window">←</button>
          <button type="button" className="icon-button" onClick={forth} disabled={!forth} aria-label="Next window">→</button>
          <button type="button" className="icon-button" onClick={onClose} aria-label="Close">✕</button>
        </div>
      </header>
      {planted && <p className="planted-note">inside a planted incident: {planted}</p>}
      {error && !data && <Refusal error={error} />}
      {!data && !error && <Skeleton height={320} />}
      {data && <Body d={data} threshold={drift?.rule.threshold ?? 0} />}
    </aside>
  );
}

function Body({ d, threshold }: { d: Distribution; threshold: number }) {
  const { level } = read(d.cell, threshold);
  return (
    <>
      <div className={`verdict ${level}`} data-testid="verdict" data-verdict={d.cell.verdict}>
        <span className={`sign ${level}`} aria-hidden="true" />
        <span>{headline(d)}{d.cell.provisional && " The window is still open."}<span className="sr"> ({words[level]})</span></span>
      </div>
      <ul className="explain" data-testid="explain">
        {explain(d).map((line) => (
          <li key={line}>{line}</li>
        ))}
      </ul>
      <Bars bins={shownBins(d.bins ?? [])} />
      <Measures cell={d.cell} />
      <dl className="facts">
        <dt>Rows in the window</dt>
        <dd>{count(d.cell.n)}</dd>
        <dt>Reference</dt>
        <dd>{count(d.cell.m)} ({d.cell.reference})</dd>
        <dt>Missing</dt>
        <dd>{percent(d.cell.missing)}</dd>
        <dt>Outside the reference</dt>
        <dd>{percent(d.cell.unseen)}</dd>
      </dl>
    </>
  );
}

const ordinary = new Set<Bin["kind"]>(["range", "value", "category"]);

/** Bars draws current as filled bars and the reference as an outline over them; it is a table to who cannot see it. */
function Bars({ bins }: { bins: Bin[] }) {
  const top = Math.max(0.01, ...bins.map((b) => Math.max(b.reference, b.current)));
  const width = (share: number) => `${(share / top) * 100}%`;
  return (
    <table className="bars" data-testid="bars">
      <caption><i className="key-current" />this window<i className="key-reference" />reference</caption>
      <thead>
        <tr>
          <th scope="col"><span className="sr">Values</span></th>
          <th scope="col"><span className="sr">Shares as bars</span></th>
          <th scope="col">now</th>
          <th scope="col">ref.</th>
        </tr>
      </thead>
      <tbody>
        {bins.map((b) => (
          <tr key={b.kind + b.label} className={ordinary.has(b.kind) ? undefined : "special"} title={`${binName(b)}: ${count(b.rows)} rows`}>
            <th scope="row">{binName(b)}</th>
            <td className="bar-cell">
              <div className="bar-track">
                <div className={`bar-current ${b.kind}`} style={{ width: width(b.current) }} />
                <div className="bar-reference" style={{ width: width(b.reference) }} />
              </div>
            </td>
            <td>{percent(b.current)}</td>
            <td>{percent(b.reference)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
