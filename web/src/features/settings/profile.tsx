import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useLingui } from "@lingui/react/macro";
import { useState, type FormEvent } from "react";
import { api, unwrap, type Me } from "@/api/client";
import { toError, type ApiError } from "@/api/errors";
import { meQuery } from "@/api/queries";
import { ErrorLine } from "@/components/error-card";
import { Card } from "@/components/page";
import { QueryView } from "@/components/query-view";
import { Button } from "@/components/ui/button";
import { TextField } from "@/components/ui/field";
import { Skeleton } from "@/components/ui/skeleton";
import { toast } from "@/components/ui/toast";
import { formatDate } from "@/lib/format";

function NameForm({ me }: { me: Me }) {
  const { t } = useLingui();
  const client = useQueryClient();
  const [name, setName] = useState(me.user.name);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const changed = name.trim() !== me.user.name && name.trim() !== "";

  async function keep(event: FormEvent) {
    event.preventDefault();
    if (busy || !changed) return;
    setBusy(true);
    setError(null);
    try {
      const next = await unwrap(api.PATCH("/api/me", { body: { name: name.trim() } }));
      client.setQueryData(meQuery.queryKey, next);
      setName(next.user.name);
      toast.ok(t`Your name was changed`);
    } catch (failure) {
      setError(toError(failure));
    } finally {
      setBusy(false);
    }
  }

  return (
    <form onSubmit={(event) => void keep(event)} className="flex max-w-md flex-col gap-4">
      <TextField
        label={t`Name`}
        value={name}
        onChange={(event) => setName(event.target.value)}
        autoComplete="name"
        required
        maxLength={100}
      />
      <TextField label={t`Email`} value={me.user.email} readOnly disabled />
      {error && <ErrorLine error={error} />}
      <Button
        type="submit"
        variant="primary"
        busy={busy}
        disabled={!changed}
        className="self-start"
      >
        {t`Save`}
      </Button>
    </form>
  );
}

export function Profile() {
  const { t } = useLingui();
  const query = useQuery(meQuery);
  return (
    <QueryView
      query={query}
      errorTitle={t`Your profile could not be loaded`}
      skeleton={<Skeleton className="h-64" />}
    >
      {(me) => {
        const since = formatDate(me.user.created_us);
        return (
          <>
            <Card title={t`Profile`}>
              <NameForm me={me} />
            </Card>
            <Card title={t`Organisation`}>
              <dl className="grid grid-cols-[auto_1fr] gap-x-8 gap-y-2">
                <dt className="text-faint">{t`Name`}</dt>
                <dd className="break-words">{me.organisation.name}</dd>
                <dt className="text-faint">{t`Your role`}</dt>
                <dd>{me.organisation.role === "owner" ? t`Owner` : t`Member`}</dd>
                <dt className="text-faint">{t`Project`}</dt>
                <dd className="break-words">{me.project.name}</dd>
                <dt className="text-faint">{t`Since`}</dt>
                <dd>{since}</dd>
              </dl>
            </Card>
          </>
        );
      }}
    </QueryView>
  );
}
