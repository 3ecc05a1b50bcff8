// What a person says of an alert, as the server takes it.
import type { Alert } from "../api/types";

/** hours a silence can be asked for. */
export const silenceHours = [1, 8, 24, 168] as const;

/** hoursLabel says a length: 8 hours, 1 day, 1 week. */
export function hoursLabel(hours: number): string {
  const [n, unit] = hours % 168 === 0 ? [hours / 168, "week"] : hours % 24 === 0 ? [hours / 24, "day"] : [hours, "hour"];
  return `${n} ${unit}${n === 1 ? "" : "s"}`;
}

/** silenceOf is the body of POST /silences: this column of this deployment, from now. */
export const silenceOf = (a: Alert, hours: number, reason: string, by: string, now: number) => ({
  deployment: a.deployment,
  column: a.column,
  until: new Date(now + hours * 3_600_000).toISOString(),
  reason,
  ...(by.trim() && { by: by.trim() }),
});
