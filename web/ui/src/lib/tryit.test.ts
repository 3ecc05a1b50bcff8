import { describe, expect, it } from "vitest";
import type { ModelVersion } from "../api/types";
import { fieldsOf, readings, rowOf } from "./tryit";

const version: ModelVersion = {
  model: "flights", version: 1, digest: "sha256:1", created: "2026-01-01T00:00:00Z", size_bytes: 1, task: "binary",
  inputs: [
    { name: "numbers", datatype: "FP32", shape: [-1, 2], features: ["hour", "distance"] },
    { name: "origin", datatype: "BYTES", shape: [-1, 1] },
  ],
  outputs: [{ name: "probability", datatype: "FP32", shape: [-1, 2], role: "score", classes: ["on_time", "late"] }],
};

describe("the row that is edited", () => {
  const row = { origin: "ATL", distance: 733.5, hour: null };
  it("comes in the model's order", () => {
    expect(fieldsOf(row, version)).toEqual([
      { name: "hour", kind: "number", text: "" },
      { name: "distance", kind: "number", text: "733.5" },
      { name: "origin", kind: "text", text: "ATL" },
    ]);
  });
  it("goes back as it came", () => expect(rowOf(fieldsOf(row, version))).toEqual(row));
  it("keeps what is no number for the server to refuse", () =>
    expect(rowOf([{ name: "hour", kind: "number", text: "ten" }])).toEqual({ hour: "ten" }));
  it("keeps text that looks like a number", () =>
    expect(rowOf([{ name: "origin", kind: "text", text: "007" }])).toEqual({ origin: "007" }));
});

describe("the answer", () => {
  it("names classes", () =>
    expect(readings({ predictions: [[0.8, 0.2]] }, version)).toEqual([
      { output: "probability", name: "on_time", value: 0.8, share: true },
      { output: "probability", name: "late", value: 0.2, share: true },
    ]));
  it("takes the second of two classes for a single score", () =>
    expect(readings({ predictions: [0.2] }, version)).toEqual([{ output: "probability", name: "late", value: 0.2, share: true }]));
  it("reads several outputs", () =>
    expect(
      readings({ predictions: [{ label: "late", other: [1, 2] }] }, { ...version, outputs: [{ name: "label", datatype: "BYTES", shape: [-1] }, { name: "other", datatype: "INT64", shape: [-1, 2] }] }),
    ).toEqual([
      { output: "label", name: "label", value: "late", share: false },
      { output: "other", name: "other 0", value: 1, share: false },
      { output: "other", name: "other 1", value: 2, share: false },
    ]));
  it("reads tensors", () =>
    expect(readings({ outputs: [{ name: "probability", data: [0.8, 0.2] }] }, version)[1]).toEqual({ output: "probability", name: "late", value: 0.2, share: true }));
});
