import { describe, expect, it } from "vitest";
import { bytes, compact, count, digest, measure, millis, percent, plural, rate, span, value } from "./format";

const plain = (s: string) => s.replaceAll("\u202f", " ");

describe("numbers as people read them", () => {
  it.each([
    [count(3_000_000), "3,000,000"],
    [count(null), "–"],
    [count(NaN), "–"],
    [compact(9_999), "9,999"],
    [compact(3_000_000), "3.0M"],
    [compact(752_049), "752.0K"],
    [rate(0), "0"],
    [rate(2.44), "2.4"],
    [rate(8139.4), "8,139"],
    [millis(0.617), "617 µs"],
    [millis(0.0004), "0.4 µs"],
    [millis(1.724), "1.72 ms"],
    [millis(41.26), "41.3 ms"],
    [millis(1250), "1.25 s"],
    [millis(null), "–"],
    [span(0.585), "585 ms"],
    [span(4.25), "4.3 s"],
    [span(240), "4 min"],
    [span(86_400), "24 h"],
    [span(864_000), "10 d"],
    [value(733), "733"],
    [value(1179.44), "1,179"],
    [value(0.2134), "0.213"],
    [value(-12.345), "−12.35"],
    [bytes(412_877), "413 kB"],
    [bytes(999), "999 B"],
    [digest("sha256:9f3c1a7be02d5c48aa17"), "9f3c1a7be02d"],
    [plural(1, "row"), "1 row"],
    [plural(2000, "row"), "2,000 rows"],
  ])("%s is %s", (got, want) => expect(plain(got)).toBe(want));
});

describe("percent", () => {
  it.each([
    [0, "0 %"],
    [0.0004, "< 0.1 %"],
    [0.0042, "0.4 %"],
    [0.34, "34 %"],
    [0.9961, "99.6 %"],
    [0.99999, "99.9 %"],
    [1, "100 %"],
    [null, "–"],
  ])("writes %s as %s", (share, want) => expect(plain(percent(share))).toBe(want));
});

describe("measure", () => {
  it.each([
    [0, "0.000"],
    [0.0004, "<0.001"],
    [-0.0004, "0.000"],
    [-0.0213, "−0.021"],
    [2.7085, "2.708"],
    [12.345, "12.3"],
    [1234.5, "1235"],
    [undefined, "–"],
  ])("writes %s as %s", (x, want) => expect(measure(x)).toBe(want));
});
