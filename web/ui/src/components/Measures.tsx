import type { Cell } from "../api/types";
import { measure } from "../lib/format";

const rows = [
  { name: "PSI", value: "psi", floor: "psi_floor", title: "population stability index" },
  { name: "KS", value: "ks", floor: "ks_floor", title: "Kolmogorov–Smirnov distance, numeric columns only" },
  { name: "D1", value: "d1", floor: "d1_floor", title: "sum of absolute differences of shares, 0 to 2" },
  { name: "JS", value: "js", floor: "js_floor", title: "Jensen–Shannon divergence, natural logarithm" },
] as const;

/** Measures lists every distance with its noise floor; what lies above the floor is bold. */
export function Measures({ cell }: { cell: Cell }) {
  return (
    <table className="measures">
      <thead>
        <tr>
          <th scope="col">Measure</th>
          <th scope="col">Value</th>
          <th scope="col">Noise floor</th>
        </tr>
      </thead>
      <tbody>
        {rows.map((r) => {
          const value = cell[r.value];
          const floor = cell[r.floor];
          if (value === null) return null;
          const above = floor !== null && value > floor;
          return (
            <tr key={r.name} title={r.title} className={above ? "above" : undefined}>
              <th scope="row">{r.name}</th>
              <td>{measure(value)}</td>
              <td>{measure(floor)}</td>
            </tr>
          );
        })}
        {cell.psi_debiased !== null && (
          <tr title="PSI less what chance alone is expected to give; this is what the rule compares with its threshold">
            <th scope="row">PSI, debiased</th>
            <td>{measure(cell.psi_debiased)}</td>
            <td />
          </tr>
        )}
      </tbody>
    </table>
  );
}
