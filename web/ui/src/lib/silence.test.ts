import { expect, test } from "vitest";
import type { Alert } from "../api/types";
import { hoursLabel, silenceOf } from "./silence";

test("a silence is of one column and has an end", () => {
  const alert = { deployment: "flights", column: "distance" } as Alert;
  expect(silenceOf(alert, 8, "sensor swap", " ann ", Date.UTC(2001, 3, 9))).toEqual({
    deployment: "flights", column: "distance", until: "2001-04-09T08:00:00.000Z", reason: "sensor swap", by: "ann",
  });
  expect(silenceOf(alert, 1, "x", "  ", 0)).not.toHaveProperty("by");
});

test("lengths as people say them", () => expect([1, 8, 24, 48, 168].map(hoursLabel)).toEqual(["1 hour", "8 hours", "1 day", "2 days", "1 week"]));
