// Where the pointer is on the shared time axis. A store of its own, so that moving the pointer draws a line and a few
// numbers, not the whole page.
import { createContext, useContext, useSyncExternalStore } from "react";

export interface Hover {
  get(): number | null;
  set(t: number | null): void;
  subscribe(listener: () => void): () => void;
}

export function createHover(): Hover {
  let now: number | null = null;
  const listeners = new Set<() => void>();
  return {
    get: () => now,
    set(t) {
      if (t === now) return;
      now = t;
      for (const listener of listeners) listener();
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

export const HoverContext = createContext<Hover>(createHover());

/** useHover gives the start of the window under the pointer, or null. */
export function useHover(): number | null {
  const hover = useContext(HoverContext);
  return useSyncExternalStore(hover.subscribe, hover.get);
}
