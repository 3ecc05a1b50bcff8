import type { DeploymentRollout } from "../../api/rollout";
import { spaced } from "../../lib/rollout";

/** RolloutChip marks a deployment whose rollout is under way. */
export function RolloutChip({ rollout: r }: { rollout: DeploymentRollout }) {
  return (
    <span className="chip going" data-testid="rollout-chip" title={r.to ? `version ${r.to} is being rolled out` : "versions are being compared"}>
      <span className="pulse" aria-hidden="true" />
      {r.to ? `rollout → v${r.to}: ${spaced(r.stage)}` : r.stage}
    </span>
  );
}
