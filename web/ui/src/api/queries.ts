import { keepPreviousData, QueryClient, useQuery } from "@tanstack/react-query";
import { Failure, get } from "./client";
import type { Alert, Deployment, Distribution, Drift, Grain, Metrics, Model, ModelExample, Status } from "./types";

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
