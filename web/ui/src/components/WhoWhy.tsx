import { useState } from "react";
import { setWho, who } from "../lib/who";

export interface Signed {
  by: string;
  why: string;
}

/** useSigned keeps the name that was given last, on this machine. */
export function useSigned(): [Signed, (change: Partial<Signed>) => void] {
  const [signed, set] = useState<Signed>(() => ({ by: who(), why: "" }));
  const change = (c: Partial<Signed>) => {
    if (c.by !== undefined) setWho(c.by);
    set({ ...signed, ...c });
  };
  return [signed, change];
}

/** said leaves out what was not said. */
export const said = ({ by, why }: Signed): { by?: string; why?: string } => ({ ...(by.trim() && { by: by.trim() }), ...(why.trim() && { why: why.trim() }) });

/** WhoWhy asks for the two things that the history keeps of a person's decision. */
export function WhoWhy({ value, onChange, placeholder, withWhy = true }: { value: Signed; onChange: (change: Partial<Signed>) => void; placeholder?: string; withWhy?: boolean }) {
  return (
    <div className="fields">
      <label className="field short">
        <span>Who</span>
        <input name="by" value={value.by} maxLength={200} autoComplete="username" placeholder="your name" onChange={(e) => onChange({ by: e.target.value })} />
      </label>
      {withWhy && (
        <label className="field">
          <span>Why</span>
          <input name="why" value={value.why} maxLength={2000} autoComplete="off" placeholder={placeholder ?? "for the history"} onChange={(e) => onChange({ why: e.target.value })} />
        </label>
      )}
    </div>
  );
}
