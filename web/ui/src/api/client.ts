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
  return call<T>(path + (text ? `?${text}` : ""), signal ? { signal } : {});
}

export function post<T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> {
  const init: RequestInit = {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  };
  return call<T>(path, signal ? { ...init, signal } : init);
}

async function call<T>(path: string, init: RequestInit): Promise<T> {
  let response: Response;
  try {
    response = await fetch(base + path, { ...init, headers: { Accept: "application/json", ...init.headers } });
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === "AbortError") throw cause;
    throw new Failure("The server does not answer.", 0, "unreachable", "Is fairlead still running?");
  }
  const text = await response.text();
  let body: unknown;
  try {
    body = JSON.parse(text);
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
