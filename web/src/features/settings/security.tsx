import { useInfiniteQuery, useQueryClient, type InfiniteData } from "@tanstack/react-query";
import { Trans, useLingui } from "@lingui/react/macro";
import { Laptop, Smartphone } from "lucide-react";
import { useRef, useState, type FormEvent } from "react";
import { api, unwrap, type Session } from "@/api/client";
import { toError, type ApiError } from "@/api/errors";
import { keys } from "@/api/queries";
import { ErrorLine } from "@/components/error-card";
import { Card } from "@/components/page";
import { QueryView } from "@/components/query-view";
import { Badge } from "@/components/ui/badge";
import { Button } from "@/components/ui/button";
import { Confirm } from "@/components/ui/confirm";
import { TextField } from "@/components/ui/field";
import { Skeleton } from "@/components/ui/skeleton";
import { toast } from "@/components/ui/toast";
import { describeAgent, formatAgo, formatDateTime } from "@/lib/format";

function PasswordForm() {
  const { t } = useLingui();
  const client = useQueryClient();
  const form = useRef<HTMLFormElement>(null);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const [mismatch, setMismatch] = useState(false);
  const wrong = (field: string) => (error?.problem.field === field ? error.message : null);
  const general = error && !wrong("current_password") && !wrong("new_password");

  async function change(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    if (busy) return;
    const data = new FormData(event.currentTarget);
    const next = String(data.get("new_password"));
    setError(null);
    setMismatch(next !== String(data.get("again")));
    if (next !== String(data.get("again"))) return;
    setBusy(true);
    try {
      await unwrap(
        api.POST("/api/me/password", {
          body: { current_password: String(data.get("current_password")), new_password: next },
        }),
      );
      form.current?.reset();
      void client.invalidateQueries({ queryKey: keys.sessions });
      toast.ok(t`Your password was changed`, { detail: t`Every other session has ended.` });
    } catch (failure) {
      setError(toError(failure));
    } finally {
      setBusy(false);
    }
  }

  return (
    <form
      ref={form}
      onSubmit={(event) => void change(event)}
      className="flex max-w-md flex-col gap-4"
    >
      <TextField
        label={t`Current password`}
        name="current_password"
        type="password"
        autoComplete="current-password"
        required
        maxLength={1024}
        error={wrong("current_password")}
      />
      <TextField
        label={t`New password`}
        name="new_password"
        type="password"
        autoComplete="new-password"
        required
        minLength={15}
        maxLength={1024}
        hint={t`At least 15 characters`}
        error={wrong("new_password")}
      />
      <TextField
        label={t`New password again`}
        name="again"
        type="password"
        autoComplete="new-password"
        required
        maxLength={1024}
        error={mismatch ? t`The passwords do not match` : null}
      />
      {general && <ErrorLine error={error} />}
      <Button type="submit" variant="primary" busy={busy} className="self-start">
        {t`Change password`}
      </Button>
    </form>
  );
}

type SessionPages = InfiniteData<{ data: Session[]; next_cursor: string | null }, string | null>;

function SessionRow({ item, onEnd }: { item: Session; onEnd: (session: Session) => void }) {
  const { t } = useLingui();
  const agent = item.user_agent ?? "";
  const Icon = /Mobile|Android|iPhone/.test(agent) ? Smartphone : Laptop;
  const name = describeAgent(agent) ?? (agent.slice(0, 60) || t`Unknown program`);
  const seen = formatAgo(item.last_seen_us);
  const since = formatDateTime(item.created_us);
  return (
    <li className="flex items-center gap-4 border-t border-line px-5 py-3.5">
      <Icon className="size-5 shrink-0 text-faint" aria-hidden="true" />
      <div className="min-w-0 flex-1">
        <p className="flex flex-wrap items-center gap-x-2.5 gap-y-1 font-medium">
          <span className="break-words">{name}</span>
          {item.current && <Badge tone="ok">{t`This session`}</Badge>}
        </p>
        <p className="text-caption text-faint">
          {item.address && <>{item.address} · </>}
          <span title={t`Signed in ${since}`}>
            <Trans>last seen {seen}</Trans>
          </span>
        </p>
      </div>
      {!item.current && (
        <Button size="small" aria-label={t`End the session ${name}`} onClick={() => onEnd(item)}>
          {t`End`}
        </Button>
      )}
    </li>
  );
}

function Sessions() {
  const { t } = useLingui();
  const client = useQueryClient();
  const [all, setAll] = useState(false);
  const query = useInfiniteQuery({
    queryKey: keys.sessions,
    queryFn: ({ pageParam, signal }) =>
      unwrap(
        api.GET("/api/sessions", {
          params: { query: { ...(pageParam && { cursor: pageParam }), limit: 50 } },
          signal,
        }),
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
  });

  const keepOnly = (keep: (session: Session) => boolean) =>
    client.setQueryData<SessionPages>(
      keys.sessions,
      (data) =>
        data && {
          ...data,
          pages: data.pages.map((page) => ({ ...page, data: page.data.filter(keep) })),
        },
    );

  async function end(session: Session) {
    try {
      await unwrap(api.DELETE("/api/sessions/{id}", { params: { path: { id: session.id } } }));
      keepOnly((item) => item.id !== session.id);
      toast.ok(t`The session has ended`);
    } catch (failure) {
      toast.problem(t`The session could not be ended`, { detail: toError(failure).message });
    }
  }

  const others = query.data?.pages.some((page) => page.data.some((item) => !item.current));
  return (
    <Card
      flush
      title={t`Sessions`}
      description={t`Where you are signed in.`}
      action={
        others && (
          <Button size="small" onClick={() => setAll(true)}>
            {t`End all others`}
          </Button>
        )
      }
    >
      <QueryView
        query={query}
        errorTitle={t`Your sessions could not be loaded`}
        skeleton={
          <div className="flex flex-col gap-4 p-5">
            <Skeleton className="h-9" />
            <Skeleton className="h-9 w-4/5" />
          </div>
        }
      >
        {(data) => (
          <ul>
            {data.pages
              .flatMap((page) => page.data)
              .map((item) => (
                <SessionRow key={item.id} item={item} onEnd={(session) => void end(session)} />
              ))}
          </ul>
        )}
      </QueryView>
      {query.hasNextPage && (
        <div className="border-t border-line p-3 text-center">
          <Button
            size="small"
            busy={query.isFetchingNextPage}
            onClick={() => void query.fetchNextPage()}
          >
            {t`Show more`}
          </Button>
        </div>
      )}
      <Confirm
        open={all}
        onClose={() => setAll(false)}
        title={t`End all other sessions?`}
        action={t`End sessions`}
        run={async () => {
          await unwrap(api.DELETE("/api/sessions"));
          keepOnly((item) => item.current);
          toast.ok(t`All other sessions have ended`);
        }}
      >
        <p>{t`You stay signed in here and must sign in again everywhere else.`}</p>
      </Confirm>
    </Card>
  );
}

export function Security() {
  const { t } = useLingui();
  return (
    <>
      <Card title={t`Password`} description={t`Changing it ends every other session.`}>
        <PasswordForm />
      </Card>
      <Sessions />
    </>
  );
}
