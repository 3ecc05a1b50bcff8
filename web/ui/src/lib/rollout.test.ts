import { describe, expect, it } from "vitest";
import type { Decision, Evidence, Rollout } from "../api/rollout";
import type { PipelineStep } from "../api/pipeline";
import { layout } from "./dag";
import { domainOf, plot, unitOf } from "./interval";
import { actionsOf, amount, evidenceShare, findingOf, minutesText, needsPerson, odds, phaseClass, phaseWords, sayEvidence, sortEvidence, standsAt, summary, titleOf, track, worseSign } from "./rollout";

const plain = (s: string) => s.replaceAll("\u202f", " ");
const evidence = (more: Partial<Evidence> = {}): Evidence => ({
  gate: "errors", finding: "open", required: true, mode: "abort", unit: "rate", live: { n: 1000, value: 0.01 }, canary: { n: 100, value: 0.013 },
  difference: 0.003, lower: -0.005, upper: 0.012, margin: 0.004, tolerance: 0.002, log_e: 1, threshold: 7, alpha: 0.001, ...more,
});
const rollout = (more: Partial<Rollout> = {}): Rollout => ({
  id: "r", deployment: "d", model: "d", kind: "rollout", from: 3, to: 4, phase: "running", stage: "5%", stages: ["shadow", "5%", "50%", "100%"], shadow: false, canary: 0.05,
  started: "2026-03-02T10:00:00Z", paused: false, says: "", decisions: 0, requests: { live: 0, canary: 0, pairs: 0 }, ...more,
});
const decision = (action: Decision["action"], time: string, stage: string, next?: string): Decision => ({ sequence: 1, time: `2026-03-02T${time}:00Z`, action, reason: "", stage, text: "", actor: "fairlead", ...(next ? { next } : {}) });
const history = [decision("start", "10:00", "waiting"), decision("enter", "10:01", "waiting", "shadow"), decision("enter", "10:06", "shadow", "5%")];

describe("the scale of an interval", () => {
  const domain = { from: -1, to: 3 };
  it("is in margins, so that rows share two lines", () => {
    const p = plot(evidence({ lower: -0.002, difference: 0.002, upper: 0.004 }), domain);
    expect(p).toMatchObject({ zero: 0.25, margin: 0.5, lower: 0.125, point: 0.375, upper: 0.5, openLeft: false, openRight: false, off: false, tolerance: 0.375 });
    const seconds = plot(evidence({ unit: "seconds", lower: -0.01, difference: 0.01, upper: 0.02, margin: 0.02, tolerance: 0.01 }), domain);
    expect([seconds.zero, seconds.margin, seconds.point]).toEqual([p.zero, p.margin, p.point]);
  });
  it("cuts whiskers at the edge and says so", () => {
    const p = plot(evidence({ lower: -1.7976931348623157e308, difference: 0.02, upper: 1.7976931348623157e308 }), domain);
    expect(p).toMatchObject({ lower: 0, upper: 1, openLeft: true, openRight: true, off: true, point: 1 });
  });
  it("turns a metric whose higher values are good, so that right is worse", () => {
    const e = evidence({ gate: "accuracy", unit: "mean", difference: -0.008, lower: -0.02, upper: 0.004, margin: 0.01 });
    const p = plot(e, domain, -1);
    expect(p.point).toBeCloseTo((0.8 + 1) / 4);
    expect(p.lower).toBeCloseTo((-0.4 + 1) / 4);
    expect(p.upper).toBeCloseTo((2 + 1) / 4);
  });
  it("has a unit where there is no margin", () => {
    expect(unitOf(evidence({ margin: 0 }))).toBe(0.002);
    expect(unitOf(evidence({ margin: 0, tolerance: 0, lower: -0.02, upper: 0.01 }))).toBe(0.02);
    expect(unitOf(evidence({ margin: 0, tolerance: 0, lower: 0, upper: 0, difference: 0 }))).toBe(1);
    expect(plot(evidence({ margin: 0, tolerance: 0 }), domain).margin).toBeUndefined();
  });
  it("makes room for the worst point, within reason", () => {
    expect(domainOf([evidence()])).toEqual({ from: -1.25, to: 1.75 });
    expect(domainOf([evidence({ difference: 0.01 })]).to).toBeCloseTo(2.8);
    expect(domainOf([evidence({ difference: 1 })]).to).toBe(4);
    expect(domainOf([evidence({ difference: 1, finding: "no_data" })]).to).toBe(1.75);
  });
});

