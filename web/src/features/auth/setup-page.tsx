import { useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { Trans, useLingui } from "@lingui/react/macro";
import { useState, useSyncExternalStore, type FormEvent } from "react";
import { api, unwrap } from "@/api/client";
import { toError, type ApiError } from "@/api/errors";
import { bootstrapQuery, meQuery } from "@/api/queries";
import { ErrorLine } from "@/components/error-card";
import { useTitle } from "@/components/page";
import { Button } from "@/components/ui/button";
import { TextField } from "@/components/ui/field";
import { Frame } from "./frame";
import "./messages";

const PASSWORD_CHARS_MIN = 15;

/* The token is in the fragment, which browsers do not send: so it is in no log. */
const tokenInLink = () => new URLSearchParams(window.location.hash.slice(1)).get("token") ?? "";

/* The link may be opened where this page already is: then only the fragment changes. */
const onHashChange = (changed: () => void) => {
  window.addEventListener("hashchange", changed);
  return () => window.removeEventListener("hashchange", changed);
};

export function SetupPage() {
  const { t } = useLingui();
  const client = useQueryClient();
  const navigate = useNavigate();
  const linkToken = useSyncExternalStore(onHashChange, tokenInLink);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const [short, setShort] = useState(false);
  useTitle(t`Set up`);

  const wrong = (field: string) => (error?.problem.field === field ? error.message : null);
  const tokenRefused = error?.kind === "wrong-setup-token";
  const general =
    error && !["email", "password", "name", "organisation"].includes(error.problem.field ?? "");

  async function setUp(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    if (busy) return;
    const form = new FormData(event.currentTarget);
    const text = (name: string) => String(form.get(name) ?? "");
    setError(null);
    if ([...text("password")].length < PASSWORD_CHARS_MIN) {
      setShort(true);
      return;
    }
    setShort(false);
    setBusy(true);
    try {
      const me = await unwrap(
        api.POST("/api/setup", {
          body: {
            token: text("token").trim() || linkToken,
            email: text("email").trim(),
            password: text("password"),
            name: text("name").trim(),
            organisation: text("organisation").trim(),
          },
        }),
      );
      client.setQueryData(
        bootstrapQuery.queryKey,
        (boot) => boot && { ...boot, needs_setup: false, signed_in: true },
      );
      client.setQueryData(meQuery.queryKey, me);
      await navigate({ to: "/chat/{-$threadId}", replace: true });
    } catch (failure) {
      setError(toError(failure));
      setBusy(false);
    }
  }

  return (
    <Frame
      title={t`Welcome to Weir`}
      lead={t`Create the first account. It owns this installation.`}
      foot={<Trans>Everything stays on your own server.</Trans>}
    >
      <form onSubmit={(event) => void setUp(event)} className="flex flex-col gap-4">
        {(!linkToken || tokenRefused) && (
          <TextField
            label={t`Set-up code`}
            name="token"
            required
            maxLength={200}
            autoComplete="off"
            spellCheck={false}
            hint={t`From the link that the server printed when it first started`}
          />
        )}
        <TextField
          label={t`Your name`}
          name="name"
          autoComplete="name"
          required
          maxLength={100}
          error={wrong("name")}
          autoFocus
        />
        <TextField
          label={t`Email`}
          name="email"
          type="email"
          autoComplete="username"
          required
          maxLength={254}
          error={wrong("email")}
        />
        <TextField
          label={t`Password`}
          name="password"
          type="password"
          autoComplete="new-password"
          required
          maxLength={1024}
          error={short ? t`Too short: at least 15 characters` : wrong("password")}
          hint={t`At least 15 characters. A sentence is easy to remember.`}
        />
        <TextField
          label={t`Organisation`}
          name="organisation"
          autoComplete="organization"
          required
          maxLength={100}
          error={wrong("organisation")}
          hint={t`Your team or company; you can work alone in it`}
        />
        {error && general && <ErrorLine error={error} />}
        <Button type="submit" variant="primary" size="large" busy={busy} className="mt-1">
          {t`Create the account`}
        </Button>
      </form>
    </Frame>
  );
}
