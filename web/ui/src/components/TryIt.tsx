import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { infer, type Failure, type Inferred } from "../api/client";
import { useExample } from "../api/queries";
import type { ModelExample, ModelVersion } from "../api/types";
import { inferCommand } from "../lib/commands";
import { fieldsOf, readings, rowOf, type Field, type Row } from "../lib/tryit";
import { Command, Refusal, Skeleton } from "./Notice";

const sources = {
  reference: "A real row of the reference data.",
  golden: "One of the version’s golden vectors.",
  made: "No reference data: values that fit the signature.",
};

/** TryIt asks the model about one row, filled with a real one of its reference data. */
export function TryIt({ version }: { version: ModelVersion }) {
  const example = useExample(version.model, version.version);
  if (example.error) return <Refusal error={example.error} />;
  if (!example.data) return <Skeleton height={120} />;
  return <Form version={version} example={example.data} />;
}

function Form({ version, example }: { version: ModelVersion; example: ModelExample }) {
  const row = example.request.instances?.[0] as Row | undefined;
  const start = (): Field[] => (row ? fieldsOf(row, version) : []);
  const [fields, setFields] = useState(start);
  const [text, setText] = useState(() => JSON.stringify(example.request, null, 1));
  const [broken, setBroken] = useState("");
  const ask = useMutation<Inferred, Failure, unknown>({ mutationFn: (body) => infer(version.model, version.version, body), networkMode: "always" });
  const edited = (name: string, value: string) => setFields(fields.map((f) => (f.name === name ? { ...f, text: value } : f)));
  const body = (): unknown => (row ? { instances: [rowOf(fields)] } : (JSON.parse(text) as unknown));

  function submit() {
    try {
      const b = body();
      setBroken("");
      ask.mutate(b);
    } catch (e) {
      setBroken(e instanceof Error ? e.message : String(e));
    }
  }
  return (
    <form
      className="try"
      data-testid={`try-${version.model}-${version.version}`}
      onSubmit={(e) => {
        e.preventDefault();
        submit();
      }}
    >
      <p className="hint">
        {sources[example.source]} What is asked here is not recorded.
      </p>
      {row ? (
        <div className="try-fields">
          {fields.map((f) => (
            <label key={f.name}>
              <span>{f.name}</span>
              <input
                name={f.name}
                value={f.text}
                inputMode={f.kind === "number" ? "decimal" : "text"}
                placeholder={f.kind === "number" ? "missing" : "empty"}
                spellCheck={false}
                autoComplete="off"
                onChange={(e) => edited(f.name, e.target.value)}
              />
            </label>
          ))}
        </div>
      ) : (
        <textarea aria-label="Request" rows={8} spellCheck={false} value={text} onChange={(e) => setText(e.target.value)} />
      )}
      <div className="sql-actions">
        <button type="submit" className="primary" disabled={ask.isPending}>{ask.isPending ? "Asking…" : "Predict"}</button>
        <button type="button" className="quiet-button" onClick={() => { setFields(start()); setText(JSON.stringify(example.request, null, 1)); ask.reset(); }}>Reset</button>
        <a className="hint" href={`/v2/models/${encodeURIComponent(version.model)}/versions/${version.version}/openapi.json`}>OpenAPI</a>
      </div>
      {broken && <div className="refusal" role="alert"><b>This is not JSON.</b><p>{broken}</p></div>}
      {ask.error && <Refusal error={ask.error} />}
      {ask.data && !ask.error && <Answer answer={ask.data} version={version} />}
      {row && (
        <details className="try-curl">
          <summary>The same from a shell</summary>
          <Command>{inferCommand(location.origin, version.model, rowOf(fields))}</Command>
        </details>
      )}
    </form>
  );
}

function Answer({ answer, version }: { answer: Inferred; version: ModelVersion }) {
  return (
    <div className="try-answer" data-testid="try-answer">
      {readings(answer.body, version).map((r) => (
        <div key={r.output + r.name} className="try-reading">
          <span>{r.name}</span>
          {r.share ? <span className="try-bar"><i style={{ width: `${Number(r.value) * 100}%` }} /></span> : <span />}
          <b>{typeof r.value === "number" ? Number(r.value.toPrecision(5)) : r.value === null ? "NaN" : String(r.value)}</b>
        </div>
      ))}
      <p className="hint">{answer.milliseconds.toFixed(1)} ms there and back · <code>{answer.id}</code></p>
    </div>
  );
}
