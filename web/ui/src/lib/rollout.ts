// Where a rollout stands and what its gates find, in words.
import type { Command, Decision, Evidence, Finding, Phase, Policy, Rollout } from "../api/rollout";
import { count, none, percent } from "./format";
import { at } from "./time";

const thin = "\u202f";

export const isOver = (phase: Phase): boolean => phase === "completed" || phase === "rolled_back" || phase === "ended";

/** phaseWords are for the state beside the title; the state's class follows the phase. */
export function phaseWords(r: Rollout): string {
  const plain: Record<Phase, string> = {
    waiting: "waiting to begin", running: r.kind === "rollout" ? `at ${r.stage}` : "running", baking: "baking", completed: "completed", rolled_back: "rolled back", ended: "ended",
  };
  return r.paused ? `${plain[r.phase]}, paused` : plain[r.phase];
}

/** phaseClass is one of the classes that states have. */
export function phaseClass(r: Pick<Rollout, "phase" | "paused" | "waiting">): string {
  if (r.phase === "rolled_back") return "failed";
  if (r.phase === "completed") return "ready";
  if (r.phase === "ended") return "";
  return r.paused || needsPerson(r.waiting) ? "pending" : "going";
}

/** needsPerson says that a rollout goes no further until somebody does something. */
export const needsPerson = (waiting: string | undefined): boolean =>
  waiting === "approval_needed" || waiting === "undecided" || waiting === "sample_ratio_mismatch" || (waiting ?? "").startsWith("harm_");

export const titleOf = (r: Rollout): string =>
  r.kind === "rollout" ? `Rollout v${r.from} → v${r.to}` : `${r.kind === "bandit" ? "Bandit" : "Experiment"}: ${(r.arms ?? []).map((a) => `v${a.version}`).join(", ")}`;

