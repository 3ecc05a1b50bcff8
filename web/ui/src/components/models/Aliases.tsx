import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { put, type Failure } from "../../api/client";
import { useAliasHistory } from "../../api/queries";
import type { AliasMove } from "../../api/registry";
import type { Model } from "../../api/types";
import { at, moment } from "../../lib/time";
import { Dialog } from "../Dialog";
import { Refusal, Skeleton } from "../Notice";
import { useSigned, WhoWhy } from "../WhoWhy";

/** Aliases are a model's names for versions; each opens its history and the form that moves it. */
export function Aliases({ model }: { model: Model }) {
  const [open, setOpen] = useState<string>();
  const aliases = Object.entries(model.aliases ?? {}).sort(([a], [b]) => a.localeCompare(b));
  return (
    <div className="tools" data-testid={`aliases-${model.name}`}>
      {aliases.map(([alias, version]) => (
        <button key={alias} type="button" className="alias-button" aria-label={`${alias} points at version ${version}: history, move`} onClick={() => setOpen(alias)}>
          {alias} <span>→ v{version}</span>
        </button>
      ))}
      {(model.versions ?? []).length > 0 && <button type="button" className="quiet-button" onClick={() => setOpen("")}>New alias</button>}
      {open !== undefined && <AliasDialog model={model} alias={open} onClose={() => setOpen(undefined)} />}
    </div>
  );
}

function AliasDialog({ model, alias, onClose }: { model: Model; alias: string; onClose: () => void }) {
  const versions = model.versions ?? [];
  const now = alias ? (model.aliases?.[alias] ?? 0) : 0;
  const [name, setName] = useState(alias);
  const [version, setVersion] = useState(String(versions.find((v) => v.version !== now)?.version ?? now));
  const [force, setForce] = useState(false);
  const [signed, sign] = useSigned();
  const client = useQueryClient();
  const move = useMutation<AliasMove, Failure>({
    // Only from where this page saw it: somebody may have been faster.
    mutationFn: () =>
      put(`/models/${encodeURIComponent(model.name)}/aliases/${encodeURIComponent(name.trim())}`, { version, ...(force && { force }), ...(signed.by.trim() && { by: signed.by.trim() }) }, now),
    networkMode: "always",
    onSuccess: () => {
      for (const key of ["models", "aliases"]) void client.invalidateQueries({ queryKey: [key] });
      onClose();
    },
  });
  return (
    <Dialog title={alias ? `${alias} of ${model.name}` : `A new alias of ${model.name}`} onClose={onClose} testid="alias">
      <form
        className="dialog-form"
        onSubmit={(e) => {
          e.preventDefault();
          move.mutate();
        }}
      >
        <div className="fields">
          {!alias && (
            <label className="field">
              <span>Alias</span>
              <input name="alias" value={name} placeholder="champion" autoComplete="off" spellCheck={false} onChange={(e) => setName(e.target.value)} />
            </label>
          )}
          <label className="field">
            <span>{alias ? `Points at v${now}; move it to` : "Version"}</span>
            <select name="version" value={version} onChange={(e) => setVersion(e.target.value)}>
              {versions.map((v) => (
                <option key={v.version} value={v.version} disabled={v.version === now}>v{v.version}</option>
              ))}
            </select>
          </label>
        </div>
        <WhoWhy value={signed} onChange={sign} withWhy={false} />
        {(force || move.error) && (
          <label className="check">
            <input type="checkbox" checked={force} onChange={(e) => setForce(e.target.checked)} />
            Also when it breaks clients of the version it points at now
          </label>
        )}
        {move.error && <Refusal error={move.error} />}
        <div className="dialog-actions">
          <button type="button" className="quiet-button" onClick={onClose}>Cancel</button>
          <button type="submit" className="primary" disabled={move.isPending || !name.trim() || version === String(now)}>{alias ? "Move" : "Set"}</button>
        </div>
      </form>
      {alias && <Moves model={model.name} alias={alias} />}
    </Dialog>
  );
}

function Moves({ model, alias }: { model: string; alias: string }) {
  const { data, error } = useAliasHistory(model);
  if (error) return <Refusal error={error} />;
  if (!data) return <Skeleton height={60} />;
  const moves = data.filter((m) => m.alias === alias).reverse();
  if (moves.length === 0) return null;
  return (
    <div className="moves">
      <h3 className="sub">History</h3>
      <ol data-testid="alias-history">
        {moves.map((m, i) => (
          <li key={`${m.at}${i}`}>
            <b>{m.from === 0 ? "set to" : `v${m.from} →`} {m.to === 0 ? "removed" : `v${m.to}`}</b>
            <span>{moment(at(m.at) ?? 0)} UTC{m.by && `, by ${m.by}`}</span>
            {m.forced && <span className="chip bad">forced over a breaking change</span>}
          </li>
        ))}
      </ol>
    </div>
  );
}
