import { keepPreviousData, QueryClient, useQuery } from "@tanstack/react-query";
import { Failure, get, post } from "./client";
import type { Pipeline } from "./pipeline";
import type { AliasMove, Lineage, ModelCardText, Signatures } from "./registry";
import type { Explanation, Plan, Rollout } from "./rollout";
import type { Alert, AlertExplanation, Deployment, Distribution, Drift, Grain, Metrics, Model, ModelExample, Status } from "./types";

/** How often the page asks again, in milliseconds. Polling rests while the tab is hidden. */
const every = { fast: 1000, slow: 2000, lazy: 10_000 } as const;

export function newQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        // The next poll is the retry: a failed one keeps the picture and shows the loss at once.
        retry: false,
        networkMode: "always",
        refetchIntervalInBackground: false,
        refetchOnWindowFocus: true,
        staleTime: 500,
        structuralSharing: true,
      },
    },
  });
}

const d = (name: string) => `/deployments/${encodeURIComponent(name)}`;

export const useStatus = () =>
  useQuery<Status, Failure>({
    queryKey: ["status"],
    queryFn: ({ signal }) => get("/status", {}, signal),
    refetchInterval: every.fast,
  });

export const useDeployments = () =>
  useQuery<Deployment[], Failure>({
    queryKey: ["deployments"],
    queryFn: async ({ signal }) => (await get<Deployment[] | null>("/deployments", {}, signal)) ?? [],
    refetchInterval: every.fast,
  });

export const useModels = () =>
  useQuery<Model[], Failure>({
    queryKey: ["models"],
    queryFn: async ({ signal }) => (await get<Model[] | null>("/models", {}, signal)) ?? [],
    refetchInterval: every.lazy,
  });

/** useExample never changes: a version is what it is. */
export const useExample = (model: string, version: number) =>
  useQuery<ModelExample, Failure>({
    queryKey: ["example", model, version],
    queryFn: ({ signal }) => get(`/models/${encodeURIComponent(model)}/versions/${version}/example`, {}, signal),
    staleTime: Infinity,
  });

export const useAlerts = () =>
  useQuery<Alert[], Failure>({
    queryKey: ["alerts"],
    queryFn: async ({ signal }) => (await get<Alert[] | null>("/alerts", {}, signal)) ?? [],
    refetchInterval: every.slow,
  });

/** useAlertExplanation asks a model again about recorded rows, which takes seconds: it is asked for once while it is looked at. */
export const useAlertExplanation = (id: string) =>
  useQuery<AlertExplanation, Failure>({
    queryKey: ["explanation", id],
    queryFn: ({ signal }) => get("/alerts/explain", { id }, signal),
    staleTime: 60_000,
  });

/** View is the stretch of event time on screen: the last `limit` windows, up to `to` where the view is held. */
export interface View {
  grain: Grain;
  limit: number;
  to: string | undefined;
}

// The old picture stays while a new stretch loads, but never that of another deployment.
function keepFor<T extends { deployment: string }>(name: string) {
  return (previous: T | undefined): T | undefined =>
    previous?.deployment === name ? keepPreviousData(previous) : undefined;
}

export const useDrift = (name: string, view: View) =>
  useQuery<Drift, Failure>({
    queryKey: ["drift", name, view],
    queryFn: ({ signal }) => get(`${d(name)}/drift`, { ...view }, signal),
    refetchInterval: every.fast,
    placeholderData: keepFor<Drift>(name),
  });

export const useMetrics = (name: string, view: View) =>
  useQuery<Metrics, Failure>({
    queryKey: ["metrics", name, view],
    queryFn: ({ signal }) => get(`${d(name)}/metrics`, { ...view }, signal),
    refetchInterval: every.fast,
    placeholderData: keepFor<Metrics>(name),
  });

export const useDistribution = (name: string, column: string, grain: Grain, start: string) =>
  useQuery<Distribution, Failure>({
    queryKey: ["distribution", name, column, grain, start],
    queryFn: ({ signal }) => get(`${d(name)}/drift/${encodeURIComponent(column)}`, { grain, start }, signal),
    refetchInterval: every.slow,
    placeholderData: (previous) => (previous?.column === column ? previous : undefined),
  });

/** useRollouts lists a deployment's rollouts, newest first. running, the id of the one under way, asks anew when it changes. */
export const useRollouts = (name: string, running: string | undefined) =>
  useQuery<Rollout[], Failure>({
    queryKey: ["rollouts", name, running ?? ""],
    queryFn: async ({ signal }) => (await get<Rollout[] | null>(`${d(name)}/rollouts`, {}, signal)) ?? [],
    refetchInterval: every.lazy,
    placeholderData: (previous, query) => (query?.queryKey[1] === name ? previous : undefined),
  });

/** useExplanation follows a rollout with every decision and what its gates say now; one that is over does not change. */
export const useExplanation = (name: string, id: string, over: boolean) =>
  useQuery<Explanation, Failure>({
    queryKey: ["rollout", name, id, over],
    queryFn: ({ signal }) => get(`${d(name)}/rollout/explain`, { id }, signal),
    refetchInterval: over ? every.lazy : every.fast,
    placeholderData: (previous) => (previous?.id === id ? previous : undefined),
  });

/** usePlan asks what a policy means at a traffic; undefined is the deployment's own policy, and the rate that is measured. */
export const usePlan = (name: string, policy: string | undefined, rate: number | undefined, wanted: boolean) =>
  useQuery<Plan, Failure>({
    queryKey: ["plan", name, policy ?? "", rate ?? 0],
    queryFn: () => post(`${d(name)}/rollout/plan`, { ...(policy !== undefined && { policy }), ...(rate !== undefined && { traffic: { requests_per_second: rate } }) }),
    enabled: wanted,
    refetchOnWindowFocus: false,
    gcTime: 0,
    staleTime: Infinity,
    placeholderData: keepPreviousData,
  });

const v = (model: string, version: number) => `/models/${encodeURIComponent(model)}/versions/${version}`;

export const useAliasHistory = (model: string) =>
  useQuery<AliasMove[], Failure>({
    queryKey: ["aliases", model],
    queryFn: async ({ signal }) => (await get<AliasMove[] | null>(`/models/${encodeURIComponent(model)}/history`, {}, signal)) ?? [],
  });

export const useLineage = (model: string, version: number) =>
  useQuery<Lineage, Failure>({
    queryKey: ["lineage", model, version],
    queryFn: ({ signal }) => get(`${v(model, version)}/lineage`, {}, signal),
  });

export const useSignatures = (model: string, version: number) =>
  useQuery<Signatures, Failure>({
    queryKey: ["signatures", model, version],
    queryFn: ({ signal }) => get(`${v(model, version)}/signatures`, {}, signal),
  });

/** useCard never changes: a version is what it is. */
export const useCard = (model: string, version: number) =>
  useQuery<ModelCardText, Failure>({
    queryKey: ["card", model, version],
    queryFn: ({ signal }) => get(`${v(model, version)}/card`, {}, signal),
    staleTime: Infinity,
  });

export const usePipelines = () =>
  useQuery<Pipeline[], Failure>({
    queryKey: ["pipelines"],
    queryFn: async ({ signal }) => (await get<Pipeline[] | null>("/pipelines", {}, signal)) ?? [],
    refetchInterval: every.slow,
  });
