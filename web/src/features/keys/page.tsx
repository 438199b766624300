import { useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { Trans, useLingui } from "@lingui/react/macro";
import { Ellipsis, KeyRound, Pencil, Plus, Trash2 } from "lucide-react";
import { useState } from "react";
import { api, unwrap, type Key } from "@/api/client";
import { keys, meQuery } from "@/api/queries";
import { EmptyState } from "@/components/empty-state";
import { Card, Page } from "@/components/page";
import { QueryView } from "@/components/query-view";
import { RenameDialog } from "@/components/rename-dialog";
import { Badge } from "@/components/ui/badge";
import { Button, IconButton } from "@/components/ui/button";
import { Confirm } from "@/components/ui/confirm";
import { MenuButton } from "@/components/ui/menu";
import { Skeleton } from "@/components/ui/skeleton";
import { toast } from "@/components/ui/toast";
import { formatAgo, formatDate, formatDateTime } from "@/lib/format";
import { Example } from "./example-card";
import { NewKeyDialog, type KeyPages } from "./new-key-dialog";
import "./messages";

function useKeys() {
  return useInfiniteQuery({
    queryKey: keys.apiKeys,
    queryFn: ({ pageParam, signal }) =>
      unwrap(
        api.GET("/api/keys", {
          params: { query: { ...(pageParam && { cursor: pageParam }), limit: 50 } },
          signal,
        }),
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
  });
}

function Expiry({ us }: { us: number | null }) {
  if (us === null)
    return (
      <span className="text-faint">
        <Trans>Never</Trans>
      </span>
    );
  // oxlint-disable-next-line react/purity -- as good as the moment it was drawn
  if (us / 1000 < Date.now())
    return (
      <Badge tone="danger">
        <Trans>Expired</Trans>
      </Badge>
    );
  return <time title={formatDateTime(us)}>{formatDate(us)}</time>;
}

type RowProps = { item: Key; onRename: (key: Key) => void; onRevoke: (key: Key) => void };

/* A table on a wide screen, a list of cards on a phone: the same cells, laid out anew. */
function Row({ item, onRename, onRevoke }: RowProps) {
  const { t } = useLingui();
  const cell = "px-5 py-3 max-sm:px-4 max-sm:py-0.5";
  const small = `${cell} max-sm:flex max-sm:justify-between max-sm:gap-4 max-sm:text-caption`;
  const head = "text-faint sm:hidden";
  const me = useQuery(meQuery).data?.user.id;
  const maker = me === undefined || item.created_by.id === me ? null : item.created_by.name;
  return (
    <tr
      role="row"
      className="border-t border-line max-sm:first:border-t-0 max-sm:relative max-sm:flex max-sm:flex-col max-sm:py-3"
    >
      <th role="rowheader" scope="row" className={`${cell} text-left font-medium max-sm:pr-14`}>
        <span className="block break-words">{item.name}</span>
        <code className="font-mono text-caption font-normal text-faint">{item.hint}</code>
      </th>
      <td role="cell" className={`${small} max-sm:pt-2`}>
        <span className={head}>{t`Created`}</span>
        <span>
          <time title={formatDateTime(item.created_us)}>{formatDate(item.created_us)}</time>
          {maker !== null && <span className="block break-words text-faint">{maker}</span>}
        </span>
      </td>
      <td role="cell" className={small}>
        <span className={head}>{t`Last used`}</span>
        {item.last_used_us === null ? (
          <span className="text-faint">{t`Not yet`}</span>
        ) : (
          <time title={formatDateTime(item.last_used_us)}>{formatAgo(item.last_used_us)}</time>
        )}
      </td>
      <td role="cell" className={small}>
        <span className={head}>{t`Expires`}</span>
        <Expiry us={item.expires_us} />
      </td>
      <td role="cell" className="w-12 pr-3 text-right max-sm:absolute max-sm:top-3 max-sm:right-0">
        <MenuButton
          label={t`Key “${item.name}”`}
          align="end"
          items={[
            { id: "rename", label: t`Rename`, icon: Pencil, run: () => onRename(item) },
            {
              id: "revoke",
              label: t`Revoke`,
              icon: Trash2,
              danger: true,
              run: () => onRevoke(item),
            },
          ]}
        >
          {(trigger) => (
            <IconButton {...trigger} label={t`More for “${item.name}”`} size="small">
              <Ellipsis className="size-4" aria-hidden="true" />
            </IconButton>
          )}
        </MenuButton>
      </td>
    </tr>
  );
}

export function KeysPage() {
  const { t } = useLingui();
  const client = useQueryClient();
  const query = useKeys();
  const [creating, setCreating] = useState(false);
  const [renamed, setRenamed] = useState<Key | null>(null);
  const [doomed, setDoomed] = useState<Key | null>(null);

  function change(map: (list: Key[]) => Key[]) {
    client.setQueryData<KeyPages>(
      keys.apiKeys,
      (data) =>
        data && {
          ...data,
          pages: data.pages.map((page) => ({ ...page, data: map(page.data) })),
        },
    );
  }

  const newKey = (
    <Button variant="primary" onClick={() => setCreating(true)}>
      <Plus className="size-4" aria-hidden="true" />
      {t`New key`}
    </Button>
  );

  return (
    <Page
      title={t`API keys`}
      description={t`Use your models from your own programs, with any OpenAI SDK.`}
      action={newKey}
    >
      <Card flush>
        <QueryView
          query={query}
          errorTitle={t`Your keys could not be loaded`}
          skeleton={
            <div className="flex flex-col gap-4 p-5">
              {["a", "b", "c"].map((row) => (
                <div key={row} className="flex gap-6">
                  <Skeleton className="h-9 w-1/3" />
                  <Skeleton className="h-9 flex-1" />
                </div>
              ))}
            </div>
          }
          isEmpty={(data) => data.pages.every((page) => page.data.length === 0)}
          empty={
            <EmptyState
              icon={KeyRound}
              title={t`No keys yet`}
              action={
                <Button onClick={() => setCreating(true)}>
                  <Plus className="size-4" aria-hidden="true" />
                  {t`Create your first key`}
                </Button>
              }
            >
              <Trans>A key lets a program speak to your models. It takes a minute.</Trans>
            </EmptyState>
          }
        >
          {(data) => (
            <table role="table" className="w-full max-sm:block">
              <caption className="sr-only">{t`API keys`}</caption>
              <thead role="rowgroup" className="max-sm:sr-only">
                <tr role="row" className="text-left text-caption text-faint">
                  {[t`Name`, t`Created`, t`Last used`, t`Expires`].map((label) => (
                    <th
                      role="columnheader"
                      scope="col"
                      key={label}
                      className="px-5 py-2.5 font-medium"
                    >
                      {label}
                    </th>
                  ))}
                  <th role="columnheader" scope="col" className="w-12">
                    <span className="sr-only">{t`Actions`}</span>
                  </th>
                </tr>
              </thead>
              <tbody role="rowgroup" className="tabular max-sm:block">
                {data.pages
                  .flatMap((page) => page.data)
                  .map((item) => (
                    <Row key={item.id} item={item} onRename={setRenamed} onRevoke={setDoomed} />
                  ))}
              </tbody>
            </table>
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
      </Card>

      <Card title={t`Use a key`} description={t`Put your key in place of weir_sk_… and run it.`}>
        <Example secret={null} />
      </Card>

      <NewKeyDialog open={creating} onClose={() => setCreating(false)} />
      <RenameDialog
        open={renamed !== null}
        title={t`Rename the key`}
        name={renamed?.name ?? ""}
        onClose={() => setRenamed(null)}
        run={async (name) => {
          if (!renamed) return;
          const next = await unwrap(
            api.PATCH("/api/keys/{id}", { params: { path: { id: renamed.id } }, body: { name } }),
          );
          change((list) => list.map((item) => (item.id === next.id ? next : item)));
        }}
      />
      <Confirm
        open={doomed !== null}
        onClose={() => setDoomed(null)}
        title={t`Revoke this key?`}
        action={t`Revoke`}
        run={async () => {
          if (!doomed) return;
          await unwrap(api.DELETE("/api/keys/{id}", { params: { path: { id: doomed.id } } }));
          change((list) => list.filter((item) => item.id !== doomed.id));
          toast.ok(t`The key was revoked`);
        }}
      >
        <p className="break-words">
          <Trans>
            Programs that use “{doomed?.name}” (<code>{doomed?.hint}</code>) will be refused within
            seconds. This cannot be undone.
          </Trans>
        </p>
      </Confirm>
    </Page>
  );
}
