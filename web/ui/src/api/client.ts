import type { ErrorBody } from "./types";

/** Failure is an answer that is not a success, or no answer at all (status 0). */
export class Failure extends Error {
  override readonly name = "Failure";
  constructor(
    message: string,
    readonly status: number,
    readonly code: string,
    readonly hint: string,
  ) {
    super(message);
  }
  /** Whether the server could not be reached or is not itself, as opposed to refusing this one request. */
  get lost(): boolean {
    return this.status === 0 || this.status >= 502;
  }
}

const base = "/api/v1";

/** get reads one resource; parameters that are undefined are left out. */
export function get<T>(
  path: string,
  parameters: Record<string, string | number | undefined> = {},
  signal?: AbortSignal,
): Promise<T> {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) if (value !== undefined) query.set(name, String(value));
  const text = query.toString();
  return call<T>(base + path + (text ? `?${text}` : ""), signal ? { signal } : {});
}

export const post = <T>(path: string, body: unknown): Promise<T> => send<T>("POST", path, body);

/** put writes one resource; match is the version it must stand at now, which makes it a compare-and-set. */
export const put = <T>(path: string, body: unknown, match?: number): Promise<T> =>
  send<T>("PUT", path, body, match === undefined ? {} : match === 0 ? { "If-None-Match": "*" } : { "If-Match": `"${match}"` });

const send = <T>(method: string, path: string, body: unknown, headers: Record<string, string> = {}): Promise<T> =>
  call<T>(base + path, { method, headers: { "Content-Type": "application/json", ...headers }, body: JSON.stringify(body) });

/** Inferred is the answer to one inference. NaN and the infinities, which JSON does not have, are null in it. */
export interface Inferred {
  body: { predictions?: unknown[]; outputs?: { name: string; data: unknown[] }[] };
  id: string;
  milliseconds: number;
}

/** infer asks a version of a model. The prediction is not recorded: a person is trying it out. */
export async function infer(model: string, version: number, body: unknown): Promise<Inferred> {
  const began = performance.now();
  const answer = await call<Inferred["body"] & { id?: string }>(
    `/v2/models/${encodeURIComponent(model)}/versions/${version}/infer`,
    { method: "POST", headers: { "Content-Type": "application/json", "Fairlead-Record": "false" }, body: JSON.stringify(body) },
  );
  return { body: answer, id: answer.id ?? "", milliseconds: performance.now() - began };
}

/** strict makes JSON of an inference's answer, whose NaN and Infinity are bare words. Words inside strings stay. */
export const strict = (text: string): string =>
  text.replace(/"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b/g, (word) => (word.startsWith('"') ? word : "null"));

async function call<T>(path: string, init: RequestInit): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path, { ...init, headers: { Accept: "application/json", ...init.headers } });
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === "AbortError") throw cause;
    throw new Failure("The server does not answer.", 0, "unreachable", "Is fairlead still running?");
  }
  const text = await response.text();
  let body: unknown;
  try {
    body = JSON.parse(path.startsWith("/v2/") ? strict(text) : text);
  } catch {
    throw new Failure(
      response.ok ? "The answer is not JSON." : `The server answered ${response.status}.`,
      response.ok ? 502 : response.status,
      "not_json",
      "Something between this page and fairlead may be answering in its place.",
    );
  }
  if (response.ok) return body as T;
  const e = (body ?? {}) as Partial<ErrorBody>;
  throw new Failure(
    e.error ?? `The server answered ${response.status}.`,
    response.status,
    e.code ?? "unknown",
    e.hint ?? "",
  );
}
