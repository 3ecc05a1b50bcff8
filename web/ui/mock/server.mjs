// A stand-in for `fairlead serve` while the page is worked on: serves dist/ and invented flights through /api/v1.
//   node mock/server.mjs [port]      MOCK_SPEED: days of event time a second; MOCK_DAYS: days at the start
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import * as registry from "./registry.mjs";
import * as rollouts from "./rollouts.mjs";
import { columns, day, first, incidents, measure, now, random, realised, rowsIn, size, windows } from "./flights.mjs";

const port = Number(process.argv[2] ?? 8090);
const speed = Number(process.env.MOCK_SPEED ?? 0.5);
const days = Number(process.env.MOCK_DAYS ?? 45);
const dist = fileURLToPath(new URL("../dist", import.meta.url));
const started = Date.now();
const iso = (t) => new Date(t).toISOString().replace(".000Z", "Z");
const until = () => now(started, speed, days);
const threshold = 0.2;

function history() {
  const second = Math.floor(Date.now() / 1000);
  return Array.from({ length: 120 }, (_, i) => {
    const t = second - 119 + i;
    const r = random(`s${t}`);
    const rows = 6100 + 1500 * Math.sin(t / 9) + 900 * r();
    return { time: iso(t * 1000), rows, p50_ms: 0.61 + 0.1 * r(), p99_ms: 2.4 + 2 * r() };
  });
}

const idle = { requests_per_second: 0, rows_per_second: 0, errors_per_second: 0, p50_ms: null, p95_ms: null, p99_ms: null };

function deployments() {
  const t = until();
  const past = history();
  const live = past.at(-1);
  const rows = Math.round(((t - first) / day) * 16_400);
  const hour = Math.floor(t / size.hour) * size.hour;
  const drifted = columns.filter((c) => measure(c, hour, "hour", t)?.cell.verdict === "drifted").map((c) => c.name);
  return [
    {
      name: "flights", model: "flights", version: 1, digest: "sha256:9f3c1a7be02d5c48aa17", task: "binary", state: "ready",
      live: { requests_per_second: live.rows / 128, rows_per_second: live.rows, errors_per_second: 0, p50_ms: live.p50_ms, p95_ms: 1.72, p99_ms: live.p99_ms },
      rows, labelled: Math.round(rows * 0.986), from: iso(first), to: iso(Math.floor(t / 60_000) * 60_000),
      firing: alerts().filter((a) => a.state === "firing").length, label: "late", drifted, history: past,
      annotations: incidents.map((i) => ({ ...i, start: iso(i.start), end: iso(i.end) })),
      serving: {
        max_batch: 1, batching: "a batch of 64 rows gains 1.03 times on single rows: not worth waiting for", fixed_us: 1.2, per_row_us: 22.4, threads: 1, memory_bytes: 5_400_000, cache_ttl_seconds: 0,
        decode_us: 61, queue_us: 9, run_us: 480, encode_us: 32, requests: 41_200, runs: 41_200, cache_hits: 0, waiting: 0, refused: 0,
        report: ["8 golden vectors: all within 1e-5", "alone, in batches and padded: the same answers", "22.4 µs a row: batches gain nothing"],
      },
    },
    { name: "churn", model: "churn", version: 3, digest: "sha256:41d2e8a0b7c96f1355de", task: "binary", state: "ready", live: { ...idle, requests_per_second: 2.4, rows_per_second: 2.4, p50_ms: 0.34, p95_ms: 0.9, p99_ms: 1.6 }, rows: 1284, labelled: 0, from: iso(first), to: iso(first + 2 * day), firing: 0, drifted: [], history: past.map((p) => ({ ...p, rows: p.rows / 2600 })), annotations: null, rollout: rollouts.standing() },
    { name: "fresh", model: "fresh", version: 1, digest: "sha256:b87700e4d91c2a6f0c33", task: "regression", state: "ready", live: idle, rows: 0, labelled: 0, firing: 0, drifted: null, history: null, annotations: null },
    { name: "fraud", model: "fraud", version: 2, digest: "sha256:0c55b1f2e3a49d8876ab", task: "binary", state: "failed", reason: "model.onnx: opset 29 is newer than this engine's 25; export with opset_version=25 or lower", live: idle, rows: 0, labelled: 0, firing: 0, drifted: null, history: null, annotations: null },
  ];
}

