import { describe, expect, it } from "vitest";
import type { MetricsPoint } from "../api/types";
import { rangeOf, stripsOf, telling } from "./strips";

const point = (labelled: number, metrics: MetricsPoint["metrics"]): MetricsPoint => ({ start: "2001-03-08T05:00:00Z", n: labelled, labelled, provisional: false, metrics });

describe("strips", () => {
  it("put the rate that came and the rate that was predicted together, named after the label", () => {
    const got = stripsOf(["accuracy", "auroc", "positive_rate", "predicted_rate"], "late");
    expect(got.map((s) => s.title)).toEqual(["Accuracy", "AUROC", "Late rate"]);
    expect(got[2]?.names).toEqual(["positive_rate", "predicted_rate"]);
    expect(stripsOf(["predicted_rate"], "")[0]?.title).toBe("Positive rate");
    expect(stripsOf(["mean_width"], "")[0]?.title).toBe("Mean width");
  });
  it("leave out thin windows where traffic is not thin throughout", () => {
    const night = point(1, { accuracy: 1 });
    const days = [900, 950, 1000].map((n) => point(n, { accuracy: 0.8 }));
    expect(telling([night, ...days])).toEqual(days);
    expect(telling([night, point(3, { accuracy: 0 })])).toHaveLength(2);
    expect(telling([])).toEqual([]);
  });
  it("scale to what is shown, and never beyond what a share can be", () => {
    const [accuracy] = stripsOf(["accuracy"], "");
    const [loss] = stripsOf(["log_loss"], "");
    const flat = rangeOf(accuracy!, [point(900, { accuracy: 0.8 })], null);
    expect(flat.high - flat.low).toBeCloseTo(0.04, 9);
    expect(rangeOf(accuracy!, [point(900, { accuracy: 0.99 }), point(900, { accuracy: 0.2 })], null).high).toBe(1);
    expect(rangeOf(loss!, [point(900, { log_loss: 0.001 }), point(900, { log_loss: 3 })], null).low).toBe(0);
    expect(rangeOf(accuracy!, [point(900, { accuracy: null })], null)).toEqual({ low: 0, high: 1 });
    expect(rangeOf(accuracy!, [point(900, { accuracy: 0.8 })], point(9, { accuracy: 0.5 })).low).toBeLessThan(0.5);
  });
});