/** kindOf reads the kind out of a policy's text, YAML or JSON. */
export const kindOf = (policy: string): Rollout["kind"] => (/^\s*"?kind"?\s*:\s*"?(experiment|bandit)\b/m.exec(policy)?.[1] ?? "rollout") as Rollout["kind"];

export type StageState = "done" | "current" | "stopped" | "todo";

export interface TrackStage {
  name: string;
  /** What the reader is told below the name. */
  note: string;
  state: StageState;
  /** How long it took or has taken so far, in seconds. */
  seconds: number | undefined;
  approve: boolean;
}

/** track lays out the stages. The stage 100% is the bake: nothing is left to compare with, and the old version stays warm. */
export function track(r: Rollout, history: Decision[], now: number | undefined): TrackStage[] {
  const stages = r.stages ?? [];
  const standing = standsAt(r, history);
  const times = enteredAt(history);
  const ended = at(r.ended) ?? at(history.at(-1)?.time);
  return stages.map((name, i) => {
    const last = i === stages.length - 1;
    const state: StageState = r.phase === "completed" || i < standing ? "done" : i > standing ? "todo" : r.phase === "rolled_back" ? "stopped" : "current";
    const from = times.get(name);
    const next = stages.slice(i + 1).map((s) => times.get(s)).find((t) => t !== undefined);
    const until = next ?? (isOver(r.phase) ? ended : now);
    const policy = r.policy?.stages?.[i];
    return {
      name: last ? "bake" : spaced(name),
      note: last ? `100${thin}%${r.policy?.bake ? ` for ${r.policy.bake}` : ""}` : name === "shadow" ? "copies only" : "",
      state,
      seconds: from === undefined || until === undefined || state === "todo" ? undefined : Math.max(0, (until - from) / 1000),
      approve: policy?.approve ?? false,
    };
  });
}

/** standsAt is the index of the stage that the rollout is in, or was in when it ended; −1 before the first. */
export function standsAt(r: Rollout, history: Decision[]): number {
  const stages = r.stages ?? [];
  if (r.phase === "completed") return stages.length;
  const stage = r.phase === "rolled_back" ? (history.findLast((d) => d.action === "rollback")?.stage ?? "") : r.stage;
  return stage === "bake" ? stages.length - 1 : stages.indexOf(stage);
}

/** enteredAt is when each stage was last entered. */
function enteredAt(history: Decision[]): Map<string, number> {
  const out = new Map<string, number>();
  for (const d of history) {
    const t = at(d.time);
    if (d.next && t !== undefined) out.set(d.next, t);
  }
  return out;
}

/** spaced writes 25% as the rest of the page does. */
export const spaced = (stage: string): string => stage.replace("%", `${thin}%`);

export interface Action {
  do: Command;
  label: string;
  /** What happens, for the person who is asked to confirm. */
  says: string;
  kind: "quiet" | "primary" | "danger";
}

/** actionsOf are the commands that make sense now. */
export function actionsOf(r: Rollout, history: Decision[]): Action[] {
  if (isOver(r.phase)) return [];
  const out: Action[] = [];
  const rollout = r.kind === "rollout";
  const standing = standsAt(r, history);
  const approval = (r.policy?.stages ?? []).some((s, i) => i > standing && s.approve);
  if (r.waiting === "approval_needed") out.push({ do: "approve", label: "Approve", says: "The next stage begins at the next look, if the evidence is still there.", kind: "primary" });
  else if (approval) out.push({ do: "approve", label: "Approve ahead", says: "The next stage that waits for a person is entered without asking again, once the evidence is there.", kind: "quiet" });
  if (r.paused) out.push({ do: "resume", label: "Resume", says: "It goes on where it stands.", kind: "primary" });
  else out.push({ do: "pause", label: "Pause", says: "Nothing is promoted until somebody resumes. Harm that is shown still rolls back.", kind: "quiet" });
  if (rollout) {
    const next = (r.stages ?? [])[standing + 1];
    const label = r.phase === "baking" ? "End the bake" : `Promote${next ? ` to ${spaced(next)}` : ""}`;
    const says = r.phase === "baking" ? "The new version counts as live for good; the old one may be unloaded." : "The next stage is entered now, whatever the evidence says. Its gates go on watching.";
    out.push({ do: "promote", label, says, kind: "quiet" });
  }
  if (rollout) out.push({ do: "abort", label: `Roll back to v${r.from}`, says: `Version ${r.from} answers everything, at once. The rollout is over.`, kind: "danger" });
  else out.push({ do: "abort", label: "End it", says: `Version ${r.from} answers everything again, and the report is written down.`, kind: "danger" });
  return out;
}

export const findingWords: Record<Finding, string> = { harm: "harm", non_inferior: "not worse", open: "not shown yet", no_data: "no data" };

/** between says that a row compares two arms of an experiment or bandit, of which neither is to go live. */
export const between = (e: Pick<Evidence, "segment">): boolean => /^v\d+ against v\d+$/.test(e.segment ?? "");

export type Look = Finding | "watching" | "different";

/** findingOf is the word and the look of what a gate found: one that only watches for harm has nothing else to show. */
export function findingOf(e: Pick<Evidence, "gate" | "finding" | "required" | "segment" | "lower" | "upper">): { word: string; look: Look } {
  if (between(e) && e.finding !== "no_data") return e.lower > 0 || e.upper < 0 ? { word: "different", look: "different" } : { word: "no difference shown", look: "watching" };
  if (e.gate === "ratio" && e.finding === "harm") return { word: "mismatch", look: "harm" };
  if (e.finding === "open" && !e.required) return { word: "no harm shown", look: "watching" };
  return { word: findingWords[e.finding], look: e.finding };
}

const gates: Record<string, string> = {
  errors: "Failed requests", invalid: "NaN or infinity", latency_p50: "Median latency", latency_p95: "Latency p95", latency_p99: "Latency p99",
  drift: "Score distribution", segments: "Worst segment", flips: "Other class", difference: "Score moved", mismatch: "Other shape or type", ratio: "Share of requests",
};

/** gateName is what a gate compares; a metric or business event keeps its own name. */
export const gateName = (gate: string): string => gates[gate] ?? gate;

/** worseSign is the direction of the difference that is bad: 1 up, −1 down, as for an accuracy. */
export function worseSign(gate: string, policy: Policy | null | undefined): 1 | -1 {
  const better = policy?.metrics?.find((m) => m.name === gate)?.better ?? (policy?.bandit?.event === gate ? (policy.bandit.better ?? "higher") : "lower");
  return better === "higher" ? -1 : 1;
}

const huge = 1e300;

/** amount writes a number in a gate's unit; a difference has its sign. */
export function amount(unit: string, x: number, signed = false): string {
  if (!Number.isFinite(x) || Math.abs(x) > huge) return x < 0 ? "−∞" : "∞";
  const size = Math.abs(x);
  const sign = x < 0 ? "−" : signed && x > 0 ? "+" : "";
  if (size === 0) return unit === "rate" ? `0${thin}%` : "0";
  if (unit === "rate") {
    const p = size * 100;
    return `${sign}${p >= 10 ? p.toFixed(1) : p >= 0.1 ? p.toFixed(2) : String(Number(p.toPrecision(2)))}${thin}%`;
  }
  if (unit === "seconds") {
    if (size < 1e-3) return `${sign}${Math.round(size * 1e6)}${thin}µs`;
    if (size < 1) return `${sign}${String(Number((size * 1e3).toPrecision(size < 1e-2 ? 2 : 3)))}${thin}ms`;
    return `${sign}${String(Number(size.toPrecision(3)))}${thin}s`;
  }
  return `${sign}${String(Number(size.toPrecision(3)))}`;
}

/** sideText is one version's part: the value, and of how many. A distance has no value of its own. */
export function sideText(e: Evidence, side: "live" | "canary"): string {
  const s = e[side];
  if (s.n === 0) return none;
  return e.unit === "distance" ? `${count(s.n)} scores` : `${amount(e.unit, s.value)} of ${count(s.n)}`;
}

/** evidenceShare is how far the evidence of harm has come, 0 to 1: harm is shown at 1. */
export const evidenceShare = (e: Evidence): number => (e.threshold > 0 ? Math.min(1, Math.max(0, e.log_e / e.threshold)) : 0);

/** odds writes evidence of harm beside what would be enough, as people bet: 12 of 1,125 to 1. */
export function odds(e: Pick<Evidence, "log_e" | "threshold">): string {
  const one = (log: number) => {
    if (log > Math.log(1e9)) return "over a billion";
    if (log < 0) return "<1";
    const x = Math.exp(log);
    return x < 10 ? x.toFixed(1).replace(".0", "") : count(x);
  };
  return `${one(e.log_e)} of ${one(e.threshold)} to 1`;
}

/** sayEvidence is a gate's row in a sentence, for those who do not see the picture. */
export function sayEvidence(e: Evidence): string {
  if (e.finding === "no_data") return `${gateName(e.gate)}: no data`;
  const margin = e.margin > 0 ? `, margin ${amount(e.unit, e.margin)}` : "";
  return `${gateName(e.gate)}: ${findingOf(e).word}, difference ${amount(e.unit, e.difference, true)}, at most ${amount(e.unit, e.upper, true)}, at least ${amount(e.unit, e.lower, true)}${margin}`;
}

/** shareWords writes a share of the traffic. */
export const shareWords = (share: number): string => (share === 1 ? `100${thin}%` : percent(share));

const order: Record<Finding, number> = { harm: 0, open: 1, non_inferior: 2, no_data: 3 };

/** sortEvidence puts harm first; otherwise the gates' own order stays. */
export const sortEvidence = (all: Evidence[]): Evidence[] => all.map((e, i) => ({ e, i })).sort((a, b) => (a.e.finding === "harm" || b.e.finding === "harm" ? order[a.e.finding] - order[b.e.finding] : 0) || (a.e.finding === "no_data" ? 1 : 0) - (b.e.finding === "no_data" ? 1 : 0) || a.i - b.i).map((x) => x.e);

/** summary counts the findings: 3 not worse, 2 not shown yet. */
export function summary(all: Evidence[]): string {
  const counts = new Map<string, number>();
  for (const f of ["harm", "non_inferior", "open", "no_data"])
    for (const e of all) if (e.finding === f) counts.set(findingOf(e).word, (counts.get(findingOf(e).word) ?? 0) + 1);
  return [...counts].map(([word, n]) => `${n} ${word}`).join(", ");
}

/** minutesText writes the planner's minutes. */
export function minutesText(m: number): string {
  if (m < 0) return none;
  if (m < 1) return `${Math.max(1, Math.round(m * 60))}${thin}s`;
  if (m < 90) return `${Math.round(m)}${thin}min`;
  if (m < 48 * 60) return `${(m / 60).toFixed(1).replace(/\.0$/, "")}${thin}h`;
  return `${(m / 1440).toFixed(1).replace(/\.0$/, "")}${thin}d`;
}
