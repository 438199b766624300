import { Trans, useLingui } from "@lingui/react/macro";
import type { UseQueryResult } from "@tanstack/react-query";
import { CloudOff } from "lucide-react";
import type { ReactNode } from "react";
import { toError } from "@/api/errors";
import { ErrorCard } from "./error-card";

type QueryViewProps<T> = {
  query: Pick<UseQueryResult<T>, "data" | "error" | "isFetching" | "isPending" | "refetch">;
  skeleton: ReactNode;
  empty?: ReactNode;
  isEmpty?: (data: T) => boolean;
  errorTitle?: string;
  children: (data: T) => ReactNode;
};

/* The four states of everything that comes from the server: on its way, empty, failed, and old
 * (what was there stays while, or although, it could not be read again). */
export function QueryView<T>({
  query,
  skeleton,
  empty,
  isEmpty,
  errorTitle,
  children,
}: QueryViewProps<T>) {
  const { t } = useLingui();
  if (query.data === undefined) {
    if (query.error) {
      return (
        <ErrorCard
          error={toError(query.error)}
          title={errorTitle}
          busy={query.isFetching}
          onRetry={() => void query.refetch()}
        />
      );
    }
    return (
      <div role="status" aria-label={t`Loading`}>
        {skeleton}
      </div>
    );
  }
  return (
    <>
      {query.error && (
        <div
          role="status"
          className="mb-3 flex flex-wrap items-center gap-2 rounded-large bg-warn-wash px-3 py-1.5 text-warn"
        >
          <CloudOff className="size-4 shrink-0" aria-hidden="true" />
          <span className="min-w-0 flex-1">
            <Trans>This may be out of date: it could not be read again.</Trans>
          </span>
          <button
            type="button"
            className="rounded-small px-1.5 font-medium underline underline-offset-2"
            onClick={() => void query.refetch()}
          >
            <Trans>Try again</Trans>
          </button>
        </div>
      )}
      {isEmpty?.(query.data) && empty ? empty : children(query.data)}
    </>
  );
}
