import { QueryClient } from "@tanstack/react-query";
import { ApiError } from "@/api/errors";

/* What failed in passing is asked for once more; what was refused is not. */
export function makeQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        staleTime: 30_000,
        gcTime: 10 * 60_000,
        retry: (count, error) => count < 1 && (!(error instanceof ApiError) || error.passing),
        retryDelay: 700,
      },
      mutations: { retry: false },
    },
  });
}
