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

function askAgainMs(models: Model[] | undefined): number | false {
  const phases = models?.filter((model) => model.enabled).map((model) => model.state.phase) ?? [];
  if (phases.some((phase) => phase !== "ready" && phase !== "asleep")) return 1_500;
  return phases.includes("asleep") ? 10_000 : false;
}

/* Asked again every 1.5 seconds while a model is on its way, now and then while one is asleep, which
 * anybody's call may wake, and not otherwise. */
export const modelsQuery = queryOptions({
  queryKey: keys.models,
  queryFn: async ({ signal }) => (await unwrap(api.GET("/api/models", { signal }))).data,
  staleTime: 15_000,
  refetchInterval: (query) => askAgainMs(query.state.data),
});
