import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { post, type Failure } from "../../api/client";
import { usePlan } from "../../api/queries";
import type { Policy, Rollout, StartRequest } from "../../api/rollout";
import type { Deployment, ModelVersion } from "../../api/types";
import { digest } from "../../lib/format";
import { useSettled } from "../../lib/hooks";
import standard from "../../lib/policy.yaml?raw";
import { kindOf } from "../../lib/rollout";
import { at, moment } from "../../lib/time";
import { Dialog } from "../Dialog";
import { Refusal, Skeleton } from "../Notice";
import { Segmented } from "../Segmented";
import { said, useSigned, WhoWhy } from "../WhoWhy";
import { PlanView } from "./PlanView";

interface Props {
  d: Deployment;
  versions: ModelVersion[];
  /** The policy of the last rollout, to start from. */
  last: Policy | null | undefined;
  onClose: () => void;
}

type From = "standard" | "last" | "own";

/** StartRollout asks which version is to go live and how carefully, and says before the start what that means. */
export function StartRollout({ d, versions, last, onClose }: Props) {
  const others = versions.filter((v) => v.version !== d.version);
  const [version, setVersion] = useState(String(others[0]?.version ?? ""));
  const [from, setFrom] = useState<From>("standard");
  const [text, setText] = useState(standard);
  const [rate, setRate] = useState("");
  const [force, setForce] = useState(false);
  const [signed, sign] = useSigned();
  const client = useQueryClient();
  const policy = from === "own" ? undefined : text;
  const kind = kindOf(policy ?? "");

  const start = useMutation<Rollout, Failure>({
    // The arms of an experiment stand in its policy.
    mutationFn: () => post(`/deployments/${encodeURIComponent(d.name)}/rollout`, { version: kind === "rollout" ? version : "live", ...(policy !== undefined && { policy }), ...(force && { force }), ...said(signed) } satisfies StartRequest),
    networkMode: "always",
    onSuccess: () => {
      for (const key of ["rollout", "rollouts", "deployments"]) void client.invalidateQueries({ queryKey: [key] });
      onClose();
    },
  });
  function choose(next: From) {
    setFrom(next);
    if (next === "standard") setText(standard);
    if (next === "last") setText(`${JSON.stringify(last, null, 2)}\n`);
  }
  const options = [
    { value: "standard", label: "Default" },
    ...(last ? [{ value: "last", label: "As last time" } as const] : []),
    { value: "own", label: "The deployment’s own", title: "set with fairlead apply; without one it is the default" },
  ] as const satisfies readonly { value: From; label: string; title?: string }[];

  return (
    <Dialog title={`Roll out another version of ${d.name}`} onClose={onClose} wide testid="start-rollout">
      <form
        className="dialog-form"
        onSubmit={(e) => {
          e.preventDefault();
          start.mutate();
        }}
      >
        <div className="fields">
          {kind === "rollout" && (
            <label className="field">
              <span>Version</span>
              <select name="version" value={version} onChange={(e) => setVersion(e.target.value)}>
                {others.map((v) => (
                  <option key={v.version} value={v.version}>v{v.version} · {digest(v.digest)} · {moment(at(v.created) ?? 0)}</option>
                ))}
              </select>
            </label>
          )}
          <label className="field short">
            <span>Requests/s, for the plan</span>
            <input name="rate" inputMode="decimal" value={rate} placeholder="as measured" onChange={(e) => setRate(e.target.value)} />
          </label>
        </div>
        <div className="field">
          <div className="field-head">
            <label htmlFor="policy">Policy</label>
            <Segmented label="Policy" options={options} value={from} onChange={choose} />
          </div>
          {from === "own" ? (
            <p className="hint">The policy that the deployment was given, else the default.</p>
          ) : (
            <textarea id="policy" name="policy" rows={Math.min(16, text.split("\n").length + 1)} spellCheck={false} autoCapitalize="off" value={text} onChange={(e) => setText(e.target.value)} />
          )}
        </div>
        <Planned name={d.name} policy={policy} rate={Number(rate)} kind={kind} />
        <WhoWhy value={signed} onChange={sign} placeholder="retrained on May" />
        <label className="check">
          <input type="checkbox" checked={force} onChange={(e) => setForce(e.target.checked)} />
          Also when it breaks clients of v{d.version}: a feature less, another type
        </label>
        {start.error && <Refusal error={start.error} />}
        <div className="dialog-actions">
          <button type="button" className="quiet-button" onClick={onClose}>Cancel</button>
          <button type="submit" className="primary" disabled={start.isPending || !version}>{start.isPending ? "Loading it…" : "Start"}</button>
        </div>
      </form>
    </Dialog>
  );
}

/** Planned is the planner's answer to the policy as it is written, asked anew when the writing rests. */
function Planned({ name, policy, rate, kind }: { name: string; policy: string | undefined; rate: number; kind: Rollout["kind"] }) {
  const written = useSettled(policy, 700);
  const assumed = useSettled(rate > 0 ? rate : undefined, 700);
  const { data, error, isFetching } = usePlan(name, written, assumed, kind === "rollout");
  if (kind !== "rollout") return <p className="hint">{kind === "bandit" ? "A bandit moves traffic towards the better arm as outcomes come, and ends when somebody ends it or its duration is over." : "An experiment keeps its shares until somebody ends it or its duration is over."} There is nothing to plan.</p>;
  const old = isFetching || written !== policy || assumed !== (rate > 0 ? rate : undefined);
  if (error && !isFetching) return <Refusal error={error} />;
  if (!data) return <Skeleton height={180} />;
  return <PlanView plan={data} old={old} />;
}