function alerts() {
  const t = until();
  const of = { km: "distance", ord: "origin" };
  return incidents.filter((i) => i.start < t && i.id === "km").map((i) => {
    const column = columns.find((c) => c.name === of[i.id]);
    const cell = measure(column, i.start, "hour", i.start + day)?.cell;
    const worst = measure(column, i.start + 12 * size.hour, "hour", t)?.cell ?? cell;
    const over = !desk.firing && t > i.end + 2 * size.hour;
    return {
      id: i.id, deployment: "flights", column: column.name, state: over ? "resolved" : "firing", measure: "psi", value: worst.psi_debiased, worst: worst.psi_debiased, threshold, floor: worst.psi_floor, n: worst.n, grain: "hour",
      onset: iso(i.start + 6 * size.hour), last: iso(Math.min(t, i.end) - size.hour), fired: iso(i.start + 8 * size.hour), resolved: over ? iso(i.end + 2 * size.hour) : "0001-01-01T00:00:00Z",
      message: `${column.name} has drifted: PSI ${worst.psi_debiased.toFixed(2)} against a threshold of ${threshold} and a noise floor of ${worst.psi_floor.toFixed(3)}, over ${worst.n} rows`,
      planted: i.title, acknowledged: desk.acknowledged, silenced: desk.silenced,
    };
  });
}

// What people said of the alert.
const desk = { acknowledged: undefined, silenced: undefined, firing: false };

function alertAnswer(what, id, asked) {
  if (what === "ack") desk.acknowledged = { by: asked.by ?? "somebody", note: asked.note, at: iso(Date.now()) };
  if (what === "unack") desk.acknowledged = undefined;
  if (what === "explain") {
    const alert = alerts().find((a) => a.id === id);
    return alert ? { status: 200, body: explanation(alert) } : fail(404, "There is no alert like that.", "not_found", "GET /api/v1/alerts lists what there is.");
  }
  return { status: 200, body: alerts() };
}

const explanation = (alert) => ({
  alert, harm: "moves", since: alert.onset, incident: alert.id, together: [],
  text: "distance has drifted since 9 April 2001 06:00: 1185 … 1750 makes 24.1% of the rows, 8.3% before. With values of before, 1.2% of the decisions (0.8% to 1.8%) would be others.",
  course: { kind: "instantaneous", confidence: 0.97, provisional: true },
  sure: { windows: 18, drifted: 17, rows: 16546, psi: 0.38, floor: 0.021, rule: "psi 0.2, 2 of 3 hours" },
  shares: [
    { label: "1185 … 1750", before: 0.083, now: 0.241, part: 0.41 }, { label: "above 4962", before: 0, now: 0.004, part: 0.22 }, { label: "214 … 328", before: 0.101, now: 0.031, part: 0.16 },
  ],
  related: [], changes: [],
  effects: [{ what: "accuracy", before: 0.835, since: 0.829, windows: 17, clear: false }, { what: "share of positive decisions", before: 0.1, since: 0.112, windows: 17, clear: true }],
  advice: ["all rows move by the same factor, 1.609: kilometres where miles were?", "mend the source before you retrain"],
  carried: {
    says: "most of the change is in one segment", even: false, before: 20000, now: 16546, looked: 364,
    segments: [{ label: "origin ORD, DFW, ATL", where: 'origin in ["ORD", "DFW", "ATL"]', part: { value: 0.82, low: 0.74, high: 0.9 }, rows: 0.23 }],
  },
  impact: { says: "with values of before, 1.2% of the decisions (0.8% to 1.8%) would be others, the mean score would be 0.218 instead of 0.222", rows: 2000, version: 1, clear: true },
  examples: [
    { id: "f1475767", time: iso(Date.parse(alert.onset) + 3.6e6), why: "of the bin with most too many rows", value: 3618, back: 2227, score: 0.252, score_back: 0.241, inputs: [{ name: "origin", value: "SLC" }, { name: "destination", value: "PHX" }, { name: "customer", redacted: true }] },
  ],
});

function drift(name, query) {
  const grain = query.get("grain") ?? "hour";
  const rule = { measure: "psi", threshold, grain: "hour", for: 2, clear: 2 };
  const base = { deployment: name, version: 1, grain, windows: null, columns: null, rule };
  if (name !== "flights") return { ...base, empty: name === "churn" ? "no_reference" : "no_data" };
  const t = until();
  const starts = windows(grain, Number(query.get("limit") ?? 168), query.get("to") ? Date.parse(query.get("to")) : undefined, t);
  return {
    ...base,
    windows: starts.map(iso),
    columns: columns.map((c) => ({ name: c.name, kind: c.kind, output: c.output ?? false, cells: starts.map((w) => measure(c, w, grain, t)?.cell ?? null) })),
  };
}

