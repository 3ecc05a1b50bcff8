import type { Cell } from "../api/types";

/** cell is an unremarkable cell, but for what is given. */
export const cell = (more: Partial<Cell> = {}): Cell => ({
  n: 1000, m: 8000, reference: "all", psi: 0.01, psi_debiased: 0.001, psi_floor: 0.03, ks: null, ks_floor: null,
  d1: null, d1_floor: null, js: null, js_floor: null, missing: 0, unseen: 0, verdict: "ok", provisional: false, ...more,
});
