import type { Evidence } from "../../api/rollout";
import { findingOf, type Look } from "../../lib/rollout";

const clock = "M8 2.2a5.8 5.8 0 1 0 0 11.6A5.8 5.8 0 1 0 8 2.2M8 4.8V8l2.2 1.6";
const paths: Record<Look, string> = {
  harm: "M8 1.5 14.5 8 8 14.5 1.5 8ZM8 4.6v4M8 11.2v.2",
  non_inferior: "M2.5 8.5 6.3 12.3 13.5 4.2",
  open: clock,
  watching: clock,
  different: "M2.5 5.7h11M2.5 10.3h11M11 2.4 5 13.6",
  no_data: "M3.5 8h9",
};

/** Finding is what a gate found: a sign of its own shape and a word, so that colour is not needed. */
export function Finding({ e }: { e: Evidence }) {
  const { word, look } = findingOf(e);
  return (
    <span className={`finding ${look}`}>
      <svg width="16" height="16" viewBox="0 0 16 16" aria-hidden="true"><path d={paths[look]} /></svg>
      {word}
    </span>
  );
}
