import { describe, expect, it } from "vitest";
import type { DriftColumn } from "../api/types";
import { cell } from "./cell.fixture";
import { latest, mix, parse, read, shade, worst, type Scale } from "./verdict";

const scale: Scale = {
  quiet: [220, 235, 232], near: [250, 231, 182], nearStrong: [234, 169, 37], drifted: [221, 75, 50], driftedStrong: [147, 15, 10], few: [195, 207, 208],
};

describe("read", () => {
  it.each([
    ["nothing", null, "none", 0],
    ["noise", cell(), "quiet", 0],
    ["exactly the floor", cell({ psi: 0.03 }), "quiet", 0],
    ["above noise, half the threshold", cell({ psi: 0.11, psi_debiased: 0.1 }), "near", 0.5],
    ["the server's verdict at the threshold", cell({ psi: 0.21, psi_debiased: 0.2, verdict: "drifted" }), "drifted", 0],
    ["eight times the threshold", cell({ psi: 1.6, psi_debiased: 1.6, verdict: "drifted" }), "drifted", 1],
    ["far beyond", cell({ psi: 9, psi_debiased: 9, verdict: "drifted" }), "drifted", 1],
    ["few rows, however large", cell({ psi: 3, psi_debiased: 2, psi_floor: 4, verdict: "too_few" }), "few", 0],
    ["nothing measured", cell({ psi: null, psi_debiased: null, psi_floor: null }), "few", 0],
    ["a large value that is not drifted", cell({ psi: 3, psi_debiased: 2.9 }), "near", 1],
  ] as const)("%s", (_, c, level, strength) => {
    const got = read(c, 0.2);
    expect(got.level).toBe(level);
    expect(got.strength).toBeCloseTo(strength, 9);
  });
  it("bears a threshold of zero", () => expect(read(cell({ psi: 1, verdict: "drifted" }), 0)).toEqual({ level: "drifted", strength: 0 }));
});

describe("colours", () => {
  it("reads what stylesheets and browsers write", () => {
    expect(parse("#dd4b32")).toEqual([221, 75, 50]);
    expect(parse("rgb(221, 75, 50)")).toEqual([221, 75, 50]);
    expect(parse("")).toEqual([0, 0, 0]);
  });
  it("mixes, and stays inside", () => {
    expect(mix([0, 0, 0], [100, 200, 50], 0.5)).toBe("rgb(50,100,25)");
    expect(mix([0, 0, 0], [100, 200, 50], 7)).toBe("rgb(100,200,50)");
  });
  it("shades no data with nothing, and drift from red to dark red", () => {
    expect(shade({ level: "none", strength: 0 }, scale)).toBeUndefined();
    expect(shade({ level: "drifted", strength: 0 }, scale)).toBe("rgb(221,75,50)");
    expect(shade({ level: "drifted", strength: 1 }, scale)).toBe("rgb(147,15,10)");
  });
  it("keeps quiet, near and drifted apart in lightness", () => {
    const light = (c: readonly [number, number, number]) => 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2];
    expect(light(scale.quiet) - light(scale.nearStrong)).toBeGreaterThan(30);
    expect(light(scale.nearStrong) - light(scale.drifted)).toBeGreaterThan(30);
  });
});

describe("which cell a row stands for", () => {
  const column = (cells: DriftColumn["cells"]): DriftColumn => ({ name: "distance", kind: "numeric", output: false, cells });
  const few = cell({ verdict: "too_few" });
  const red = cell({ verdict: "drifted" });
  it("is the newest one that can be judged", () => {
    expect(latest(column([cell(), red, few, null]))).toBe(1);
    expect(latest(column([few, null]))).toBe(0);
    expect(latest(column([null]))).toBe(-1);
    expect(latest(column(null))).toBe(-1);
  });
  it("and the newest drifted one when opened", () => {
    expect(worst(column([red, red, cell()]))).toBe(1);
    expect(worst(column([cell(), cell()]))).toBe(1);
  });
});
