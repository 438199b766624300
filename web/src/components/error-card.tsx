import { Trans, useLingui } from "@lingui/react/macro";
import { CircleAlert, RotateCw } from "lucide-react";
import type { ApiError } from "@/api/errors";
import { cx } from "@/lib/cx";
import { Button } from "./ui/button";
import { CopyIconButton } from "./ui/copy-button";

function RequestId({ id }: { id: string }) {
  const { t } = useLingui();
  if (!id) return null;
  return (
    <span className="inline-flex items-center gap-1 text-caption text-faint">
      <Trans>
        Request <code className="font-mono">{id}</code>
      </Trans>
      <CopyIconButton text={id} label={t`Copy the request id`} className="-my-1.5" />
    </span>
  );
}

/* In place of what could not be loaded: what failed, the request id, and a way to try again. */
export function ErrorCard({
  error,
  title,
  onRetry,
  busy = false,
}: {
  error: ApiError;
  title?: string;
  onRetry?: () => void;
  busy?: boolean;
}) {
  const { t } = useLingui();
  return (
    <div role="alert" className="flex gap-3 rounded-large border border-line bg-raised p-4">
      <CircleAlert className="mt-0.5 size-5 shrink-0 text-danger" aria-hidden="true" />
      <div className="flex min-w-0 flex-1 flex-col items-start gap-2">
        <div className="min-w-0">
          <p className="font-medium">{title ?? error.problem.title}</p>
          <p className="break-words text-soft">{error.message}</p>
        </div>
        <RequestId id={error.problem.instance} />
        {onRetry && (
          <Button size="small" busy={busy} onClick={onRetry}>
            <RotateCw className="size-3.5" aria-hidden="true" />
            {t`Try again`}
          </Button>
        )}
      </div>
    </div>
  );
}

/* Below a form or in a dialog. */
export function ErrorLine({ error, className }: { error: ApiError; className?: string }) {
  return (
    <div
      role="alert"
      className={cx("flex gap-2 rounded-large bg-danger-wash px-3 py-2 text-danger", className)}
    >
      <CircleAlert className="mt-0.5 size-4 shrink-0" aria-hidden="true" />
      <div className="min-w-0 break-words">
        {error.message}
        {error.status >= 500 && error.problem.instance && (
          <span className="block font-mono text-caption">{error.problem.instance}</span>
        )}
      </div>
    </div>
  );
}
