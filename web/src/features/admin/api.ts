import { queryOptions, type QueryClient } from "@tanstack/react-query";
import { api, unwrap, type Model, type Upstream } from "@/api/client";
import { keys } from "@/api/queries";

export const upstreamsQuery = queryOptions({
  queryKey: keys.upstreams,
  queryFn: async ({ signal }) => (await unwrap(api.GET("/api/upstreams", { signal }))).data,
});

type Row = { id: string };

/* The list with `row` in place of the one with its id, or at the end. */
function put<T extends Row>(list: T[] | undefined, row: T): T[] | undefined {
  if (!list) return list;
  return list.some((item) => item.id === row.id)
    ? list.map((item) => (item.id === row.id ? row : item))
    : [...list, row];
}

export const modelPut = (client: QueryClient, model: Model) =>
  client.setQueryData<Model[]>(keys.models, (list) => put(list, model));

export const modelDrop = (client: QueryClient, id: string) =>
  client.setQueryData<Model[]>(keys.models, (list) => list?.filter((item) => item.id !== id));

export const upstreamPut = (client: QueryClient, upstream: Upstream) =>
  client.setQueryData<Upstream[]>(keys.upstreams, (list) => put(list, upstream));

export const upstreamDrop = (client: QueryClient, id: string) =>
  client.setQueryData<Upstream[]>(keys.upstreams, (list) => list?.filter((item) => item.id !== id));
