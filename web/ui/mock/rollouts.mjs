// Invented rollouts of the deployment "churn", one for each thing that can happen. POST /mock/rollout/NAME chooses one;
// commands of the page change it.
const minute = 60_000;
const begun = Date.now() - 67 * minute;
const iso = (t) => new Date(t).toISOString();

const stages = ["shadow", "1%", "5%", "25%", "50%", "100%"];
const policy = (more = {}) => ({
  kind: "rollout", stages: stages.map((traffic) => ({ traffic, requests: 500, max: "24h", undecided: "hold", ...(traffic === "100%" ? {} : { time: "5m" }), ...(traffic === "50%" ? more : {}) })),
  bake: "1h", budget: 0.01, promotion: 0.05, undecided: "hold",
  gates: { errors: { mode: "abort", required: true, relative: 0.25, absolute: 0.002, weight: 3 }, drift: { mode: "abort", required: true, absolute: 0.05, weight: 1 } },
  metrics: [{ name: "accuracy", better: "higher", least: 500, absolute: 0.01, mode: "abort", required: false }],
});

const side = ([n = 0, value = 0, events] = []) => ({ n, value, ...(events ? { events } : {}) });
const gate = (name, finding, unit, live, canary, [difference, lower, upper], margin, tolerance, log_e, threshold, more = {}) => ({
  gate: name, finding, required: true, mode: "abort", unit, live: side(live), canary: side(canary), difference, lower, upper, margin, tolerance, log_e, threshold, alpha: Math.exp(-threshold), ...more,
});
const nothing = (name, unit, more = {}) => gate(name, "no_data", unit, [], [], [0, 0, 0], 0, 0, 0, 8.5, more);

/** calm are the gates of a harmless version of which the errors are not shown yet. */
const calm = (n, errors) => [
  errors ?? gate("errors", "open", "rate", [9.1 * n, 0.01, 0.091 * n], [n, 0.0133, 0.0133 * n], [0.0033, -0.0046, 0.0117], 0.0037, 0.0025, -0.15, 7.03),
  gate("invalid", "non_inferior", "rate", [9.1 * n, 0], [n, 0], [0, -0.000056, 0.0004], 0.003, 0.002, 0, 8.12),
  gate("latency_p50", "non_inferior", "seconds", [9.1 * n, 0.01], [n, 0.01], [0, -0.00085, 0.00085], 0.0038, 0.0026, -10.5, 8.12),
  gate("latency_p95", "non_inferior", "seconds", [9.1 * n, 0.024], [n, 0.0244], [0.0004, -0.0039, 0.0031], 0.0091, 0.0061, -6.3, 8.12),
  gate("latency_p99", "open", "seconds", [9.1 * n, 0.034], [n, 0.0365], [0.0025, -0.0055, 0.0281], 0.026, 0.017, -4.8, 8.12),
  gate("drift", "non_inferior", "distance", [9.1 * n], [n], [0.0051, 0, 0.0176], 0.075, 0.05, -5.4, 8.12),
  gate("segments", "open", "rate", [0.5 * n, 0.011, 0.0055 * n], [0.05 * n, 0.0178, 0.0009 * n], [0.0068, -0.0104, 0.0249], 0.0075, 0.005, 0.67, 11.12, { required: false, segment: "plan=family" }),
  gate("ratio", "open", "rate", [10.1 * n, 0.1, 1.01 * n], [10.1 * n, 0.0997, n], [-0.00032, -0.0037, 0.0032], 0, 0, -1.43, 8.23, { required: false, mode: "hold" }),
];

/** pairs are the gates of the shadow. */
const pairs = (n) => [
  gate("errors", "non_inferior", "rate", [n, 0.0095, 0.0095 * n], [n, 0.0092, 0.0092 * n], [-0.0003, -0.0036, 0.0019], 0.0024, 0.002, -4.92, 7.42),
  gate("invalid", "non_inferior", "rate", [], [n, 0], [0, 0, 0.00015], 0.002, 0.002, -4.11, 8.52),
  gate("latency_p50", "non_inferior", "seconds", [n, 0.01], [n, 0.0101], [0.0001, -0.00085, 0.00095], 0.01, 0.01, -700, 8.52),
  gate("drift", "non_inferior", "distance", [n], [n], [0.008, 0, 0.021], 0.05, 0.05, -5.23, 8.52),
  gate("flips", "open", "rate", [], [n, 0.071, 0.071 * n], [0.071, 0.058, 0.109], 0.1, 0.1, 0, 8.52),
  gate("difference", "non_inferior", "rate", [], [n, 0.12, 0.12 * n], [0.12, 0.1, 0.15], 0.5, 0.5, -700, 8.52, { required: false }),
  gate("mismatch", "non_inferior", "rate", [], [n, 0], [0, 0, 0.00015], 0.001, 0.001, -3.45, 8.52),
  nothing("segments", "rate", { required: false }),
];

