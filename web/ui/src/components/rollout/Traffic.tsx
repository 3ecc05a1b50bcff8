import type { Arm, Rollout } from "../../api/rollout";
import { count } from "../../lib/format";
import { isOver, shareWords } from "../../lib/rollout";

/** Traffic is who answers which share of the requests, and how many it were in this stage. */
export function Traffic({ r }: { r: Rollout }) {
  const arms: Arm[] = r.kind !== "rollout" ? (r.arms ?? []) : [{ version: r.from, share: 1 - r.canary }, { version: r.to, share: r.canary }];
  const over = isOver(r.phase);
  const others = arms.filter((a) => a.version !== r.from);
  const colour = (a: Arm) => `arm arm-${a.version === r.from ? 0 : (others.indexOf(a) % 4) + 1}`;
  const { live, canary, pairs } = r.requests;
  return (
    <div className="traffic" data-testid="traffic">
      <div className="traffic-bar" role="img" aria-label={`Share of the requests: ${arms.map((a) => `version ${a.version} ${shareWords(a.share)}`).join(", ")}`}>
        {arms.filter((a) => a.share > 0).map((a) => (
          <span key={a.version} className={colour(a)} style={{ flexGrow: a.share }} />
        ))}
      </div>
      <ul className="traffic-legend">
        {arms.map((a) => (
          <li key={a.version}>
            <i className={colour(a)} />
            v{a.version} <b>{shareWords(a.share)}</b>
            {r.kind === "rollout" && !over && a.version === r.from && live > 0 && <span> {count(live)} requests</span>}
            {r.kind === "rollout" && !over && a.version === r.to && canary > 0 && <span> {count(canary)} requests</span>}
            {r.shadow && a.version === r.to && <span className="chip">copies only: {count(pairs)} compared</span>}
          </li>
        ))}
      </ul>
    </div>
  );
}
