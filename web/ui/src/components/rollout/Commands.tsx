import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { post, type Failure } from "../../api/client";
import type { Decision, Rollout } from "../../api/rollout";
import { actionsOf, type Action } from "../../lib/rollout";
import { Dialog } from "../Dialog";
import { Refusal } from "../Notice";
import { said, useSigned, WhoWhy } from "../WhoWhy";

/** Commands are the buttons of a rollout that is under way; each asks who and why before it acts. */
export function Commands({ r, history }: { r: Rollout; history: Decision[] }) {
  const [asked, ask] = useState<Action>();
  return (
    <div className="tools" data-testid="commands">
      {actionsOf(r, history).map((a) => (
        <button key={a.do} type="button" className={`${a.kind}-button`} onClick={() => ask(a)}>{a.label}</button>
      ))}
      {asked && <Confirm r={r} action={asked} onClose={() => ask(undefined)} />}
    </div>
  );
}

function Confirm({ r, action, onClose }: { r: Rollout; action: Action; onClose: () => void }) {
  const [signed, sign] = useSigned();
  const client = useQueryClient();
  const run = useMutation<Rollout, Failure>({
    mutationFn: () => post(`/deployments/${encodeURIComponent(r.deployment)}/rollout/${action.do}`, said(signed)),
    networkMode: "always",
    onSuccess: () => {
      for (const key of ["rollout", "rollouts", "deployments"]) void client.invalidateQueries({ queryKey: [key] });
      onClose();
    },
  });
  return (
    <Dialog title={`${action.label}?`} onClose={onClose} testid="confirm">
      <form
        className="dialog-form"
        onSubmit={(e) => {
          e.preventDefault();
          run.mutate();
        }}
      >
        <p>{action.says}</p>
        <WhoWhy value={signed} onChange={sign} />
        {run.error && <Refusal error={run.error} />}
        <div className="dialog-actions">
          <button type="button" className="quiet-button" onClick={onClose}>Cancel</button>
          <button type="submit" className={action.kind === "danger" ? "danger" : "primary"} disabled={run.isPending}>{run.isPending ? "Asking…" : action.label}</button>
        </div>
      </form>
    </Dialog>
  );
}

/** BackAgain offers the version that was live before, once a rollout has completed. */
export function BackAgain({ r }: { r: Rollout }) {
  const [open, setOpen] = useState(false);
  const client = useQueryClient();
  const run = useMutation<{ from: number; to: number }, Failure>({
    mutationFn: () => post(`/deployments/${encodeURIComponent(r.deployment)}/rollback`, {}),
    networkMode: "always",
    onSuccess: () => {
      for (const key of ["rollout", "rollouts", "deployments"]) void client.invalidateQueries({ queryKey: [key] });
      setOpen(false);
    },
  });
  return (
    <>
      <button type="button" className="danger-button" onClick={() => setOpen(true)}>Roll back to v{r.from}</button>
      {open && (
        <Dialog title={`Roll back to v${r.from}?`} onClose={() => setOpen(false)} testid="confirm">
          <p>The version that was live before v{r.to} answers everything, at once.</p>
          {run.error && <Refusal error={run.error} />}
          <div className="dialog-actions">
            <button type="button" className="quiet-button" onClick={() => setOpen(false)}>Cancel</button>
            <button type="button" className="danger" disabled={run.isPending} onClick={() => run.mutate()}>Roll back</button>
          </div>
        </Dialog>
      )}
    </>
  );
}
