import { useMutation } from "@tanstack/react-query";
import { post, type Failure } from "../../api/client";
import type { TestReport, TestResult, Verdict, Verification } from "../../api/check";
import type { ModelVersion } from "../../api/types";
import { closeness, tally, verdictWords } from "../../lib/check";
import { count, plural, span, value } from "../../lib/format";
import { Refusal } from "../Notice";

/** Checks asks a version on this server what its bundle says it can do, and whether this host computes as it should. */
export function Checks({ v }: { v: ModelVersion }) {
  const path = `/models/${encodeURIComponent(v.model)}/versions/${v.version}`;
  const test = useMutation<TestReport, Failure>({ mutationFn: () => post(`${path}/test`, {}), networkMode: "always" });
  const verify = useMutation<Verification, Failure>({ mutationFn: () => post(`${path}/verify`, undefined), networkMode: "always" });
  const id = `${v.model}-${v.version}`;
  return (
    <div className="checks" data-testid={`checks-${id}`}>
      <div className="checks-ask">
        <button type="button" className="quiet-button" disabled={test.isPending} onClick={() => test.mutate()}>
          {test.isPending ? "Testing…" : (v.tests ?? 0) > 0 ? `Run its ${plural(v.tests ?? 0, "test")}` : "Run the built-in tests"}
        </button>
        <button type="button" className="quiet-button" disabled={verify.isPending} onClick={() => verify.mutate()}>{verify.isPending ? "Computing…" : "Run its golden vectors"}</button>
        <span className="hint">beside what serves, on this server</span>
      </div>
      <div aria-live="polite">
        {verify.error && <Refusal error={verify.error} />}
        {verify.data && <Verified v={verify.data} />}
        {test.error && <Refusal error={test.error} />}
        {test.data && <Report r={test.data} />}
      </div>
    </div>
  );
}

function Verified({ v }: { v: Verification }) {
  const wrong = (v.outputs ?? []).filter((o) => !o.ok);
  return (
    <div className="checks-answer" data-testid="verified">
      <p><span className={v.ok ? "chip good" : "chip bad"}>{v.ok ? "computes as it should" : "computes something else"}</span> {closeness(v)}</p>
      {wrong.slice(0, 8).map((o) => (
        <p key={`${o.case}${o.output}`} className="reason">Vector {o.case}, {o.output}: {o.problem ?? `${count(o.beyond)} of ${plural(o.elements, "element")}; expected ${o.expected}, got ${o.got}`}</p>
      ))}
      <p className="hint">{v.host}, tolerance {v.absolute.toPrecision(1)} + {v.relative.toPrecision(1)}·|expected|</p>
    </div>
  );
}

function Report({ r }: { r: TestReport }) {
  const results = [...(r.results ?? [])].sort((a, b) => Number(b.fails) - Number(a.fails));
  return (
    <div className="checks-answer" data-testid="tested">
      <p><span className={r.ok ? "chip good" : "chip bad"}>{r.ok ? "passes" : "fails"}</span> {tally(r)}</p>
      {(r.warnings ?? []).map((w) => <p key={w} className="checks-warning">{w}</p>)}
      <ul className="checks-list">
        {results.map((x) => <One key={x.name} x={x} />)}
      </ul>
      <p className="hint">
        {plural(r.rows, "row")} in {span(r.seconds)}, {r.host}{r.builtin && "; the bundle has no tests: these need no numbers"}
      </p>
    </div>
  );
}

const signs: Record<Verdict, string> = { passed: "✓", failed: "✕", too_few: "?", skipped: "–" };

function One({ x }: { x: TestResult }) {
  const groups = (x.groups ?? []).filter((g) => g.verdict !== "passed");
  return (
    <li className={`check-result ${x.fails ? "failed" : x.verdict}`} data-testid={`test-${x.name}`}>
      <span className="check-sign" aria-hidden="true">{signs[x.verdict]}</span>
      <div>
        <p><b>{x.name}</b> <span className="sr">{verdictWords[x.verdict]}</span> <span className="hint">{x.kind}</span></p>
        <p>{x.text}</p>
        {x.why && x.verdict !== "passed" && <p className="hint">{x.why}</p>}
        {groups.length > 0 && <p className="hint">{groups.slice(0, 6).map((g) => `${g.name}: ${verdictWords[g.verdict]}${g.value === undefined ? "" : `, ${value(g.value)}`} (${plural(g.n, "row")})`).join(" · ")}</p>}
        {(x.worst ?? []).slice(0, 3).map((w) => <p key={`${w.row}${w.text}`} className="hint">{w.row >= 0 && `row ${count(w.row)}: `}{w.text}</p>)}
      </div>
    </li>
  );
}
