import { describe, expect, it } from "vitest";
import type { Bin, Distribution } from "../api/types";
import { labelCommand, predictCommand } from "./commands";
import { parseRoute } from "./route";
import { cellText, csv, numeric } from "./table";
import { cell } from "./cell.fixture";
import { binName, explain, headline, shownBins } from "./words";

const bin = (kind: Bin["kind"], label: string, reference: number, current: number): Bin => ({ label, kind, low: null, high: null, reference, current, rows: Math.round(1000 * current) });
const distribution = (more: Partial<Distribution>): Distribution => ({
  column: "distance", kind: "numeric", grain: "hour", start: "2001-04-09T06:00:00Z", end: "2001-04-09T07:00:00Z", cell: cell(), bins: [], mean: null, reference_mean: null, ...more,
});
const plain = (s: string) => s.replaceAll("\u202f", " ");

describe("a distribution in words", () => {
  it("tells a change of unit", () => {
    const d = distribution({
      cell: cell({ verdict: "drifted", psi: 2.8, psi_debiased: 2.799 }), mean: 1179.4, reference_mean: 733,
      bins: [bin("range", "31 … 192", 0.1, 0), bin("range", "192 … 281", 0.1, 0.09), bin("over", "over 2,475", 0, 0.34)],
    });
    expect(headline(d)).toContain("distance has drifted: PSI 2.799");
    expect(explain(d).map(plain)).toEqual(["Mean 733 → 1,179 (×1.61).", "34 % of rows lie beyond the reference’s maximum.", "31 … 192 has gone (reference: 10 %)."]);
  });
  it("tells what a category lost, and new values", () => {
    const d = distribution({ column: "origin", kind: "categorical", bins: [bin("category", "ORD", 0.056, 0), bin("other", "other", 0.4, 0.45), bin("unseen", "unseen", 0, 0.012)] });
    expect(explain(d).map(plain)).toEqual(["1.2 % of rows have a value the reference has never seen.", "ORD has gone (reference: 5.6 %).", "All other known values: 40 % → 45 % of rows."]);
  });
  it("does not make a fuss", () => {
    const d = distribution({ mean: 733.2, reference_mean: 733, bins: [bin("range", "31 … 192", 0.1, 0.11)] });
    expect(headline(d)).toBe("distance looks like its reference.");
    expect(explain(d)).toEqual(["Mean 733 → 733.2."]);
    expect(headline(distribution({ cell: cell({ verdict: "too_few", n: 12 }) }))).toBe("12 rows: too few to tell drift from chance.");
    expect(headline(distribution({ cell: cell({ psi: 0.1, psi_debiased: 0.09 }) }))).toContain("less than the threshold");
  });
  it("divides by no mean of zero", () => expect(explain(distribution({ mean: 5, reference_mean: 0 }))).toEqual(["Mean 0 → 5."]));
});

describe("bins", () => {
  it("are named with readable bounds", () => {
    expect(binName({ ...bin("range", "1069 … 1589", 0, 0), low: 1069, high: 1589 })).toBe("1,069 … 1,589");
    expect(binName({ ...bin("over", "> 4962", 0, 0), low: 4962 })).toBe("over 4,962");
    expect(binName({ ...bin("under", "< 0.5", 0, 0), high: 0.5 })).toBe("under 0.5");
    expect(binName(bin("category", "ORD", 0, 0))).toBe("ORD");
  });
  it("that are special and empty are left out, and under comes first", () => {
    const bins = [bin("range", "a", 0.5, 0), bin("range", "b", 0, 0), bin("under", "u", 0, 0.1), bin("over", "o", 0, 0.1), bin("null", "null", 0, 0), bin("nan", "NaN", 0.1, 0)];
    expect(shownBins(bins).map((b) => b.label)).toEqual(["u", "a", "b", "o", "NaN"]);
  });
});

describe("routes", () => {
  it.each([
    ["/", { page: "overview" }],
    ["/d/flights", { page: "deployment", name: "flights" }],
    ["/d/a%2Fb", { page: "deployment", name: "a/b" }],
    ["/d/%E0%A4%A", { page: "unknown" }],
    ["/models", { page: "models" }],
    ["/pipelines", { page: "pipelines" }],
    ["/sql/", { page: "sql" }],
    ["/nowhere", { page: "unknown" }],
  ])("%s", (path, want) => expect(parseRoute(path)).toEqual(want));
});

describe("commands", () => {
  const version = {
    model: "flights", version: 1, digest: "", created: "", size_bytes: 0, task: "binary",
    inputs: [{ name: "numbers", datatype: "FP32", shape: [-1, 2], features: ["hour", "distance"] }, { name: "origin", datatype: "BYTES", shape: [-1] }],
    outputs: [{ name: "p", datatype: "FP32", shape: [-1, 2], classes: ["on_time", "late"] }],
  };
  it("name the model's own features and classes", () => {
    expect(predictCommand("http://h", "flights", version)).toContain(`{"instances":[{"hour":0,"distance":0,"origin":"text"}]}`);
    expect(labelCommand("http://h", "flights", version)).toContain(`"value":"late"`);
  });
});

describe("tables of answers", () => {
  it("write cells as people read them", () => {
    expect(cellText(null)).toBe("null");
    expect(cellText(1234567, "BIGINT")).toBe("1,234,567");
    expect(cellText(2001, "INTEGER")).toBe("2001");
    expect(cellText(0.1 + 0.2, "DOUBLE")).toBe("0.3");
    expect(cellText("2001-03-14T15:04:00Z", "TIMESTAMP")).toBe("2001-03-14 15:04:00");
    expect(cellText({ a: 1 }, "STRUCT")).toBe('{"a":1}');
    expect(numeric("UBIGINT")).toBe(true);
    expect(numeric("VARCHAR")).toBe(false);
  });
  it("quote CSV where it must be", () => {
    expect(csv({ columns: ["a", "b"], types: [], rows: [['x "y"', null], ["1,2", 3]], truncated: false, seconds: 0 })).toBe('a,b\r\n"x ""y""",\r\n"1,2",3\r\n');
  });
});
