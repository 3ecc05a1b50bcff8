import { useState, type ReactNode } from "react";
import { useCard, useLineage, useSignatures } from "../../api/queries";
import type { Origin, Variant } from "../../api/registry";
import type { ModelVersion } from "../../api/types";
import { bytes, digest } from "../../lib/format";
import { Refusal, Skeleton } from "../Notice";

/** Signed says who vouches for a version. */
export function Signed({ v }: { v: ModelVersion }) {
  const { data, error } = useSignatures(v.model, v.version);
  if (error) return <>unknown: {error.message}</>;
  if (!data) return <>…</>;
  const all = data.signatures ?? [];
  if (all.length === 0)
    return <span data-testid="signed">{data.required ? <span className="chip bad">not signed: this server takes it into service only with a signature</span> : "not signed"}</span>;
  return (
    <span className="signed" data-testid="signed">
      {all.map((s, i) => (
        <span key={i} className={s.refused ? "chip bad" : s.key ? "chip good" : "chip"}>
          {s.refused ? `a signature that does not count: ${s.refused}` : s.key ? `signed by ${s.key}` : "signed; no keys to check it with are configured"}
        </span>
      ))}
    </span>
  );
}

const relations: Record<Origin["relation"], { up: string; down: string }> = {
  trained_on: { up: "trained on", down: "was trained on" },
  quantized_from: { up: "quantized from", down: "quantized to" },
  distilled_from: { up: "distilled from", down: "distilled to" },
};

/** LineageOf lists what a version came from and what came from it, each step indented by its distance. */
export function LineageOf({ v }: { v: ModelVersion }) {
  const { data, error } = useLineage(v.model, v.version);
  if (error) return <Refusal error={error} />;
  if (!data) return <Skeleton height={24} />;
  const up = data.ancestors ?? [];
  const down = data.descendants ?? [];
  if (up.length + down.length === 0) return <span className="hint">nothing is known</span>;
  return (
    <ul className="lineage" data-testid="lineage">
      {up.map((o, i) => <Step key={`u${i}`} o={o} word={relations[o.relation].up} sign="←" />)}
      {down.map((o, i) => <Step key={`d${i}`} o={o} word={relations[o.relation].down} sign="→" />)}
    </ul>
  );
}

function Step({ o, word, sign }: { o: Origin; word: string; sign: string }) {
  const name = o.model ? `${o.model}@${o.version}` : o.reference;
  return (
    <li style={{ paddingLeft: `${1.1 * (o.depth - 1)}em` }} className={o.removed ? "gone" : undefined}>
      <span aria-hidden="true">{sign}</span> {word} <b>{sign === "→" ? o.of : name}</b>
      {o.model && o.reference !== name && sign === "←" && <code>{digest(o.reference.replace(/^.*@/, ""))}</code>}
      {o.removed && <span className="hint">its content is gone</span>}
    </li>
  );
}

/** Variants are the forms of a version's graph, in order of preference. */
export function Variants({ all }: { all: Variant[] }) {
  return (
    <div className="table-scroll">
      <table className="data">
        <caption className="sr">Variants</caption>
        <thead>
          <tr>
            <th scope="col">Variant</th>
            <th scope="col">File</th>
            <th scope="col">Needs</th>
            <th scope="col">Here</th>
          </tr>
        </thead>
        <tbody>
          {all.map((x) => (
            <tr key={x.name} className={x.lacking ? "gone" : undefined}>
              <th scope="row">{x.name}</th>
              <td><code>{x.file}</code></td>
              <td>{needs(x) || "nothing special"}</td>
              <td className="wrap">{x.serves ? <span className="chip good">runs</span> : x.lacking ? x.lacking : "could run"}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function needs({ requires: r }: Variant): string {
  if (!r) return "";
  return [r.os, r.arch, ...(r.isa ?? []), r.memory_bytes ? bytes(r.memory_bytes) : "", r.runtime, r.accelerator].filter(Boolean).join(", ");
}

/** CardText asks for the model card when somebody opens it. */
export function CardText({ v }: { v: ModelVersion }) {
  return (
    <Fold title="Model card" testid={`card-${v.model}-${v.version}`}>
      <CardBody v={v} />
    </Fold>
  );
}

function CardBody({ v }: { v: ModelVersion }) {
  const { data, error } = useCard(v.model, v.version);
  if (error) return <Refusal error={error} />;
  if (!data) return <Skeleton height={80} />;
  return <pre className="plain card-text">{data.text}</pre>;
}

/** Fold loads what is in it when it is opened. */
export function Fold({ title, testid, children }: { title: string; testid?: string; children: ReactNode }) {
  const [open, setOpen] = useState(false);
  return (
    <details className="fold" onToggle={(e) => setOpen(e.currentTarget.open)}>
      <summary data-testid={testid}>{title}</summary>
      {open && children}
    </details>
  );
}
