import { queryOptions } from "@tanstack/react-query";
import { api, unwrap, type Model } from "./client";

/* Names of everything that is kept from the server, in one place, so that a write can update it. */
export const keys = {
  bootstrap: ["bootstrap"] as const,
  me: ["me"] as const,
  models: ["models"] as const,
  upstreams: ["upstreams"] as const,
  sessions: ["sessions"] as const,
  apiKeys: ["keys"] as const,
  threads: (query: string) => ["threads", query] as const,
  allThreads: ["threads"] as const,
  thread: (id: string) => ["thread", id] as const,
};

export const bootstrapQuery = queryOptions({
  queryKey: keys.bootstrap,
  queryFn: ({ signal }) => unwrap(api.GET("/api/bootstrap", { signal })),
  staleTime: Number.POSITIVE_INFINITY,
});

export const meQuery = queryOptions({
  queryKey: keys.me,
  queryFn: ({ signal }) => unwrap(api.GET("/api/me", { signal })),
  staleTime: 5 * 60_000,
});

const loading = (models: Model[] | undefined) =>
  models?.some((model) => model.enabled && model.state.phase !== "ready") ?? false;

/* Asked again every 1.5 seconds while a model is on its way, and not otherwise. */
export const modelsQuery = queryOptions({
  queryKey: keys.models,
  queryFn: async ({ signal }) => (await unwrap(api.GET("/api/models", { signal }))).data,
  staleTime: 15_000,
  refetchInterval: (query) => (loading(query.state.data) ? 1_500 : false),
});
