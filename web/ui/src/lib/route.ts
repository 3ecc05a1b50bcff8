// The page's routes: the path names the page, the query string what is selected on it, so that any view can be shared.
import { useCallback, useSyncExternalStore } from "react";

export type Route =
  | { page: "overview" }
  | { page: "deployment"; name: string }
  | { page: "models" }
  | { page: "pipelines" }
  | { page: "sql" }
  | { page: "unknown" };

export function parseRoute(pathname: string): Route {
  const parts = pathname.split("/").filter(Boolean);
  if (parts.length === 0) return { page: "overview" };
  if (parts.length === 1 && (parts[0] === "models" || parts[0] === "pipelines" || parts[0] === "sql")) return { page: parts[0] };
  if (parts.length === 2 && parts[0] === "d") {
    try {
      return { page: "deployment", name: decodeURIComponent(parts[1]!) };
    } catch {
      return { page: "unknown" }; // a broken % escape
    }
  }
  return { page: "unknown" };
}

export const deploymentPath = (name: string): string => `/d/${encodeURIComponent(name)}`;

const changed = "fairlead:navigate";

export function navigate(to: string, replace = false): void {
  if (replace) history.replaceState(null, "", to);
  else history.pushState(null, "", to);
  window.dispatchEvent(new Event(changed));
}

function subscribe(listener: () => void): () => void {
  window.addEventListener("popstate", listener);
  window.addEventListener(changed, listener);
  return () => {
    window.removeEventListener("popstate", listener);
    window.removeEventListener(changed, listener);
  };
}

export const usePath = (): string => useSyncExternalStore(subscribe, () => location.pathname);

export type Change = Record<string, string | undefined>;

/** useSelection reads the query string and gives a function that changes some of it; undefined removes a key. */
export function useSelection(): [URLSearchParams, (change: Change, replace?: boolean) => void] {
  const search = useSyncExternalStore(subscribe, () => location.search);
  const set = useCallback((change: Change, replace = false) => {
    const next = new URLSearchParams(location.search);
    for (const [key, value] of Object.entries(change)) {
      if (value === undefined) next.delete(key);
      else next.set(key, value);
    }
    const text = next.toString().replaceAll("%3A", ":");
    navigate(location.pathname + (text ? `?${text}` : ""), replace);
  }, []);
  return [new URLSearchParams(search), set];
}
