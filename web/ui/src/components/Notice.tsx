import { useState, type ReactNode } from "react";
import type { Failure } from "../api/client";

/** Empty says kindly that there is nothing yet, and what to do. */
export function Empty({ title, children, testid }: { title: string; children: ReactNode; testid?: string }) {
  return (
    <div className="empty" data-testid={testid}>
      <svg width="120" height="28" viewBox="0 0 120 28" fill="none" aria-hidden="true">
        <path d="M2 14c8-12 14-12 21 0s13 12 20 0 10-5 14-3.5S62 14 66 14h52" strokeWidth="2" strokeLinecap="round" />
      </svg>
      <h3>{title}</h3>
      {children}
    </div>
  );
}

/** Command is something to run, with a button that copies it. */
export function Command({ children }: { children: string }) {
  const [copied, setCopied] = useState(false);
  async function copy() {
    try {
      await navigator.clipboard.writeText(children);
      setCopied(true);
      setTimeout(() => setCopied(false), 1500);
    } catch {
      setCopied(false); // not allowed here: the text can still be selected
    }
  }
  return (
    <div className="command">
      <pre>{children}</pre>
      <button type="button" className="quiet-button" onClick={() => void copy()}>
        {copied ? "copied" : "copy"}
      </button>
    </div>
  );
}

/** Refusal shows what the server refused, in its own words. */
export function Refusal({ error }: { error: Failure }) {
  return (
    <div className="refusal" role="alert" data-testid="error">
      <b>{error.message}</b>
      {error.hint && <p>{error.hint}</p>}
      <code>
        {error.code}
        {error.status > 0 && ` · ${error.status}`}
      </code>
    </div>
  );
}

export function Skeleton({ height }: { height: number }) {
  return <div className="skeleton" style={{ height }} aria-hidden="true" />;
}
