import { useInfiniteQuery } from "@tanstack/react-query";
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { Trans, useLingui } from "@lingui/react/macro";
import { Ellipsis, Pencil, Search, Trash2, X } from "lucide-react";
import { useEffect, useRef, useState, type RefObject } from "react";
import { api, unwrap, type Thread } from "@/api/client";
import { keys } from "@/api/queries";
import { QueryView } from "@/components/query-view";
import { Button, IconButton } from "@/components/ui/button";
import { Confirm } from "@/components/ui/confirm";
import { MenuButton } from "@/components/ui/menu";
import { Skeleton } from "@/components/ui/skeleton";
import { toast } from "@/components/ui/toast";
import { cx } from "@/lib/cx";
import { dayOf, type Day } from "@/lib/format";
import { useChangeThread, useDeleteThread } from "../actions";
import { useRuns } from "../runs";
import "../messages";

function useThreads(query: string) {
  return useInfiniteQuery({
    queryKey: keys.threads(query),
    queryFn: ({ pageParam, signal }) =>
      unwrap(
        api.GET("/api/threads", {
          params: {
            query: { ...(query && { query }), ...(pageParam && { cursor: pageParam }), limit: 50 },
          },
          signal,
        }),
      ),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    placeholderData: (before) => before,
    /* only while another tab or device has an answer in the making */
    refetchInterval: ({ state }) => {
      const followed = Object.keys(useRuns.getState().runs);
      const elsewhere = state.data?.pages.some((page) =>
        page.data.some((item) => item.active_run_id && !followed.includes(item.active_run_id)),
      );
      return elsewhere ? 5_000 : false;
    },
  });
}

function useLater<T>(value: T, ms: number): T {
  const [later, setLater] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setLater(value), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return later;
}

function RenameRow({ thread, onDone }: { thread: Thread; onDone: () => void }) {
  const { t } = useLingui();
  const change = useChangeThread();
  const box = useRef<HTMLInputElement>(null);
  const done = useRef(false);
  useEffect(() => box.current?.select(), []);
  function keep(title: string) {
    if (done.current) return;
    done.current = true;
    const next = title.trim();
    if (next && next !== thread.title) change.mutate({ id: thread.id, change: { title: next } });
    onDone();
  }
  return (
    <input
      ref={box}
      aria-label={t`Title of the chat`}
      defaultValue={thread.title}
      maxLength={200}
      onBlur={(event) => keep(event.target.value)}
      onKeyDown={(event) => {
        if (event.nativeEvent.isComposing) return;
        if (event.key === "Enter") keep(event.currentTarget.value);
        if (event.key === "Escape") {
          done.current = true;
          onDone();
        }
      }}
      className="h-9 w-full rounded-small border border-accent bg-raised px-2 text-read outline-none sm:text-ui"
    />
  );
}

type RowProps = {
  thread: Thread;
  current: boolean;
  onNavigate: () => void;
  onDelete: (thread: Thread) => void;
};

function Row({ thread, current, onNavigate, onDelete }: RowProps) {
  const { t } = useLingui();
  const [renaming, setRenaming] = useState(false);
  const title = thread.title || t`New chat`;
  if (renaming) return <RenameRow thread={thread} onDone={() => setRenaming(false)} />;
  return (
    <div
      className={cx(
        "group/row relative flex h-9 pointer-coarse:h-11 items-center rounded-small transition-colors duration-100",
        current ? "bg-selected" : "hover:bg-hover",
      )}
    >
      <Link
        to="/chat/{-$threadId}"
        params={{ threadId: thread.id }}
        onClick={onNavigate}
        aria-current={current ? "page" : undefined}
        className={cx(
          "flex h-full min-w-0 flex-1 items-center gap-2 rounded-small pl-2.5 -outline-offset-2",
          current ? "font-medium text-ink" : "text-soft group-hover/row:text-ink",
        )}
      >
        <span className="truncate">{title}</span>
        {thread.active_run_id && (
          <span className="size-2 shrink-0 animate-pulse rounded-full bg-accent">
            <span className="sr-only">{t`Being answered`}</span>
          </span>
        )}
      </Link>
      <MenuButton
        label={t`Chat “${title}”`}
        items={[
          { id: "rename", label: t`Rename`, icon: Pencil, run: () => setRenaming(true) },
          {
            id: "delete",
            label: t`Delete`,
            icon: Trash2,
            danger: true,
            run: () => onDelete(thread),
          },
        ]}
      >
        {(trigger, open) => (
          <IconButton
            {...trigger}
            label={t`More for “${title}”`}
            size="small"
            className={cx(
              "mr-1",
              !open &&
                !current &&
                "pointer-fine:opacity-0 group-hover/row:opacity-100 focus-visible:opacity-100",
            )}
          >
            <Ellipsis className="size-4" aria-hidden="true" />
          </IconButton>
        )}
      </MenuButton>
    </div>
  );
}

