// The theme: the system's, or the one chosen here. CSS knows the colours; canvases ask for them as they are computed.
import { useSyncExternalStore } from "react";
import { parse, type RGB } from "./verdict";

export type Theme = "system" | "light" | "dark";
const key = "fairlead-theme";
const changed = "fairlead:theme";

export function getTheme(): Theme {
  const t = document.documentElement.dataset.theme;
  return t === "light" || t === "dark" ? t : "system";
}

export function setTheme(theme: Theme): void {
  try {
    if (theme === "system") localStorage.removeItem(key);
    else localStorage.setItem(key, theme);
  } catch {
    // Storage is forbidden: the choice lasts until the page is left.
  }
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  window.dispatchEvent(new Event(changed));
}

const names = ["ink", "muted", "line", "surface", "accent", "planted", "predicted", "quiet", "near", "near-strong", "drifted", "drifted-strong", "few"] as const;
export type Palette = Record<(typeof names)[number], RGB>;

let palette: Palette | undefined;

function readPalette(): Palette {
  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);
  const entries = names.map((name) => {
    probe.style.color = `var(--${name})`;
    return [name, parse(getComputedStyle(probe).color)] as const;
  });
  probe.remove();
  return Object.fromEntries(entries) as Palette;
}

function subscribe(listener: () => void): () => void {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const refresh = () => {
    palette = readPalette();
    listener();
  };
  system.addEventListener("change", refresh);
  window.addEventListener(changed, refresh);
  return () => {
    system.removeEventListener("change", refresh);
    window.removeEventListener(changed, refresh);
  };
}

export const useTheme = (): Theme => useSyncExternalStore(subscribe, getTheme);
export const usePalette = (): Palette => useSyncExternalStore(subscribe, () => (palette ??= readPalette()));

/** css writes a colour with an opacity. */
export const css = (c: RGB, alpha = 1): string => `rgba(${c[0]},${c[1]},${c[2]},${alpha})`;
