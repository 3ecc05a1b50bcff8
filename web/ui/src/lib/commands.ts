// What to run next, filled in with names that exist.
import type { ModelVersion, Tensor } from "../api/types";

const slash = " \\\n  ";

export const pushCommand = (name = "NAME", reference = true): string =>
  `fairlead push model.onnx --name ${name}${reference ? " --reference train.parquet" : ""}`;

/** example is a value a tensor or feature of that type takes. */
const example = (t: Tensor): unknown => (t.datatype === "BYTES" ? "text" : t.datatype === "BOOL" ? false : 0);

/** exampleRow is one row by feature name, as the named form of a request has it. */
export function exampleRow(version: ModelVersion | undefined): Record<string, unknown> {
  const row: Record<string, unknown> = {};
  for (const t of version?.inputs ?? []) for (const name of t.features?.length ? t.features : [t.name]) row[name] = example(t);
  return Object.keys(row).length > 0 ? row : { feature: 0 };
}

/** predictCommand sends one row; quotes inside JSON need no escape in a shell's single quotes. */
export const predictCommand = (origin: string, name: string, version: ModelVersion | undefined): string =>
  `curl -s ${origin}/v2/models/${name}/infer${slash}-H 'Content-Type: application/json'${slash}-d '${JSON.stringify({ instances: [exampleRow(version)] })}'`;

/** inferCommand sends that row; a quote in it is closed, escaped and opened again for the shell. */
export const inferCommand = (origin: string, name: string, row: Record<string, unknown>): string =>
  `curl -s ${origin}/v2/models/${name}/infer${slash}-H 'Content-Type: application/json'${slash}-d '${JSON.stringify({ instances: [row] }).replaceAll("'", "'\\''")}'`;

export const labelCommand = (origin: string, name: string, version: ModelVersion | undefined): string => {
  const value = version?.outputs?.find((o) => o.classes?.length)?.classes?.at(-1) ?? 1;
  const body = JSON.stringify({ labels: [{ prediction_id: "ID", value }] });
  return `curl -s ${origin}/api/v1/deployments/${name}/labels${slash}-H 'Content-Type: application/json'${slash}-d '${body}'`;
};
