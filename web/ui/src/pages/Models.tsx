import { useState } from "react";
import { useModels } from "../api/queries";
import type { Model, ModelVersion, Tensor } from "../api/types";
import { Aliases } from "../components/models/Aliases";
import { Checks } from "../components/models/Checks";
import { CardText, LineageOf, Signed, Variants } from "../components/models/VersionFacts";
import { TryIt } from "../components/TryIt";
import { Command, Empty, Refusal, Skeleton } from "../components/Notice";
import { pushCommand } from "../lib/commands";
import { bytes, count, digest, plural } from "../lib/format";
import { useTitle } from "../lib/hooks";
import { at, day, moment } from "../lib/time";

export function Models() {
  useTitle("Models");
  const { data, error } = useModels();
  if (!data) return error ? <Refusal error={error} /> : <Skeleton height={240} />;
  if (data.length === 0)
    return (
      <Empty title="No model yet" testid="empty-models">
        <p>A bare ONNX file is enough; a bundle folder with <code>fairlead.yaml</code> says more.</p>
        <Command>{pushCommand("churn")}</Command>
      </Empty>
    );
  return (
    <>
      <h1 className="page-title">Models</h1>
      {data.map((m) => (
        <ModelCard key={m.name} model={m} />
      ))}
    </>
  );
}

function ModelCard({ model }: { model: Model }) {
  const versions = model.versions ?? [];
  const aliases = Object.entries(model.aliases ?? {});
  return (
    <section className="card model" data-testid={`model-${model.name}`}>
      <header className="card-head">
        <h2>{model.name}</h2>
        <span className="hint">{plural(versions.length, "version")}</span>
        <Aliases model={model} />
      </header>
      {versions.map((v, i) => (
        <Version key={v.digest + v.version} v={v} first={i === 0} aliases={aliases.filter(([, n]) => n === v.version).map(([a]) => a)} />
      ))}
      {(model.removed ?? []).map((r) => (
        <p key={r.version} className="version removed" data-testid={`removed-${model.name}-${r.version}`}>
          <b>v{r.version}</b>
          <span className="chip">removed</span>
          <code title={r.digest}>{digest(r.digest)}</code>
          <span className="when">{moment(at(r.removed) ?? 0)} UTC{r.by && `, by ${r.by}`}</span>
        </p>
      ))}
    </section>
  );
}

function Version({ v, first, aliases }: { v: ModelVersion; first: boolean; aliases: string[] }) {
  const [open, setOpen] = useState(first);
  return (
    <details open={first} className="version" onToggle={(e) => setOpen(e.currentTarget.open)} data-testid={`version-${v.model}-${v.version}`}>
      <summary>
        <b>v{v.version}</b>
        {aliases.map((a) => (
          <span key={a} className="chip alias">{a}</span>
        ))}
        <code title={v.digest}>{digest(v.digest)}</code>
        <span>{bytes(v.size_bytes)}</span>
        {(v.tests ?? 0) > 0 && <span>{plural(v.tests ?? 0, "test")}</span>}
        <span className="when">{moment(at(v.created) ?? 0)} UTC</span>
      </summary>
      {open && (
        <>
          <VersionBody v={v} />
          <Trial v={v} />
        </>
      )}
    </details>
  );
}

/** Trial asks for the example only when somebody wants to try. */
function Trial({ v }: { v: ModelVersion }) {
  const [open, setOpen] = useState(false);
  return (
    <details className="trial" onToggle={(e) => setOpen(e.currentTarget.open)}>
      <summary data-testid={`trial-${v.model}-${v.version}`}>Try it</summary>
      {open && <TryIt version={v} />}
    </details>
  );
}

function VersionBody({ v }: { v: ModelVersion }) {
  const from = at(v.reference?.from);
  const to = at(v.reference?.to);
  return (
    <div className="version-body">
      <dl className="facts">
        <dt>Task</dt>
        <dd>{v.task || "none"}{v.label && `, label ${v.label}`}</dd>
        <dt>Reference</dt>
        <dd>
          {v.reference ? (
            <>
              {count(v.reference.rows)} rows{from !== undefined && to !== undefined && `, ${day(from)} – ${day(to)}`}
              {v.reference.phases && ", compared with the same hours of the week"}
            </>
          ) : (
            "none: drift cannot be measured"
          )}
        </dd>
        <dt>Digest</dt>
        <dd>
          <code className="long">{v.digest}</code>{" "}
          <a href={`/api/v1/models/${encodeURIComponent(v.model)}/export?version=${v.version}`} download={`${v.model}-${v.version}.tar`}>export as a file</a>
        </dd>
        <dt>Signed</dt>
        <dd><Signed v={v} /></dd>
        <dt>Lineage</dt>
        <dd><LineageOf v={v} /></dd>
        <dt>Checks</dt>
        <dd><Checks v={v} /></dd>
      </dl>
      {(v.variants ?? []).length > 1 && <Variants all={v.variants ?? []} />}
      {v.card && <CardText v={v} />}
      <Signature title="Inputs" tensors={v.inputs ?? []} />
      <Signature title="Outputs" tensors={v.outputs ?? []} />
      {(v.notes ?? []).length > 0 && (
        <ul className="notes">
          {v.notes?.map((n) => <li key={n}>{n}</li>)}
        </ul>
      )}
    </div>
  );
}

function Signature({ title, tensors }: { title: string; tensors: Tensor[] }) {
  if (tensors.length === 0) return null;
  return (
    <div className="table-scroll">
      <table className="data signature">
        <thead>
          <tr>
            <th scope="col">{title}</th>
            <th scope="col">Type</th>
            <th scope="col">Shape</th>
            <th scope="col">Features or classes</th>
          </tr>
        </thead>
        <tbody>
          {tensors.map((t) => (
            <tr key={t.name}>
              <th scope="row">{t.name}{t.role && <span className="chip">{t.role}</span>}</th>
              <td>{t.datatype}</td>
              <td className="nowrap">[{(t.shape ?? []).map((n) => (n < 0 ? "?" : n)).join(", ")}]</td>
              <td>{[...(t.features ?? []), ...(t.classes ?? [])].join(", ")}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
