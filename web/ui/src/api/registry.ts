// Versions, aliases, lineage and signatures, as in api/models.go and api/signature.go.
import type { List, Time } from "./types";

export interface Variant {
  name: string;
  file: string;
  digest: string;
  lacking?: string;
  serves: boolean;
  requires?: { os?: string; arch?: string; isa?: List<string>; memory_bytes?: number; runtime?: string; accelerator?: string } | null;
  tolerance?: { absolute: number; relative: number } | null;
}

export interface Origin {
  relation: "trained_on" | "quantized_from" | "distilled_from";
  reference: string;
  model?: string;
  version?: number;
  removed?: boolean;
  depth: number;
  of: string;
}

export interface Lineage {
  model: string;
  version: number;
  ancestors: List<Origin>;
  descendants: List<Origin>;
}

export interface RemovedVersion {
  model: string;
  version: number;
  digest: string;
  removed: Time;
  by?: string;
}

export interface ModelCardText {
  name: string;
  text: string;
}

export interface AliasMove {
  alias: string;
  from: number;
  to: number;
  at: Time;
  by?: string;
  forced?: boolean;
}

export interface Signatures {
  model: string;
  version: number;
  digest: string;
  required: boolean;
  signatures: List<{ bundle: string; key?: string; refused?: string }>;
}
