import type { Plan } from "../../api/rollout";
import { count, none, percent } from "../../lib/format";
import { minutesText, spaced } from "../../lib/rollout";

/** PlanView is what a policy means at the deployment's traffic: times to promote and to notice harm. An old one is about to be replaced. */
export function PlanView({ plan, old }: { plan: Plan; old: boolean }) {
  const { plan: f, traffic } = plan;
  const promoted = f.runs > 0 ? f.promoted / f.runs : 0;
  return (
    <div className={old ? "plan old" : "plan"} data-testid="plan" aria-live="polite" aria-busy={old}>
      <div className="plan-stats">
        <p><b>{promoted > 0 ? minutesText(f.minutes) : "never"}</b> until a harmless version is live, bake included{promoted > 0 && <>; one in ten takes more than {minutesText(f.late)}</>}</p>
        <p><b>≤ {percent(f.false_abort)}</b> of harmless versions are rolled back; in {count(f.runs)} simulated rollouts {count(f.aborted)} were</p>
        <p><b>{percent(promoted)}</b> get to the end without a person</p>
      </div>
      <div className="table-scroll">
        <table className="data">
          <caption className="sr">By stage</caption>
          <thead>
            <tr>
              <th scope="col">Stage</th>
              <th scope="col" className="num">Takes</th>
              <th scope="col" className="num">One in ten</th>
              <th scope="col">Waits for</th>
              <th scope="col" className="num">Twice the errors found after</th>
              <th scope="col" className="num">Such answers until then</th>
            </tr>
          </thead>
          <tbody>
            {(f.stages ?? []).map((s) => (
              <tr key={s.stage}>
                <th scope="row">{spaced(s.stage)}</th>
                <td className="num">{s.minutes < 0 ? "undecided" : minutesText(s.minutes)}</td>
                <td className="num">{s.minutes < 0 || s.undecided > 0.1 ? `${percent(s.undecided)} stay` : s.late < 0 ? none : `> ${minutesText(s.late)}`}</td>
                <td>{s.waits}</td>
                <td className="num">{s.detect < 0 ? "not in this stage" : minutesText(s.detect)}</td>
                <td className="num">{s.stage === "shadow" ? "copies only" : s.affected < 0 ? none : count(s.affected)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p className="hint">
        For {count(traffic.requests_per_second)} requests/s, of which {percent(traffic.error_rate)} fail. Simulated with the gates that will judge the real one.
      </p>
      <details className="fold">
        <summary>As text</summary>
        <pre className="plain">{plan.text}</pre>
      </details>
    </div>
  );
}
