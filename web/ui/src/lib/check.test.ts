import { describe, expect, it } from "vitest";
import type { TestReport, Verification } from "../api/check";
import { closeness, tally } from "./check";

const plain = (s: string) => s.replaceAll("\u202f", " ");
const report = (more: Partial<TestReport>): TestReport => ({ subject: "m@1", host: "linux/amd64", rows: 100, began: "2026-03-02T10:00:00Z", seconds: 1, ok: true, passed: 0, failed: 0, too_few: 0, skipped: 0, results: [], ...more });
const output = (more: Partial<NonNullable<Verification["outputs"]>[number]>) => ({ case: 0, output: "p", ok: true, elements: 4, beyond: 0, ...more });
const verification = (...outputs: ReturnType<typeof output>[]): Verification => ({ subject: "m@1", host: "linux/amd64", absolute: 1e-5, relative: 1e-5, ok: outputs.every((o) => o.ok), cases: 2, outputs });

describe("tests in words", () => {
  it("counts what there is", () => {
    expect(tally(report({ passed: 11, failed: 1, skipped: 2 }))).toBe("11 passed, 1 failed, 2 skipped");
    expect(tally(report({ too_few: 1 }))).toBe("1 with too few rows");
    expect(tally(report({}))).toBe("no tests");
  });
});

describe("golden vectors in words", () => {
  it("says how close the worst one is", () => {
    expect(plain(closeness(verification(output({ share_of_tolerance: 0.031 }), output({ share_of_tolerance: 0.002 }))))).toBe("2 golden vectors: the worst takes 3.1 % of the tolerance");
    expect(closeness(verification(output({ share_of_tolerance: 0 })))).toBe("2 golden vectors: the same to the last bit");
    expect(closeness(verification(output({})))).toBe("2 golden vectors: as they should be");
  });
  it("says how many are beyond", () => {
    expect(closeness(verification(output({ ok: false, beyond: 2 }), output({ share_of_tolerance: 0.2 })))).toBe("2 golden vectors: 1 of 2 outputs beyond the tolerance");
    expect(closeness({ ...verification(), outputs: null })).toBe("2 golden vectors: as they should be");
  });
});