const harmful = (x) => gate("errors", x >= 1 ? "harm" : "open", "rate", [16_962, 0.009, 152], [Math.round(868 * Math.min(1, 0.3 + x)), 27 / 868, Math.round(27 * Math.min(1, 0.3 + x))], [0.0221, 0.0221 - 0.0209 / Math.max(0.4, Math.min(1.4, x)), 0.0221 + 0.024 / Math.max(0.4, x)], 0.005, 0.0025, 1.2 + 10.4283 * Math.min(x, 1), Math.log(1125));

/** Story writes decisions down. */
class Story {
  constructor(t) {
    this.t = t;
    this.all = [];
  }
  say(after, action, stage, text, more = {}) {
    this.t += after * minute;
    this.all.push({ sequence: this.all.length + 1, time: iso(this.t), action, reason: more.reason ?? "evidence_complete", stage, text, actor: "fairlead", ...more });
    return this;
  }
  start(by = "ada", why = "retrained on May") {
    return this.say(0, "start", "waiting", "A new rollout: shadow → 1% → 5% → 25% → 50% → 100%, then a bake of 1h; a harmless version is rolled back with a probability of at most 1%.", { actor: by, reason: "started", why })
      .say(0.02, "enter", "waiting", "The new version gets copies of the requests; clients see live answers only.", { next: "shadow" });
  }
  upTo(stage) {
    const shown = "the canary is shown to be no worse in 6 required gates";
    if (stage !== "shadow") this.say(6.2, "enter", "shadow", `After 6m12s and 30,353 compared copies ${shown}. The canary gets 1% of the traffic.`, { next: "1%", evidence: pairs(30_353).map((e) => (e.finding === "open" ? { ...e, finding: "non_inferior", upper: 0.083 } : e)) });
    for (const [i, s] of stages.slice(1, -1).entries()) {
      if (s === stage) return this;
      const next = stages[i + 2];
      this.say(8 + 3 * i, next === "100%" ? "promote" : "enter", s, next === "100%" ? `After 9m and 26,914 requests per version ${shown}. Promoted: the new version gets all traffic, the old one stays warm for a bake of 1h.` : `After ${8 + 3 * i}m and ${(4000 + 5400 * i).toLocaleString("en-US")} requests per version ${shown}. The canary gets ${next} of the traffic.`, { next, evidence: calm(4000 + 5400 * i, gate("errors", "non_inferior", "rate", [48_000, 0.0101, 485], [5_300, 0.0096, 51], [-0.0005, -0.0027, 0.0009], 0.0025, 0.0025, -8.75, 6.62)) });
    }
    return this;
  }
}

const base = (id, more) => ({
  id, deployment: "churn", model: "churn", kind: "rollout", from: 3, to: 4, phase: "running", stage: "shadow", stages, shadow: false, canary: 0, started: iso(begun), started_by: "ada", why: "retrained on May",
  paused: false, requests: { live: 0, canary: 0, pairs: 0 }, policy: policy(), ...more,
});

