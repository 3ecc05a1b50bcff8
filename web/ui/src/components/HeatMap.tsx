import { useMemo, useState } from "react";
import type { Annotation, Cell, Drift, DriftColumn } from "../api/types";
import EChart from "../charts/EChart";
import { heatOption, layout, rowHeight, type Row } from "../charts/heat";
import { along, Timeline, windowAt, type Domain, type Pointer } from "../charts/Timeline";
import { measure, percent, plural } from "../lib/format";
import { usePalette } from "../lib/theme";
import { at, grainMillis, windowName } from "../lib/time";
import { latest, read, words, worst } from "../lib/verdict";
import { Measures } from "./Measures";

interface Props {
  drift: Drift;
  domain: Domain;
  annotations: Annotation[];
  selected: { column: string; start: number } | undefined;
  onSelect: (column: string, start: number) => void;
}

interface Hit {
  column: DriftColumn;
  cell: Cell;
  start: number;
  pointer: Pointer;
}

/** HeatMap shows columns by time. The canvas shows the shades; the row headers carry verdicts for tests and readers. */
export default function HeatMap({ drift, domain, annotations, selected, onSelect }: Props) {
  const palette = usePalette();
  const [pointer, setPointer] = useState<Pointer | null>(null);
  const { rows, height } = useMemo(() => layout(drift.columns ?? []), [drift.columns]);
  const option = useMemo(() => heatOption(drift, rows, height, domain, palette), [drift, rows, height, domain, palette]);
  const index = useMemo(() => new Map((drift.windows ?? []).map((w, i) => [at(w) ?? NaN, i])), [drift.windows]);

  function find(p: Pointer): Hit | null {
    const row = rows.find((r) => p.y >= r.top && p.y < r.top + rowHeight);
    const i = index.get(p.t);
    const cell = row && i !== undefined ? row.column.cells?.[i] : undefined;
    return row && cell ? { column: row.column, cell, start: p.t, pointer: p } : null;
  }

  // The picture moves under a pointer that rests, so the window under it is worked out anew each time.
  const hit = pointer && find({ ...pointer, t: windowAt(domain, pointer) });

  return (
    <Timeline
      domain={domain}
      annotations={annotations}
      titled
      gutter={rows.map((r) => (
        <RowHeader key={r.column.name} row={r} drift={drift} selected={selected?.column === r.column.name} onSelect={onSelect} />
      ))}
      onPoint={setPointer}
      onPick={(p) => {
        const h = find(p);
        if (h) onSelect(h.column.name, h.start);
      }}
      plotProps={{ "data-testid": "heatmap", "data-windows": drift.windows?.length ?? 0 }}
    >
      <EChart option={option} height={height} label={`Drift of ${plural(rows.length, "column")} over ${plural(drift.windows?.length ?? 0, drift.grain)}. The same as a table: the button Table.`} />
      {selected && <Selection rows={rows} domain={domain} selected={selected} />}
      {hit && <Tip hit={hit} drift={drift} />}
    </Timeline>
  );
}

interface HeaderProps {
  row: Row;
  drift: Drift;
  selected: boolean;
  onSelect: Props["onSelect"];
}

function RowHeader({ row, drift, selected, onSelect }: HeaderProps) {
  const { column } = row;
  const cell = column.cells?.[latest(column)];
  const reading = read(cell, drift.rule.threshold);
  const drifted = (column.cells ?? []).filter((c) => c?.verdict === "drifted").length;
  const target = at(drift.windows?.[worst(column)]);
  return (
    <>
      {row.firstOutput && <div className="row-group">outputs</div>}
      <button
        type="button"
        className="row-header"
        style={{ height: rowHeight }}
        data-testid={`row-${column.name}`}
        data-output={column.output}
        data-verdict={cell?.verdict ?? "none"}
        data-level={reading.level}
        data-drifted={drifted}
        aria-pressed={selected}
        aria-label={`${column.name}: ${words[reading.level]} in the latest window, drifted in ${drifted} of those shown`}
        title={`${column.name} (${column.kind}${column.output ? ", output" : ""}): ${words[reading.level]}`}
        disabled={target === undefined}
        onClick={() => target !== undefined && onSelect(column.name, target)}
      >
        <span className={`sign ${reading.level}`} aria-hidden="true" />
        <span className="row-name">{column.name}</span>
        <span className="row-value">{cell && reading.level !== "few" ? measure(cell.psi_debiased) : ""}</span>
      </button>
    </>
  );
}

function Selection({ rows, domain, selected }: { rows: Row[]; domain: Domain; selected: { column: string; start: number } }) {
  const row = rows.find((r) => r.column.name === selected.column);
  if (!row) return null;
  const left = along(domain, selected.start);
  const width = grainMillis[domain.grain] / (domain.to - domain.from);
  return (
    <>
      <div className="selected-row" style={{ top: row.top, height: rowHeight }} />
      {left >= 0 && left < 1 && (
        <div className="selected-cell" style={{ top: row.top, height: rowHeight, left: `${left * 100}%`, width: `${width * 100}%` }} />
      )}
    </>
  );
}

function Tip({ hit, drift }: { hit: Hit; drift: Drift }) {
  const { pointer, column, cell } = hit;
  const reading = read(cell, drift.rule.threshold);
  const right = pointer.x > pointer.width / 2;
  return (
    <div
      className="tip"
      role="tooltip"
      style={right ? { right: pointer.width - pointer.x + 14, top: pointer.y + 14 } : { left: pointer.x + 14, top: pointer.y + 14 }}
    >
      <div className="tip-title">
        <span className={`sign ${reading.level}`} />
        <b>{column.name}</b> {words[reading.level]}
        {cell.provisional && ", still open"}
      </div>
      <div className="tip-time">{windowName(hit.start, drift.grain)} UTC</div>
      <Measures cell={cell} />
      <div className="tip-facts">
        {plural(cell.n, "row")} against {plural(cell.m, "row")} ({cell.reference})
        <br />
        missing {percent(cell.missing)} · outside the reference {percent(cell.unseen)}
      </div>
    </div>
  );
}
