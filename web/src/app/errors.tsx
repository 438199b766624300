import { Link, type ErrorComponentProps } from "@tanstack/react-router";
import { Trans, useLingui } from "@lingui/react/macro";
import { toError } from "@/api/errors";
import { ErrorCard } from "@/components/error-card";
import { Mark } from "@/components/logo";
import { buttonClass } from "@/components/ui/button";

/* The server did not say who is there: nothing else can be shown. */
export function BootError({ error, reset }: ErrorComponentProps) {
  const { t } = useLingui();
  return (
    <main className="mx-auto flex min-h-dvh max-w-md flex-col justify-center gap-5 p-4">
      <h1 className="sr-only">Weir</h1>
      <Mark className="size-10" />
      <ErrorCard error={toError(error)} title={t`Weir cannot be reached`} onRetry={reset} />
    </main>
  );
}

/* One page broke; the rail beside it lives on. */
export function PageError({ error, reset }: ErrorComponentProps) {
  const { t } = useLingui();
  return (
    <main id="main" className="mx-auto w-full max-w-xl p-4 pt-16">
      <ErrorCard error={toError(error)} title={t`This page could not be shown`} onRetry={reset} />
    </main>
  );
}

export function NotFound() {
  return (
    <main
      id="main"
      className="flex min-h-[60dvh] flex-1 flex-col items-center justify-center gap-4 p-6 text-center"
    >
      <h1 className="text-head font-semibold">
        <Trans>There is nothing here</Trans>
      </h1>
      <p className="text-soft">
        <Trans>The address may be mistyped, or what was here is gone.</Trans>
      </p>
      <Link to="/chat/{-$threadId}" className={buttonClass("primary")}>
        <Trans>Go to your chats</Trans>
      </Link>
    </main>
  );
}