describe("a gate in words", () => {
  it("writes amounts in its unit", () => {
    expect([amount("rate", 0.0311), amount("rate", 0.00035, true), amount("rate", 0), amount("rate", 0.321)].map(plain)).toEqual(["3.11 %", "+0.035 %", "0 %", "32.1 %"]);
    expect([amount("seconds", 0.00085), amount("seconds", -0.0039, true), amount("seconds", 0.034), amount("seconds", 2.5)].map(plain)).toEqual(["850 µs", "−3.9 ms", "34 ms", "2.5 s"]);
    expect([amount("distance", 0.0051), amount("mean", -1.7976931348623157e308), amount("mean", Infinity)]).toEqual(["0.0051", "−∞", "∞"]);
  });
  it("says what a gate that only watches can say", () => {
    expect(findingOf(evidence()).word).toBe("not shown yet");
    expect(findingOf(evidence({ gate: "segments", required: false })).word).toBe("no harm shown");
    expect(findingOf(evidence({ gate: "ratio", required: false, finding: "harm" })).word).toBe("mismatch");
    expect(summary([evidence(), evidence({ finding: "harm" }), evidence({ finding: "non_inferior" }), evidence({ required: false })])).toBe("1 harm, 1 not worse, 1 not shown yet, 1 no harm shown");
    expect(plain(sayEvidence(evidence()))).toBe("Failed requests: not shown yet, difference +0.30 %, at most +1.20 %, at least −0.50 %, margin 0.40 %");
    expect(sayEvidence(evidence({ finding: "no_data" }))).toBe("Failed requests: no data");
  });
  it("counts evidence as people bet", () => {
    expect(odds(evidence({ log_e: Math.log(112_223), threshold: Math.log(1125) }))).toBe("112,223 of 1,125 to 1");
    expect(odds(evidence({ log_e: -700, threshold: 7 }))).toBe("<1 of 1,097 to 1");
    expect(odds(evidence({ log_e: 35, threshold: 7 }))).toBe("over a billion of 1,097 to 1");
    expect([evidenceShare(evidence({ log_e: -3 })), evidenceShare(evidence({ log_e: 3.5 })), evidenceShare(evidence({ log_e: 70 })), evidenceShare(evidence({ threshold: 0 }))]).toEqual([0, 0.5, 1, 0]);
  });
  it("puts harm first and leaves the rest in order", () => {
    const names = sortEvidence([evidence({ gate: "a" }), evidence({ gate: "b", finding: "no_data" }), evidence({ gate: "c", finding: "non_inferior" }), evidence({ gate: "d", finding: "harm" })]).map((e) => e.gate);
    expect(names).toEqual(["d", "a", "c", "b"]);
  });
  it("knows from the policy which direction is bad", () => {
    const policy = { metrics: [{ name: "accuracy", better: "higher" as const }], bandit: { event: "sale" } };
    expect([worseSign("errors", policy), worseSign("accuracy", policy), worseSign("sale", policy), worseSign("accuracy", null)]).toEqual([1, -1, -1, 1]);
  });
});

