import { useQueryClient } from "@tanstack/react-query";
import { useRouter, useSearch } from "@tanstack/react-router";
import { Trans, useLingui } from "@lingui/react/macro";
import { useState, type FormEvent } from "react";
import { api, unwrap } from "@/api/client";
import { toError, type ApiError } from "@/api/errors";
import { bootstrapQuery, meQuery } from "@/api/queries";
import { ErrorLine } from "@/components/error-card";
import { useTitle } from "@/components/page";
import { Button } from "@/components/ui/button";
import { TextField } from "@/components/ui/field";
import { Frame } from "./frame";
import "./messages";

export function LoginPage() {
  const { t } = useLingui();
  const client = useQueryClient();
  const router = useRouter();
  const { next } = useSearch({ strict: false });
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  useTitle(t`Sign in`);

  async function signIn(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    if (busy) return;
    const form = new FormData(event.currentTarget);
    setBusy(true);
    setError(null);
    try {
      const me = await unwrap(
        api.POST("/api/session", {
          body: {
            email: String(form.get("email")).trim(),
            password: String(form.get("password")),
          },
        }),
      );
      client.setQueryData(meQuery.queryKey, me);
      const boot = client.getQueryData(bootstrapQuery.queryKey);
      if (boot) client.setQueryData(bootstrapQuery.queryKey, { ...boot, signed_in: true });
      await router.navigate({ href: next ?? "/chat", replace: true });
    } catch (failure) {
      setError(toError(failure));
      setBusy(false);
    }
  }

  const wait = error?.status === 429 ? error.retryAfterSeconds : null;
  return (
    <Frame
      title={t`Sign in to Weir`}
      lead={next ? t`Sign in again to go on where you were.` : undefined}
    >
      <form onSubmit={(event) => void signIn(event)} className="flex flex-col gap-4">
        <TextField
          label={t`Email`}
          name="email"
          type="email"
          autoComplete="username"
          required
          maxLength={254}
          autoFocus
        />
        <TextField
          label={t`Password`}
          name="password"
          type="password"
          autoComplete="current-password"
          required
          maxLength={1024}
        />
        {error && <ErrorLine error={error} />}
        {wait !== null && (
          <p className="text-caption text-faint">
            <Trans>You can try again in {wait} seconds.</Trans>
          </p>
        )}
        <Button type="submit" variant="primary" size="large" busy={busy} className="mt-1">
          {t`Sign in`}
        </Button>
      </form>
    </Frame>
  );
}