function useDayLabel() {
  const { t } = useLingui();
  return (day: Day): string => {
    if (typeof day === "object") return day.month;
    if (day === "today") return t`Today`;
    if (day === "yesterday") return t`Yesterday`;
    if (day === "week") return t`Previous 7 days`;
    return t`Previous 30 days`;
  };
}

type ThreadListProps = {
  searchRef?: RefObject<HTMLInputElement | null>;
  onNavigate: () => void;
};

export default function ThreadList({ searchRef, onNavigate }: ThreadListProps) {
  const { t } = useLingui();
  const navigate = useNavigate();
  const { threadId } = useParams({ strict: false });
  const [search, setSearch] = useState("");
  const query = useLater(search.trim(), 200);
  const threads = useThreads(query);
  const remove = useDeleteThread();
  const [doomed, setDoomed] = useState<Thread | null>(null);
  const labelOf = useDayLabel();
  const { fetchNextPage, hasNextPage, isFetchingNextPage } = threads;

  const end = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const mark = end.current;
    if (!mark || !hasNextPage || typeof IntersectionObserver === "undefined") return;
    const observer = new IntersectionObserver(([entry]) => {
      if (entry?.isIntersecting && !isFetchingNextPage) void fetchNextPage();
    });
    observer.observe(mark);
    return () => observer.disconnect();
  }, [hasNextPage, isFetchingNextPage, fetchNextPage]);

  function grouped(items: Thread[]) {
    const groups: { label: string; items: Thread[] }[] = [];
    for (const item of items) {
      const label = labelOf(dayOf(item.updated_us));
      const last = groups.at(-1);
      if (last?.label === label) last.items.push(item);
      else groups.push({ label, items: [item] });
    }
    return groups;
  }

  return (
    <div className="flex min-h-0 flex-1 flex-col">
      <div className="relative mx-3 mb-1">
        <Search
          className="pointer-events-none absolute top-2.5 left-2.5 size-4 text-faint"
          aria-hidden="true"
        />
        <input
          ref={searchRef}
          type="search"
          value={search}
          maxLength={200}
          onChange={(event) => setSearch(event.target.value)}
          onKeyDown={(event) => {
            if (event.key === "Escape") setSearch("");
          }}
          aria-label={t`Search chats`}
          placeholder={t`Search chats`}
          className="h-9 w-full rounded-small border border-transparent bg-transparent pr-8 pl-8.5 text-read outline-none hover:bg-hover focus:border-control focus:bg-raised sm:text-ui [&::-webkit-search-cancel-button]:hidden"
        />
        {search && (
          <IconButton
            label={t`Clear search`}
            size="small"
            className="absolute top-1 right-1"
            onClick={() => setSearch("")}
          >
            <X className="size-4" aria-hidden="true" />
          </IconButton>
        )}
      </div>
      <nav aria-label={t`Chats`} className="min-h-0 flex-1 overflow-y-auto px-3 pb-4">
        <QueryView
          query={threads}
          errorTitle={t`Your chats could not be loaded`}
          skeleton={
            <div className="flex flex-col gap-2 pt-3">
              {["w-2/5", "w-11/12", "w-3/4", "w-5/6", "w-2/3"].map((width) => (
                <Skeleton key={width} className={`h-5 ${width}`} />
              ))}
            </div>
          }
          isEmpty={(data) => data.pages.every((page) => page.data.length === 0)}
          empty={
            <p className="px-2.5 pt-3 text-faint">
              {query ? (
                <Trans>No chat has “{query}” in its title.</Trans>
              ) : (
                <Trans>Your chats will be listed here.</Trans>
              )}
            </p>
          }
        >
          {(data) =>
            grouped(data.pages.flatMap((page) => page.data)).map((group) => (
              <section key={group.label}>
                <h2 className="px-2.5 pt-4 pb-1 text-caption font-medium text-faint">
                  {group.label}
                </h2>
                <ul>
                  {group.items.map((thread) => (
                    <li key={thread.id}>
                      <Row
                        thread={thread}
                        current={thread.id === threadId}
                        onNavigate={onNavigate}
                        onDelete={setDoomed}
                      />
                    </li>
                  ))}
                </ul>
              </section>
            ))
          }
        </QueryView>
        {hasNextPage && (
          <div ref={end} className="pt-2 text-center">
            <Button size="small" busy={isFetchingNextPage} onClick={() => void fetchNextPage()}>
              {t`Show more`}
            </Button>
          </div>
        )}
      </nav>
      <Confirm
        open={doomed !== null}
        onClose={() => setDoomed(null)}
        title={t`Delete this chat?`}
        action={t`Delete`}
        run={async () => {
          if (!doomed) return;
          await remove(doomed.id);
          toast.ok(t`The chat was deleted`);
          if (doomed.id === threadId) {
            void navigate({ to: "/chat/{-$threadId}", params: { threadId: undefined } });
          }
        }}
      >
        <p className="break-words">
          <Trans>
            “{doomed?.title || t`New chat`}” and all its messages, in every version, will be gone.
            This cannot be undone.
          </Trans>
        </p>
      </Confirm>
    </div>
  );
}
