import { expect, it } from "vitest";
import { strict } from "./client";

it("makes JSON of bare NaN and Infinity, and leaves words in strings alone", () => {
  const text = String.raw`{"predictions":[NaN,-Infinity,1.5,"NaN \" Infinity"],"Infinity":"\\"}`;
  expect(JSON.parse(strict(text))).toEqual({ predictions: [null, null, 1.5, 'NaN " Infinity'], Infinity: "\\" });
});