const ratio = "Held in stage 25%: the canary got 23.7% of 170,420 requests where its weight is 25% (evidence over a billion to 1, 2,490 to 1 are enough): routing or logging is broken, so that no comparison can be trusted.";
const stories = {
  none: () => ({ none: true }),
  shadow: () => ({ ...base("r1", { stage: "shadow", shadow: true, requests: { live: 0, canary: 0, pairs: 2_914 }, waiting: "not_shown_yet", says: "Not shown yet in stage shadow: answers of another class may still be up to 10.9% worse, 10.0% is the margin." }), history: new Story(begun).start().all, now: pairs(2_914) }),
  canary: () => ({ ...base("r2", { stage: "5%", canary: 0.05, requests: { live: 55_380, canary: 2_929, pairs: 0 }, waiting: "not_shown_yet", says: "Not shown yet in stage 5%: failed requests may still be up to 1.17% worse, 0.37% is the margin; the 99th percentile of latency may still be up to 28 ms worse, 26 ms is the margin." }), history: new Story(begun).start().upTo("5%").say(6, "hold", "5%", "Not shown yet in stage 5%: failed requests may still be up to 1.40% worse, 0.37% is the margin.", { reason: "not_shown_yet", evidence: calm(1100) }).all, now: calm(2_929) }),
  ratio: () => ({ ...base("r4", { stage: "25%", canary: 0.25, requests: { live: 130_031, canary: 40_389, pairs: 0 }, waiting: "sample_ratio_mismatch", says: ratio }), history: new Story(begun).start().upTo("25%").say(9, "hold", "25%", ratio, { reason: "sample_ratio_mismatch", evidence: [gate("ratio", "harm", "rate", [170_420, 0.25, 42_605], [170_420, 0.237, 40_389], [-0.0131, -0.0207, -0.0054], 0, 0, 35.73, 7.82, { required: false, mode: "hold" })] }).all, now: [...calm(40_389).slice(0, -1), gate("ratio", "harm", "rate", [170_420, 0.25, 42_605], [170_420, 0.237, 40_389], [-0.0131, -0.0207, -0.0054], 0, 0, 35.73, 7.82, { required: false, mode: "hold" })] }),
  approval: () => ({ ...base("r5", { stage: "25%", canary: 0.25, policy: policy({ approve: true }), requests: { live: 59_302, canary: 19_764, pairs: 0 }, waiting: "approval_needed", says: "After 33m and 19,764 requests per version the canary is shown to be no worse in 6 required gates. Stage 50% waits for a person’s approval." }), history: new Story(begun).start().upTo("25%").say(18, "hold", "25%", "After 18m and 10,108 requests per version the canary is shown to be no worse in 6 required gates. Stage 50% waits for a person’s approval.", { reason: "approval_needed" }).all, now: shown(19_764) }),
  bake: () => ({ ...base("r6", { phase: "baking", stage: "bake", canary: 1, requests: { live: 0, canary: 80_116, pairs: 0 }, waiting: "", says: "After 9m and 26,914 requests per version the canary is shown to be no worse in 6 required gates. Promoted: the new version gets all traffic, the old one stays warm for a bake of 1h." }), history: new Story(begun).start().upTo("bake").all, now: shown(80_116).filter((e) => e.gate !== "ratio") }),
  back: () => {
    const history = new Story(begun).start().upTo("5%").say(4, "rollback", "5%", "Rolled back: failed requests are 3.11% (27 of 868) of the canary’s requests against 0.90% (152 of 16,962) of the live version; the evidence against “not worse” is 112,223 to 1, 1,125 to 1 are enough.", { reason: "harm_errors", evidence: [harmful(1)] }).all;
    return { ...base("r7", { phase: "rolled_back", stage: "rolled_back", ended: history.at(-1).time, says: history.at(-1).text }), history, now: [] };
  },
  completed: () => {
    const history = new Story(begun).start().upTo("bake").say(60, "complete", "bake", "Done: no harm was shown in 1h at 100%; the new version is live and the old one may go.", { reason: "baked", evidence: shown(120_116) }).all;
    return { ...base("r8", { phase: "completed", stage: "completed", canary: 1, ended: history.at(-1).time, says: history.at(-1).text }), history, now: [] };
  },
  experiment: () => ({
    ...base("r9", { kind: "experiment", to: 0, stage: "experiment", stages: null, arms: [{ version: 3, share: 0.5 }, { version: 4, share: 0.5 }], policy: { kind: "experiment", metrics: [{ name: "accuracy", better: "higher" }], duration: "7d" }, says: "The experiment begins: v3 50%, v4 50%." }),
    history: new Story(begun).say(0, "start", "waiting", "A new experiment: v3 50%, v4 50%.", { actor: "ada", reason: "started" }).say(0.02, "weights", "waiting", "The experiment begins: v3 50%, v4 50%.", { reason: "started" }).all, now: [],
  }),
  bandit: () => ({
    ...base("r10", { kind: "bandit", to: 0, stage: "bandit", stages: null, arms: [{ version: 3, share: 0.112 }, { version: 4, share: 0.67 }, { version: 2, share: 0.218 }], policy: { kind: "bandit", bandit: { event: "renewed", better: "higher", floor: "10%", every: "5m" } }, says: "Traffic follows renewed: now v3 11.2%, v4 67%, v2 21.8% (v3 0.0412 on average of 4,120; v4 0.0533 on average of 9,204; v2 0.0481 on average of 3,377)." }),
    history: new Story(begun).say(0, "start", "waiting", "A new bandit: v3 33.3%, v4 33.3%, v2 33.3%.", { actor: "ada", reason: "started" }).say(0.02, "weights", "waiting", "The bandit begins: v3 33.3%, v4 33.3%, v2 33.3%.", { reason: "started" })
      .say(5, "weights", "bandit", "Traffic follows renewed: now v3 24.8%, v4 42.1%, v2 33.1% (v3 0.0409 on average of 1,004; v4 0.0466 on average of 1,051; v2 0.0440 on average of 998).", { reason: "posterior" })
      .say(5, "weights", "bandit", "Traffic follows renewed: now v3 11.2%, v4 67%, v2 21.8% (v3 0.0412 on average of 4,120; v4 0.0533 on average of 9,204; v2 0.0481 on average of 3,377).", { reason: "posterior" }).all, now: [],
  }),
};

