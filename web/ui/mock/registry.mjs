// Invented facts about versions, and pipelines.
const tensor = (name, datatype, ...shape) => ({ name, datatype, shape });

export const lineage = (model, version) => ({
  model, version,
  ancestors: model === "churn" && version === 4 ? [
    { relation: "quantized_from", reference: "churn@3", model: "churn", version: 3, depth: 1, of: "churn@4" },
    { relation: "trained_on", reference: "s3://warehouse/churn/2026-05.parquet", depth: 2, of: "churn@3" },
  ] : model === "flights" ? [{ relation: "trained_on", reference: "flights-2001-q1.parquet", depth: 1, of: "flights@1" }] : [],
  descendants: model === "churn" && version === 3 ? [{ relation: "quantized_from", reference: "churn@3", model: "churn", version: 4, depth: 1, of: "churn@4" }] : [],
});

export const signatures = (model, version) => ({
  model, version, digest: "", media_type: "", index: "", manifests: {}, required: model === "churn",
  signatures: model === "flights" ? [{ bundle: "{}", key: "release-2026" }] : version === 4 ? [{ bundle: "{}", key: "release-2026" }, { bundle: "{}", refused: "the key is not one of this server’s" }] : [],
});

export const card = { name: "README.md", text: "# churn\n\nWho leaves within 30 days, from 14 features of the contract and the last invoices.\n\nTrained on customers of at least 90 days. Not for business contracts: they have other notice periods.\n\n| segment | AUROC |\n|---|---|\n| plan=single | 0.81 |\n| plan=family | 0.79 |\n" };

export const variants = [
  { name: "int8-avx512", file: "model.int8.onnx", digest: "sha256:1f", serves: false, lacking: "needs avx512_vnni, which this host has not", requires: { arch: "amd64", isa: ["avx512_vnni"] } },
  { name: "fp32", file: "model.onnx", digest: "sha256:2e", serves: true, requires: null },
];

const moves = {
  flights: [{ alias: "champion", from: 0, to: 1, at: "2026-01-12T09:31:00Z", by: "ada" }],
  churn: [
    { alias: "champion", from: 0, to: 1, at: "2026-01-02T10:00:00Z", by: "ada" },
    { alias: "challenger", from: 0, to: 4, at: "2026-06-01T08:00:00Z", by: "ada" },
    { alias: "champion", from: 1, to: 2, at: "2026-02-11T16:20:00Z", by: "grace", forced: true },
    { alias: "champion", from: 2, to: 3, at: "2026-04-20T07:05:00Z", by: "ada" },
  ],
};
export const aliases = { flights: { champion: 1 }, churn: { champion: 3, challenger: 4 } };
export const history = (model) => moves[model] ?? [];

/** move is a compare-and-set, as the server does it. */
export function move(model, alias, { version, by, force }, match) {
  const from = aliases[model]?.[alias] ?? 0;
  const to = Number(version);
  if (match !== undefined && Number(match.replaceAll('"', "")) !== from) return { status: 409, body: { error: `${alias} points at version ${from}, not ${match}`, code: "conflict", hint: "somebody was faster: read it again" } };
  if (to === 2 && !force) return { status: 409, body: { error: `${model}@2 does not fit clients of ${model}@${from}: it has no feature "tenure"`, code: "conflict", hint: "force moves it all the same" } };
  const made = { alias, from, to, at: new Date().toISOString(), ...(by ? { by } : {}), ...(force ? { forced: true } : {}) };
  (moves[model] ??= []).push(made);
  (aliases[model] ??= {})[alias] = to;
  return { status: 200, body: made };
}

const step = (name, kind, runs, needs, mean_ms, more = {}) => ({ name, kind, runs, needs, inputs: [], outputs: [], count: 41_204, rows: 52_760, failed: 0, late: 0, fallbacks: 0, mean_ms, ...more });
export const pipelines = [
  {
    name: "reviews", version: 3, digest: "sha256:5be1c1f3aa0921d4", pushed: "2026-06-02T11:45:00Z", state: "ready", task: "binary",
    inputs: [tensor("text", "BYTES", -1, 1)], outputs: [tensor("score", "FP32", -1, 1)],
    steps: [
      step("words", "transform", "hash.wasm", [], 0.214),
      step("short", "model", "reviews-short@2", ["words"], 0.086, { count: 41_900 }),
      step("long", "model", "reviews-long@4", ["words"], 2.61, { within: "50ms", fallback: "short", count: 41_120, late: 63, failed: 2, fallbacks: 65 }),
      step("both", "ensemble", "weighted", ["short", "long"], 0.004, { count: 22_871 }),
      step("choice", "switch", "size(request.text) < 40", ["short", "long", "both"], 0.009),
    ],
    versions: [{ version: 3, digest: "sha256:5be1c1f3aa0921d4", pushed: "2026-06-02T11:45:00Z", size: 412_000 }, { version: 2, digest: "sha256:7a44e0b1c2d3", pushed: "2026-05-20T09:00:00Z", size: 409_500 }],
  },
  {
    name: "reviews-cleaned", version: 1, digest: "sha256:0f3c9d21e8b4", pushed: "2026-06-03T08:10:00Z", state: "failed", reason: "the step clean runs a process: start the server with --processes",
    inputs: [], outputs: [], steps: [],
    versions: [{ version: 1, digest: "sha256:0f3c9d21e8b4", pushed: "2026-06-03T08:10:00Z", size: 2_210 }],
  },
];