describe("where a rollout stands", () => {
  const now = Date.parse("2026-03-02T10:20:00Z");
  const states = (r: Rollout, h = history) => track(r, h, now).map((s) => s.state);
  it("lays out the stages with their times", () => {
    const stages = track(rollout({ policy: { bake: "1h", stages: [{ traffic: "shadow" }, { traffic: "5%" }, { traffic: "50%", approve: true }, { traffic: "100%" }] } }), history, now);
    expect(stages.map((s) => [plain(s.name), s.state, s.seconds])).toEqual([["shadow", "done", 300], ["5 %", "current", 840], ["50 %", "todo", undefined], ["bake", "todo", undefined]]);
    expect(stages[2]?.approve).toBe(true);
    expect(plain(stages[3]?.note ?? "")).toBe("100 % for 1h");
  });
  it("shows where it stopped, and that all is done", () => {
    const back = [...history, decision("rollback", "10:09", "5%")];
    expect(states(rollout({ phase: "rolled_back", stage: "rolled_back", ended: "2026-03-02T10:09:00Z" }), back)).toEqual(["done", "stopped", "todo", "todo"]);
    expect(track(rollout({ phase: "rolled_back", stage: "rolled_back", ended: "2026-03-02T10:09:00Z" }), back, now)[1]?.seconds).toBe(180);
    expect(states(rollout({ phase: "completed", stage: "completed" }))).toEqual(["done", "done", "done", "done"]);
    expect(states(rollout({ phase: "baking", stage: "bake" }))).toEqual(["done", "done", "done", "current"]);
    expect(states(rollout({ phase: "waiting", stage: "waiting" }), [])).toEqual(["todo", "todo", "todo", "todo"]);
    expect(standsAt(rollout({ phase: "rolled_back", stage: "rolled_back" }), [decision("rollback", "10:00", "waiting")])).toBe(-1);
  });
  it("names itself", () => {
    expect(titleOf(rollout())).toBe("Rollout v3 → v4");
    expect(titleOf(rollout({ kind: "bandit", arms: [{ version: 3, share: 0.5 }, { version: 5, share: 0.5 }] }))).toBe("Bandit: v3, v5");
    expect([phaseWords(rollout({ paused: true })), phaseClass(rollout({ paused: true }))]).toEqual(["at 5%, paused", "pending"]);
    expect([phaseClass(rollout()), phaseClass(rollout({ phase: "rolled_back" })), phaseClass(rollout({ waiting: "approval_needed" }))]).toEqual(["going", "failed", "pending"]);
    expect([needsPerson("not_shown_yet"), needsPerson("harm_drift"), needsPerson(undefined)]).toEqual([false, true, false]);
  });
  it("offers the commands that make sense", () => {
    const labels = (r: Rollout, h = history) => actionsOf(r, h).map((a) => plain(a.label));
    expect(labels(rollout())).toEqual(["Pause", "Promote to 50 %", "Roll back to v3"]);
    expect(labels(rollout({ paused: true }))[0]).toBe("Resume");
    expect(labels(rollout({ waiting: "approval_needed" }))[0]).toBe("Approve");
    expect(labels(rollout({ policy: { stages: [{ traffic: "shadow" }, { traffic: "5%", approve: true }, { traffic: "50%" }, { traffic: "100%" }] } }))).not.toContain("Approve ahead");
    expect(labels(rollout({ policy: { stages: [{ traffic: "shadow" }, { traffic: "5%" }, { traffic: "50%", approve: true }, { traffic: "100%" }] } }))[0]).toBe("Approve ahead");
    expect(labels(rollout({ phase: "baking", stage: "bake" }))).toEqual(["Pause", "End the bake", "Roll back to v3"]);
    expect(labels(rollout({ kind: "experiment" }))).toEqual(["Pause", "End it"]);
    expect(labels(rollout({ phase: "completed" }))).toEqual([]);
  });
  it("writes the planner's minutes", () => expect([-1, 0.2, 12, 176, 4000].map(minutesText).map(plain)).toEqual(["–", "12 s", "12 min", "2.9 h", "2.8 d"]));
});

describe("the picture of a pipeline", () => {
  const step = (name: string, needs: string[], more: Partial<PipelineStep> = {}): PipelineStep => ({ name, kind: "model", runs: name, needs, inputs: [], outputs: [], count: 0, rows: 0, failed: 0, late: 0, fallbacks: 0, mean_ms: 0, ...more });
  it("puts each step to the right of what it needs", () => {
    const d = layout([step("words", []), step("short", ["words"]), step("long", ["words"], { fallback: "short" }), step("both", ["short", "long"]), step("choice", ["short", "both"])]);
    expect(d.boxes.map((b) => [b.step.name, b.column, b.row])).toEqual([["words", 0, 0], ["short", 1, 0], ["long", 1, 1], ["both", 2, 0], ["choice", 3, 0]]);
    expect([d.columns, d.rows]).toEqual([4, 2]);
    expect(d.edges).toContainEqual({ from: "long", to: "short", kind: "fallback" });
    expect(d.edges.filter((e) => e.from === undefined)).toEqual([{ from: undefined, to: "words", kind: "data" }]);
  });
  it("has no arrow from a step that is not there", () => {
    const d = layout([step("a", ["gone"], { fallback: "gone" })]);
    expect(d.edges).toEqual([{ from: undefined, to: "a", kind: "data" }]);
    expect(layout([])).toEqual({ boxes: [], edges: [], columns: 0, rows: 0 });
  });
});
