import { describe, expect, it } from "vitest";
import { at, floorTo, hour, iso, moment, ticks, windowName } from "./time";
import { domainOf, grainOf, holdAround, spanOf } from "./view";

const t = Date.UTC(2001, 2, 14, 15, 4);

describe("times", () => {
  it("are written in UTC", () => {
    expect(moment(t)).toBe("14 Mar 2001, 15:04");
    expect(iso(Date.UTC(2001, 2, 14))).toBe("2001-03-14T00:00:00Z");
  });
  it("treat Go's zero time as absent", () => {
    expect(at("0001-01-01T00:00:00Z")).toBeUndefined();
    expect(at(undefined)).toBeUndefined();
    expect(at("yesterday")).toBeUndefined();
    expect(at("2001-03-14T15:04:00Z")).toBe(t);
  });
  it("fall into windows", () => {
    expect(iso(floorTo(t, "hour"))).toBe("2001-03-14T15:00:00Z");
    expect(iso(floorTo(t, "day"))).toBe("2001-03-14T00:00:00Z");
    expect(floorTo(-1, "hour")).toBe(-hour);
    expect(windowName(floorTo(t, "hour"), "hour")).toBe("Wed 14 Mar 2001, 15:00–16:00");
    expect(windowName(Date.UTC(2001, 2, 14, 23), "hour")).toBe("Wed 14 Mar 2001, 23:00–24:00");
    expect(windowName(floorTo(t, "day"), "day")).toBe("Wed 14 Mar 2001");
  });
});

describe("ticks", () => {
  const from = Date.UTC(2001, 2, 1);
  it("never exceed what fits, at any width", () => {
    for (const days of [0.2, 1, 3, 7, 14, 46, 122, 400, 4000])
      for (const most of [1, 2, 4, 9, 20]) {
        const got = ticks(from, from + days * 24 * hour, most);
        expect(got.length, `${days} days, ${most}`).toBeLessThanOrEqual(most + 1);
      }
  });
  it("stand on midnights and Mondays", () => {
    expect(ticks(from, from + 7 * 24 * hour, 9).map((x) => x.label)).toEqual(["1 Mar", "2 Mar", "3 Mar", "4 Mar", "5 Mar", "6 Mar", "7 Mar"]);
    expect(ticks(from, from + 46 * 24 * hour, 9)[0]?.label).toBe("5 Mar");
    expect(ticks(from, from + 400 * 24 * hour, 14).map((x) => x.label).slice(0, 3)).toEqual(["Mar", "Apr", "May"]);
  });
  it("are none for an empty stretch", () => expect(ticks(from, from, 5)).toEqual([]));
});

describe("the view", () => {
  const day = (n: number) => iso(Date.UTC(2001, 2, n));
  it("goes to days by itself after two weeks, unless told", () => {
    expect(grainOf(null, day(1), day(14))).toBe("hour");
    expect(grainOf(null, day(1), day(15))).toBe("day");
    expect(grainOf("hour", day(1), day(30))).toBe("hour");
    expect(grainOf("year", undefined, undefined)).toBe("hour");
  });
  it("knows its spans", () => {
    expect(spanOf("hour", "3d").windows).toBe(72);
    expect(spanOf("day", "3d").value).toBe("90d");
  });
  it("does not stretch a first window over the whole width", () => {
    const d = domainOf("hour", 168, ["2001-03-01T05:00:00Z"], undefined);
    expect(d && (d.to - d.from) / hour).toBe(24);
    expect(domainOf("hour", 168, [], undefined)).toBeUndefined();
  });
  it("ends at the newest window, or where it is held", () => {
    const starts = Array.from({ length: 200 }, (_, i) => iso(Date.UTC(2001, 2, 1) + i * hour));
    const live = domainOf("hour", 72, starts, undefined);
    expect(live && iso(live.to)).toBe("2001-03-09T08:00:00Z");
    expect(live && (live.to - live.from) / hour).toBe(72);
    const held = domainOf("hour", 72, starts, Date.UTC(2001, 2, 5));
    expect(held && iso(held.to)).toBe("2001-03-05T00:00:00Z");
  });
  it("holds around an onset without leaving the data", () => {
    const onset = Date.UTC(2001, 3, 9);
    expect(iso(holdAround(onset, "hour", 100, Date.UTC(2001, 5, 1)))).toBe("2001-04-10T16:00:00Z");
    expect(iso(holdAround(onset, "hour", 100, onset + 90_000))).toBe("2001-04-09T01:00:00Z");
  });
});
