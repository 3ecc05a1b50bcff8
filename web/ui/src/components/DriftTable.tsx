import type { Drift } from "../api/types";
import { measure } from "../lib/format";
import { at, windowName } from "../lib/time";
import { read, words } from "../lib/verdict";

interface Props {
  drift: Drift;
  onSelect: (column: string, start: number) => void;
}

const most = 96;

/** DriftTable is the heat map as a table: debiased PSI and verdict, newest window first. */
export function DriftTable({ drift, onSelect }: Props) {
  const windows = (drift.windows ?? []).map((w, i) => ({ w, i })).slice(-most).reverse();
  const columns = drift.columns ?? [];
  return (
    <div className="table-scroll" data-testid="drift-table">
      <table className="data drift-table">
        <thead>
          <tr>
            <th scope="col">Window (UTC)</th>
            {columns.map((c) => (
              <th scope="col" key={c.name}>{c.name}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {windows.map(({ w, i }) => {
            const start = at(w) ?? 0;
            return (
              <tr key={w}>
                <th scope="row">{windowName(start, drift.grain)}</th>
                {columns.map((c) => {
                  const cell = c.cells?.[i];
                  const { level } = read(cell, drift.rule.threshold);
                  return (
                    <td key={c.name} data-verdict={cell?.verdict ?? "none"} data-column={c.name} data-start={w}>
                      {cell && (
                        <button type="button" className={`cell-button ${level}`} title={words[level]} onClick={() => onSelect(c.name, start)}>
                          <span className={`sign ${level}`} aria-hidden="true" />
                          {level === "few" ? "few" : measure(cell.psi_debiased)}
                          <span className="sr">, {words[level]}</span>
                        </button>
                      )}
                    </td>
                  );
                })}
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
