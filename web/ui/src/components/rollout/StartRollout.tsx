import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { post, type Failure } from "../../api/client";
import type { Plan, Policy, Rollout, StartRequest } from "../../api/rollout";
import type { Deployment, ModelVersion } from "../../api/types";
import { digest } from "../../lib/format";
import standard from "../../lib/policy.yaml?raw";
import { at, moment } from "../../lib/time";
import { Dialog } from "../Dialog";
import { Refusal } from "../Notice";
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
  const path = `/deployments/${encodeURIComponent(d.name)}/rollout`;
  const policy = from === "own" ? {} : { policy: text };

  const plan = useMutation<Plan, Failure>({
    mutationFn: () => post(`${path}/plan`, { ...policy, ...(Number(rate) > 0 && { traffic: { requests_per_second: Number(rate) } }) }),
    networkMode: "always",
  });
  const start = useMutation<Rollout, Failure>({
    mutationFn: () => post(path, { version, ...policy, ...(force && { force }), ...said(signed) } satisfies StartRequest),
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
          <label className="field">
            <span>Version</span>
            <select name="version" value={version} onChange={(e) => setVersion(e.target.value)}>
              {others.map((v) => (
                <option key={v.version} value={v.version}>v{v.version} · {digest(v.digest)} · {moment(at(v.created) ?? 0)}</option>
              ))}
            </select>
          </label>
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
        <WhoWhy value={signed} onChange={sign} placeholder="retrained on May" />
        <label className="check">
          <input type="checkbox" checked={force} onChange={(e) => setForce(e.target.checked)} />
          Also when it breaks clients of v{d.version}: a feature less, another type
        </label>
        {plan.error && <Refusal error={plan.error} />}
        {plan.data && !plan.error && <PlanView plan={plan.data} />}
        {start.error && <Refusal error={start.error} />}
        <div className="dialog-actions">
          <button type="button" className="quiet-button" disabled={plan.isPending} onClick={() => plan.mutate()}>{plan.isPending ? "Simulating…" : "Plan"}</button>
          <span className="grow" />
          <button type="button" className="quiet-button" onClick={onClose}>Cancel</button>
          <button type="submit" className="primary" disabled={start.isPending || !version}>{start.isPending ? "Loading it…" : "Start"}</button>
        </div>
      </form>
    </Dialog>
  );
}
