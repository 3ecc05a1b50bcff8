import type { TrackStage } from "../../lib/rollout";
import { span } from "../../lib/format";

const words = { done: "done", current: "now", stopped: "stopped here", todo: "to come" };

/** StageTrack is the way from copies to all requests, and where the rollout stands on it. */
export function StageTrack({ stages, waiting }: { stages: TrackStage[]; waiting: boolean }) {
  return (
    <ol className="track" aria-label="Stages" data-testid="track">
      {stages.map((s) => (
        <li key={s.name} className={`${s.state}${s.state === "current" && waiting ? " waiting" : ""}`} aria-current={s.state === "current" ? "step" : undefined} data-state={s.state}>
          <span className="track-dot" aria-hidden="true">{s.state === "done" ? "✓" : s.state === "stopped" ? "✕" : ""}</span>
          <b>{s.name}</b>
          <small>
            <span className={s.state === "todo" || s.state === "done" ? "sr" : undefined}>{words[s.state]}{s.seconds !== undefined && ", "}</span>
            {s.seconds !== undefined && span(s.seconds)}
          </small>
          {s.note && <small>{s.note}</small>}
          {s.approve && s.state === "todo" && <small className="track-ask">asks a person</small>}
        </li>
      ))}
    </ol>
  );
}