/** shown are the gates of a version that was shown to be no worse. */
function shown(n) {
  return calm(n, gate("errors", "non_inferior", "rate", [9 * n, 0.0103, 0.0927 * n], [n, 0.0101, 0.0101 * n], [-0.00013, -0.0032, 0.0024], 0.0038, 0.0025, -4.79, 7.03)).map((e) => (e.gate === "latency_p99" ? { ...e, finding: "non_inferior", upper: 0.0086, difference: 0.0012 } : e));
}

/** building is a canary with harm that builds up over twenty seconds, and then rolls back. */
function building(since) {
  const x = (Date.now() - since) / 20_000;
  if (x >= 1) return { ...stories.back(), id: "r3" };
  return { ...base("r3", { stage: "5%", canary: 0.05, requests: { live: Math.round(16_962 * (0.4 + 0.6 * x)), canary: Math.round(868 * (0.3 + 0.7 * x)), pairs: 0 }, waiting: "too_few_requests", says: `Too little traffic for a verdict: ${Math.round(868 * (0.3 + 0.7 * x))} of the 1,000 requests per version that stage 5% needs have come. Stage 5% goes on.` }), history: new Story(begun).start().upTo("5%").all, now: [harmful(x), ...calm(868).slice(1)] };
}

let current = stories.canary();
let since = 0; // of the harm that builds up; 0: nothing does
const old = () => {
  const history = new Story(begun - 40_000 * minute).start("grace", "first try").upTo("1%").say(3, "rollback", "1%", "Rolled back by hand: the old version gets all traffic.", { actor: "grace", reason: "by_hand", why: "wrong feature order" }).all;
  return { ...base("r0", { from: 2, to: 3, phase: "rolled_back", stage: "rolled_back", started: history[0].time, started_by: "grace", why: "first try", ended: history.at(-1).time, says: history.at(-1).text }), history, now: [] };
};
const all = () => {
  if (since) current = building(since);
  return current.none ? [] : [current, old()];
};
const over = (r) => ["completed", "rolled_back", "ended"].includes(r.phase);
const short = ({ history, now, ...r }) => ({ ...r, decisions: history.length });

export function choose(name) {
  since = name === "harm" ? Date.now() : 0;
  if (!since && !stories[name]) return false;
  current = since ? building(since) : stories[name]();
  return true;
}

/** standing is the part of a deployment. */
export function standing() {
  const [r] = all();
  return r && !over(r) ? { id: r.id, to: r.to, phase: r.phase, stage: r.stage, canary: r.canary } : undefined;
}

const fail = (status, error, code, hint = "") => ({ status, body: { error, code, hint } });
const ok = (body) => ({ status: 200, body });