function distribution(column, query) {
  const c = columns.find((x) => x.name === column);
  const grain = query.get("grain");
  const start = Date.parse(query.get("start"));
  const m = c && measure(c, start, grain, until());
  if (!m) return undefined;
  const over = m.shares.at(-1);
  const mean = c.mean === undefined ? null : column === "distance" && over > 0.05 ? 1179.4 : c.mean * (1 + 0.02 * random(`${start}`)());
  return {
    column, kind: c.kind, grain, start: iso(start), end: iso(start + size[grain]), cell: m.cell,
    bins: c.bins.map((b, i) => ({ ...b, reference: m.ref[i], current: m.shares[i], rows: m.cur[i] })),
    mean, reference_mean: c.mean ?? null,
  };
}

function metrics(name, query) {
  const grain = query.get("grain") ?? "hour";
  const names = ["accuracy", "auroc", "log_loss", "brier", "positive_rate", "predicted_rate"];
  const base = { deployment: name, grain, task: "binary", label: "late", names, points: null };
  if (name !== "flights") return { ...base, empty: name === "churn" ? "no_labels" : "no_data" };
  const t = until();
  const starts = windows(grain, Number(query.get("limit") ?? 168), query.get("to") ? Date.parse(query.get("to")) : undefined, t);
  return {
    ...base,
    points: starts.filter((w) => rowsIn(w, grain, t) > 0).map((w) => ({ start: iso(w), ...realised(w, grain, t) })),
    reference: { start: iso(first), n: 923_000, labelled: 923_000, provisional: false, metrics: { accuracy: 0.823, auroc: 0.687, log_loss: 0.437, brier: 0.136, positive_rate: 0.197, predicted_rate: 0.197 } },
  };
}

const model = (name, version, more = {}) => ({
  model: name, version, digest: "sha256:9f3c1a7be02d5c48aa1759e0d3b6f2c84e7710a95bc3d26f88e41b07c95ad3e" + version, created: "2026-01-12T09:30:00Z", size_bytes: 412_877, task: "binary",
  inputs: [
    { name: "numbers", datatype: "FP32", shape: [-1, 4], features: ["scheduled_minute", "hour", "weekday", "distance"] },
    { name: "origin", datatype: "BYTES", shape: [-1, 1] },
    { name: "destination", datatype: "BYTES", shape: [-1, 1] },
  ],
  outputs: [{ name: "probability", datatype: "FP32", shape: [-1, 2], role: "score", classes: ["on_time", "late"] }],
  label: "late", ...more,
});

const models = () => [
  { name: "flights", aliases: registry.aliases.flights, versions: [model("flights", 1, { reference: { rows: 923_114, from: "2001-01-01T00:00:00Z", to: "2001-02-28T23:59:00Z", phases: true } })] },
  {
    name: "churn", aliases: registry.aliases.churn,
    versions: [
      model("churn", 4, { created: "2026-06-01T07:58:00Z", variants: registry.variants, card: registry.card.name, tests: 12, notes: ["no reference given: drift cannot be measured"] }),
      model("churn", 3, { notes: ["no reference given: drift cannot be measured"] }), model("churn", 2),
    ],
    removed: [{ model: "churn", version: 1, digest: "sha256:77ac10b9e3d25f", removed: "2026-05-03T12:00:00Z", by: "ada" }],
  },
];

function sql(body) {
  const { query = "" } = JSON.parse(body || "{}");
  if (!/^\s*(select|with|from|describe|show)\b/i.test(query)) return undefined;
  const t = until();
  const days = windows("day", 30, undefined, t).reverse();
  return { columns: ["day", "n", "p95_us", "note"], types: ["TIMESTAMP", "BIGINT", "DOUBLE", "VARCHAR"], rows: days.map((d, i) => [iso(d), rowsIn(d, "day", t), 1712.25 + i, i % 3 ? "typical" : null]), truncated: false, seconds: 0.0183 };
}

const fail = (status, error, code, hint) => ({ status, body: { error, code, hint } });

const json = (body) => JSON.parse(body || "{}");

