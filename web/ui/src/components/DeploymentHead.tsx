import type { Deployment, ModelVersion } from "../api/types";
import { compact, digest } from "../lib/format";
import { deploymentPath } from "../lib/route";
import { at, day, moment } from "../lib/time";
import { Link } from "./Link";
import { RolloutChip } from "./rollout/RolloutChip";

interface Props {
  d: Deployment;
  all: Deployment[];
  version: ModelVersion | undefined;
}

/** DeploymentHead says which deployment this is, what it serves, and how far its event time has come. */
export function DeploymentHead({ d, all, version }: Props) {
  const from = at(d.from);
  const to = at(d.to);
  const reference = version?.reference;
  return (
    <div className="head">
      {all.length > 1 && (
        <nav className="tabs" aria-label="Deployments">
          {all.map((x) => (
            <Link key={x.name} href={deploymentPath(x.name)} aria-current={x.name === d.name ? "page" : undefined}>
              <span className={`dot ${x.state}${x.firing > 0 ? " firing" : ""}`} />
              {x.name}
            </Link>
          ))}
        </nav>
      )}
      <div className="head-line">
        <h1>{d.name}</h1>
        <span className={`state ${d.state}`}>{d.state}</span>
        {d.rollout && <RolloutChip rollout={d.rollout} />}
        <span className="head-facts">
          <span>{d.model}@{d.version}</span>
          <code title={d.digest}>{digest(d.digest)}</code>
          {d.task && <span>{d.task}</span>}
          {d.label && <span>label: {d.label}</span>}
          {reference && <span>reference: {compact(reference.rows)} rows{reference.phases ? ", by hour of the week" : ""}</span>}
        </span>
        {to !== undefined && (
          <span className="event-time" title={from === undefined ? undefined : `event time since ${day(from)}`} data-testid="event-time">
            <small>event time</small> {moment(to)}
          </span>
        )}
      </div>
    </div>
  );
}