/** answer is what the server says to GET and POST below /deployments/churn/. */
export function answer(method, parts, query, body) {
  const list = all();
  if (parts[0] === "rollouts") return ok(list.map(short));
  if (method === "GET" && parts[1] === "explain") {
    const r = list.find((x) => !query.get("id") || x.id === query.get("id"));
    return r ? ok({ ...short(r), history: r.history, now: r.now, text: "" }) : fail(404, "churn has no such rollout", "not_found");
  }
  if (method === "GET") return list[0] ? ok(short(list[0])) : fail(404, "churn has had no rollout", "not_found");
  if (parts[1] === "plan") return planned(body);
  if (parts[0] === "rollback") return ok({ deployment: "churn", from: 4, to: 3 });
  if (!parts[1]) {
    if (!/stages|^\{\}|kind/.test(body.policy ?? "{}")) return fail(400, 'rollout policy: the key "nonsense" is not known', "invalid", "`fairlead rollout policy` prints the default");
    current = { ...stories.shadow(), id: `r${Date.now()}`, to: Number(body.version), started_by: body.by ?? "somebody", why: body.why };
    return ok(short(current));
  }
  return command(parts[1], body);
}

function command(verb, { by = "somebody", why }) {
  since = 0;
  if (over(current)) return fail(409, `the rollout is over: ${current.phase}`, "conflict");
  const story = new Story(Date.now());
  story.all = current.history;
  const say = (action, text, more = {}) => story.say(0, action, current.stage, text, { actor: by, reason: "by_hand", ...(why ? { why } : {}), ...more });
  const moved = (stage) => (current = { ...current, phase: stage === "100%" ? "baking" : "running", stage: stage === "100%" ? "bake" : stage, canary: parseFloat(stage) / 100, shadow: false, waiting: "", now: shown(800) });
  const next = stages[stages.indexOf(current.stage) + 1] ?? "100%";
  if (verb === "pause") say("pause", "Paused: nothing is promoted until somebody resumes; harm still rolls back."), (current = { ...current, paused: true });
  if (verb === "resume") say("resume", "Resumed."), (current = { ...current, paused: false });
  if (verb === "approve") {
    if (current.waiting !== "approval_needed") return fail(409, "no stage ahead waits for approval", "conflict", "promote enters the next stage by hand");
    say("approve", `Stage ${next} may be entered when the evidence is there.`), story.say(0.01, "enter", current.stage, `Approved by ${by}. The canary gets ${next} of the traffic.`, { next }), moved(next);
  }
  if (verb === "promote") say("enter", `Promoted by hand. The canary gets ${next} of the traffic.`, { next }), moved(next);
  if (verb === "abort") say("rollback", "Rolled back by hand: the old version gets all traffic."), (current = { ...current, phase: "rolled_back", stage: "rolled_back", canary: 0, now: [], ended: iso(Date.now()) });
  current.says = story.all.at(-1).text;
  return ok(short(current));
}

function planned(body) {
  if (/nonsense/.test(body.policy ?? "")) return fail(400, 'rollout policy: the key "nonsense" is not known', "invalid", "`fairlead rollout policy` prints the default");
  const row = (stage, minutes, late, waits, detect, affected, undecided = 0) => ({ stage, false_abort: 0.0017, minutes, late, undecided, waits, detect, detect_late: 1.6 * detect, missed: 0, affected });
  const rate = body.traffic?.requests_per_second ?? 24;
  return ok({
    deployment: "churn", traffic: { requests_per_second: rate, error_rate: 0.0102 },
    plan: { runs: 200, false_abort: 0.01, aborted: 0, promoted: 196, minutes: 176, late: 231, stages: [row("shadow", 5, 7.4, "time", 3.2, 4_600), row("1%", 38, 61, "requests", 44, 630), row("5%", 17, 28, "errors", 12, 860), row("25%", 14, 22, "errors", 5.1, 1_836), row("50%", 19, 31, "errors", 4.4, 3_168), row("bake", 60, 60, "time", 3.9, 5_616)] },
    text: "A harmless version is rolled back with a probability of at most 1%; in 200 simulated rollouts it was 0 times.\nA harmless version is live, its bake over, after 2h56m; one in ten takes more than 3h51m.\n",
  });
}
