// Cells of a query's answer as text, and the whole answer as CSV.
import type { SQLAnswer } from "../api/types";
import { count } from "./format";

/** cellText writes a value as a person reads it; numbers keep their digits, whole ones get separators. */
export function cellText(v: unknown, type = ""): string {
  if (v === null || v === undefined) return "null";
  if (typeof v === "number") return Number.isInteger(v) && Math.abs(v) >= 10_000 && /INT|HUGE/.test(type) ? count(v) : String(Number(v.toPrecision(12)));
  if (typeof v === "string") return /^TIMESTAMP/.test(type) ? v.replace("T", " ").replace(/(\.\d+)?Z$/, "") : v;
  return typeof v === "boolean" ? String(v) : JSON.stringify(v);
}

/** numeric says whether a column of that DuckDB type is set flush right. */
export const numeric = (type: string): boolean => /^(U?(TINY|SMALL|BIG|HUGE)?INT|U?INTEGER|FLOAT|DOUBLE|REAL|DECIMAL)/.test(type);

/** csv writes an answer as RFC 4180 has it; a null is an empty field. */
export function csv(a: SQLAnswer): string {
  const field = (v: unknown) => {
    const s = v === null || v === undefined ? "" : typeof v === "object" ? JSON.stringify(v) : String(v as string | number | boolean);
    return /[",\r\n]/.test(s) ? `"${s.replaceAll('"', '""')}"` : s;
  };
  return [a.columns ?? [], ...(a.rows ?? [])].map((row) => row.map(field).join(",")).join("\r\n") + "\r\n";
}