function api(url, body, { method, headers }) {
  const parts = url.pathname.split("/").slice(3).map(decodeURIComponent);
  const ok = (x) => (x === undefined ? fail(404, "There is nothing like that here.", "not_found", "GET /api/v1/deployments lists what there is.") : { status: 200, body: x });
  switch (parts[0]) {
    case "status": {
      const rows = deployments()[0].rows;
      return ok({ version: "mock", started: iso(started), now: iso(Date.now()), engine: "none", recorded: rows + 812, dropped: 0, stored: rows, labels: Math.round(rows * 0.986), lag_seconds: 0.4 + 0.5 * random(`${Math.floor(Date.now() / 1000)}`)(), loss_window_seconds: 1 });
    }
    case "models":
      if (parts[4] === "example") return ok({ source: "reference", request: { instances: [{ scheduled_minute: 1065, hour: 17, weekday: 4, distance: 733, origin: "ATL", destination: "O'Hare" }] } });
      if (parts[4] === "lineage") return ok(registry.lineage(parts[1], Number(parts[3])));
      if (parts[4] === "signatures") return ok(registry.signatures(parts[1], Number(parts[3])));
      if (parts[4] === "card") return ok(registry.card);
      if (parts[2] === "history") return ok(registry.history(parts[1]));
      if (parts[2] === "aliases") return registry.move(parts[1], parts[3], json(body), headers["if-none-match"] ? "0" : headers["if-match"]);
      return ok(models());
    case "pipelines":
      return ok(registry.pipelines);
    case "alerts":
      return alertAnswer(parts[1], url.searchParams.get("id"), json(body)) ?? ok(undefined);
    case "silences": {
      const asked = json(body);
      desk.silenced = { id: "01SILENCE", reason: asked.reason, by: asked.by ?? "somebody", until: asked.until };
      return ok({ ...desk.silenced, deployment: asked.deployment, column: asked.column, state: "active", alerts: ["km"] });
    }
    case "sql": {
      const answer = sql(body);
      return answer ? ok(answer) : fail(400, "Expected one SELECT, got something else.", "invalid", "The evaluation store is read only here.");
    }
    case "deployments":
      if (parts.length === 1) return ok(deployments());
      if (/^roll/.test(parts[2]) && parts[1] === "churn") return rollouts.answer(method, parts.slice(2), url.searchParams, json(body));
      if (parts[2] === "rollouts") return ok([]);
      if (parts[2] === "drift" && parts[3]) return ok(distribution(parts[3], url.searchParams));
      if (parts[2] === "drift") return ok(drift(parts[1], url.searchParams));
      if (parts[2] === "metrics") return ok(metrics(parts[1], url.searchParams));
  }
  return ok(undefined);
}

const types = { ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml" };
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

async function file(pathname) {
  const name = normalize(pathname).replace(/^\/+/, "") || "index.html";
  try {
    return { body: await readFile(join(dist, name)), type: types[extname(name)] ?? "application/octet-stream" };
  } catch {
    if (name.startsWith("assets/")) return undefined;
    return { body: await readFile(join(dist, "index.html")), type: types[".html"] };
  }
}

const server = createServer(async (request, response) => {
  const url = new URL(request.url, "http://localhost");
  let body = "";
  for await (const chunk of request) body += chunk;
  if (url.pathname.startsWith("/mock/alerts/")) { // whatever the time
    desk.firing = url.pathname.endsWith("/firing");
    response.writeHead(204).end();
    return;
  }
  if (url.pathname.startsWith("/mock/rollout/")) {
    response.writeHead(rollouts.choose(url.pathname.split("/").pop()) ? 204 : 404).end();
    return;
  }
  if (url.pathname.startsWith("/api/v1/")) {
    const answer = api(url, body, request);
    response.writeHead(answer.status, { "Content-Type": "application/json" }).end(JSON.stringify(answer.body));
    return;
  }
  if (url.pathname.startsWith("/v2/") && request.method === "POST") {
    const [row] = JSON.parse(body).instances;
    const late = 1 / (1 + Math.exp(-(row.hour - 19) / 4));
    const refused = typeof row.hour !== "number";
    const answer = refused
      ? { error: `instance 0, feature "hour": expected a number, but ${JSON.stringify(row.hour)} came`, code: "invalid", hint: "send a number or null" }
      : { id: "01JDTRYITMOCK", model_name: "flights", model_version: "1", predictions: [[1 - late, late]], ids: ["01JDTRYITMOCK"] };
    response.writeHead(refused ? 400 : 200, { "Content-Type": "application/json" }).end(JSON.stringify(answer));
    return;
  }
  const found = await file(url.pathname);
  if (!found) response.writeHead(404).end();
  else response.writeHead(200, { "Content-Type": found.type, "Content-Security-Policy": policy, "Cache-Control": "no-cache" }).end(found.body);
});
server.listen(port, "127.0.0.1", () => console.log(`http://127.0.0.1:${port}`));
