// What a cell says, as one of five levels with a strength, and the colours of those levels.
import type { Cell, DriftColumn } from "../api/types";

/**
 * none: no data · few: too few rows to tell · quiet: within the noise · near: above the noise, under the threshold ·
 * drifted: above both.
 */
export type Level = "none" | "few" | "quiet" | "near" | "drifted";

export interface Reading {
  level: Level;
  /** 0 to 1 inside its level. */
  strength: number;
}

/** read places a cell between noise floor and threshold. The verdict is the server's; only the shade is decided here. */
export function read(cell: Cell | null | undefined, threshold: number): Reading {
  if (!cell) return { level: "none", strength: 0 };
  const effect = Math.max(0, cell.psi_debiased ?? 0);
  if (cell.verdict === "drifted") {
    // The darkest red is eight times the threshold.
    const times = threshold > 0 ? effect / threshold : 1;
    return { level: "drifted", strength: clamp(Math.log2(Math.max(1, times)) / 3) };
  }
  if (cell.verdict === "too_few" || cell.psi === null) return { level: "few", strength: 0 };
  if (cell.psi_floor !== null && cell.psi <= cell.psi_floor) return { level: "quiet", strength: 0 };
  return { level: "near", strength: threshold > 0 ? clamp(effect / threshold) : 0 };
}

export const words: Record<Level, string> = {
  none: "no data",
  few: "too few rows",
  quiet: "within noise",
  near: "above noise, under threshold",
  drifted: "drifted",
};

/** latest is the index of the newest cell that can be judged, or of the newest cell at all, or -1. */
export function latest(column: DriftColumn): number {
  const cells = column.cells ?? [];
  const judged = cells.findLastIndex((c) => c !== null && c.verdict !== "too_few");
  return judged >= 0 ? judged : cells.findLastIndex((c) => c !== null);
}

/** worst is the index of the newest drifted cell, else of the latest one. */
export function worst(column: DriftColumn): number {
  const drifted = (column.cells ?? []).findLastIndex((c) => c?.verdict === "drifted");
  return drifted >= 0 ? drifted : latest(column);
}

export type RGB = readonly [number, number, number];

/** parse reads #rrggbb and the rgb(…) that browsers compute; anything else is black. */
export function parse(color: string): RGB {
  const hex = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(color.trim());
  if (hex) return [parseInt(hex[1]!, 16), parseInt(hex[2]!, 16), parseInt(hex[3]!, 16)];
  const n = color.match(/[\d.]+/g)?.map(Number) ?? [];
  return [n[0] ?? 0, n[1] ?? 0, n[2] ?? 0];
}

/** mix goes from a to b as s goes from 0 to 1. */
export function mix(a: RGB, b: RGB, s: number): string {
  const at = (i: 0 | 1 | 2) => Math.round(a[i] + (b[i] - a[i]) * clamp(s));
  return `rgb(${at(0)},${at(1)},${at(2)})`;
}

export interface Scale {
  quiet: RGB;
  near: RGB;
  nearStrong: RGB;
  drifted: RGB;
  driftedStrong: RGB;
  few: RGB;
}

/** shade is the fill of a reading, or undefined where nothing is drawn. */
export function shade(reading: Reading, scale: Scale): string | undefined {
  switch (reading.level) {
    case "none":
      return undefined;
    case "few":
      return mix(scale.few, scale.few, 0);
    case "quiet":
      return mix(scale.quiet, scale.quiet, 0);
    case "near":
      return mix(scale.near, scale.nearStrong, reading.strength);
    case "drifted":
      return mix(scale.drifted, scale.driftedStrong, reading.strength);
  }
}

const clamp = (x: number) => Math.min(1, Math.max(0, x));
