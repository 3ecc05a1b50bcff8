// What the "try it" form sends and how it reads the answer.
import type { ModelVersion } from "../api/types";

export type Row = Record<string, unknown>;

/** Field is one value of a row, as text while it is edited. */
export interface Field {
  name: string;
  kind: "number" | "text" | "json";
  text: string;
}

/** fieldsOf lays a row out in the model's own order of features. */
export function fieldsOf(row: Row, version: ModelVersion): Field[] {
  const numeric = new Set<string>();
  const order: string[] = [];
  for (const t of version.inputs ?? [])
    for (const name of t.features?.length ? t.features : [t.name]) {
      order.push(name);
      if (t.datatype !== "BYTES") numeric.add(name);
    }
  const names = [...order.filter((n) => n in row), ...Object.keys(row).filter((n) => !order.includes(n))];
  return names.map((name) => {
    const value = row[name];
    if (typeof value === "string") return { name, kind: "text", text: value };
    if (value !== null && typeof value === "object") return { name, kind: "json", text: JSON.stringify(value) };
    const kind = numeric.has(name) || typeof value === "number" || typeof value === "boolean" ? "number" : "text";
    return { name, kind, text: value === null || value === undefined ? "" : String(value) };
  });
}

/** valueOf is what a field stands for: an empty number is missing, and what is no number goes as it is, for the server to say so. */
export function valueOf(field: Field): unknown {
  const text = field.text.trim();
  if (field.kind === "text") return field.text;
  if (text === "") return null;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

export const rowOf = (fields: Field[]): Row => Object.fromEntries(fields.map((f) => [f.name, valueOf(f)]));

/** Reading is one number of an answer with the name to show it under. */
export interface Reading {
  output: string;
  name: string;
  value: unknown;
  share: boolean; // a probability: drawn as a bar
}

interface Answered {
  predictions?: unknown[];
  outputs?: { name: string; data: unknown[] }[];
}

/** readings flattens the answer to one row: classes by name where the signature knows them. */
export function readings(answer: Answered, version: ModelVersion): Reading[] {
  const outputs = version.outputs ?? [];
  const pairs: [string, unknown][] = [];
  if (answer.predictions) {
    const first = answer.predictions[0];
    if (outputs.length !== 1 && first !== null && typeof first === "object" && !Array.isArray(first)) pairs.push(...Object.entries(first));
    else pairs.push([outputs[0]?.name ?? "prediction", first]);
  } else for (const o of answer.outputs ?? []) pairs.push([o.name, o.data.length === 1 ? o.data[0] : o.data]);
  return pairs.flatMap(([output, value]) => {
    const spec = outputs.find((o) => o.name === output);
    const classes = spec?.classes ?? [];
    const list = Array.isArray(value) ? (value.flat(Infinity) as unknown[]) : [value];
    const share = spec?.role === "score" && list.every((v) => typeof v === "number" && v >= 0 && v <= 1);
    return list.map((v, i) => {
      const label = classes.length === list.length ? classes[i] : classes.length === 2 && list.length === 1 ? classes[1] : undefined;
      return { output, name: label ?? (list.length > 1 ? `${output} ${i}` : output), value: v, share };
    });
  });
}
