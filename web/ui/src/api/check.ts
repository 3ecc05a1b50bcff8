// Tests and golden vectors of a version, as in api/check.go.
import type { List, Time } from "./types";

export type Verdict = "passed" | "failed" | "too_few" | "skipped";

export interface TestReport {
  subject: string;
  variant?: string;
  host: string;
  engine?: string;
  builtin?: boolean;
  rows: number;
  began: Time;
  seconds: number;
  ok: boolean;
  passed: number;
  failed: number;
  too_few: number;
  skipped: number;
  warnings?: List<string>;
  results: List<TestResult>;
}

export interface TestResult {
  name: string;
  kind: string;
  why?: string;
  verdict: Verdict;
  fails: boolean;
  text: string;
  n: number;
  groups?: List<TestGroup>;
  worst?: List<{ row: number; group?: string; text: string }>;
}

export interface TestGroup {
  name: string;
  verdict: Verdict;
  value?: number;
  low?: number;
  high?: number;
  n: number;
}

export interface Verification {
  subject: string;
  variant?: string;
  host: string;
  engine?: string;
  absolute: number;
  relative: number;
  ok: boolean;
  cases: number;
  outputs: List<{
    case: number;
    output: string;
    ok: boolean;
    elements: number;
    beyond: number;
    share_of_tolerance?: number;
    expected?: string;
    got?: string;
    problem?: string;
  }>;
}
