import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { post, type Failure } from "../api/client";
import { useDeployments } from "../api/queries";
import type { SQLAnswer } from "../api/types";
import { Refusal } from "../components/Notice";
import { plural, span } from "../lib/format";
import { useTitle } from "../lib/hooks";
import { cellText, csv, numeric } from "../lib/table";

const limit = 1000;

function examples(deployment: string) {
  const table = `rows."${deployment}"`;
  return [
    { title: "Rows by day", query: `SELECT date_trunc('day', event_time) AS day, count(*) AS n,\n       quantile_cont(latency_us, 0.95) AS p95_us\nFROM ${table}\nGROUP BY day ORDER BY day DESC LIMIT 30` },
    { title: "Newest rows", query: `SELECT * FROM ${table}\nORDER BY event_time DESC LIMIT 20` },
    { title: "What drifted", query: `SELECT * FROM findings\nWHERE verdict = 'drifted'\nORDER BY psi_debiased DESC LIMIT 50` },
    { title: "Outcomes", query: `SELECT label, count(*) AS n, avg(score) AS mean_score\nFROM outcomes\nWHERE deployment = '${deployment}'\nGROUP BY label ORDER BY n DESC` },
    { title: "Tables", query: `SELECT table_schema, table_name, count(*) AS columns\nFROM information_schema.columns\nGROUP BY ALL ORDER BY ALL` },
  ];
}

export function Sql() {
  useTitle("SQL");
  const deployments = useDeployments();
  const list = examples(deployments.data?.[0]?.name ?? "flights");
  const [query, setQuery] = useState<string>();
  const text = query ?? list[0]?.query ?? "";
  const run = useMutation<SQLAnswer, Failure, string>({ mutationFn: (q) => post("/sql", { query: q, limit }), networkMode: "always" });

  return (
    <>
      <h1 className="page-title">SQL</h1>
      <section className="card sql">
        <p className="hint">The evaluation store, read only: every prediction, label, finding and metric, in DuckDB’s dialect.</p>
        <div className="examples">
          {list.map((e) => (
            <button key={e.title} type="button" className="quiet-button" onClick={() => setQuery(e.query)}>{e.title}</button>
          ))}
        </div>
        <form
          onSubmit={(e) => {
            e.preventDefault();
            if (text.trim()) run.mutate(text);
          }}
        >
          <label className="sr" htmlFor="query">Query</label>
          <textarea
            id="query"
            data-testid="query"
            spellCheck={false}
            autoCapitalize="off"
            rows={Math.min(14, Math.max(5, text.split("\n").length + 1))}
            value={text}
            onChange={(e) => setQuery(e.target.value)}
            onKeyDown={(e) => {
              if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) e.currentTarget.form?.requestSubmit();
            }}
          />
          <div className="sql-actions">
            <button type="submit" className="primary" disabled={run.isPending}>{run.isPending ? "Running…" : "Run"}</button>
            <span className="hint">Ctrl+Enter · at most {limit.toLocaleString("en-US")} rows</span>
          </div>
        </form>
        {run.error && <Refusal error={run.error} />}
      </section>
      {run.data && <Answer answer={run.data} />}
    </>
  );
}

function Answer({ answer }: { answer: SQLAnswer }) {
  const rows = answer.rows ?? [];
  const types = answer.types ?? [];
  function download() {
    const url = URL.createObjectURL(new Blob([csv(answer)], { type: "text/csv" }));
    const a = document.createElement("a");
    a.href = url;
    a.download = "fairlead.csv";
    a.click();
    URL.revokeObjectURL(url);
  }
  return (
    <section className="card" data-testid="answer">
      <header className="card-head">
        <h2>{plural(rows.length, "row")}</h2>
        <span className="hint">{span(answer.seconds)}{answer.truncated && " · there are more; add a LIMIT or aggregate"}</span>
        <div className="tools">
          <button type="button" className="quiet-button" onClick={download}>CSV</button>
        </div>
      </header>
      <div className="table-scroll tall">
        <table className="data">
          <thead>
            <tr>
              {(answer.columns ?? []).map((c, i) => (
                <th scope="col" key={c + i} className={numeric(types[i] ?? "") ? "num" : undefined}>
                  {c}
                  <small>{(types[i] ?? "").toLowerCase()}</small>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map((row, r) => (
              <tr key={r}>
                {row.map((v, i) => (
                  <td key={i} className={v === null ? "null" : numeric(types[i] ?? "") ? "num" : undefined}>{cellText(v, types[i])}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
