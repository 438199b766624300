import type { UseQueryResult } from "@tanstack/react-query";
import { useLingui } from "@lingui/react/macro";
import { ArrowDown } from "lucide-react";
import { useEffect, useLayoutEffect, useRef, useState, type ReactNode } from "react";
import type { Message, ThreadDetail } from "@/api/client";
import type { ApiError } from "@/api/errors";
import { ErrorLine } from "@/components/error-card";
import { QueryView } from "@/components/query-view";
import { Skeleton } from "@/components/ui/skeleton";
import { alternatives, type Tree } from "../tree";
import { useStickToEnd } from "../use-stick-to-end";
import { AssistantTurn } from "./assistant-turn";
import { UserTurn } from "./user-turn";

/* What was sent and not yet acknowledged; without content, a further answer is asked for. */
export type Pending = { parentId: string | null; content: string | null };

const WINDOW = 30;

function LoadingTurns() {
  return (
    <div className="flex flex-col gap-8 pt-4">
      <Skeleton className="h-11 w-2/5 self-end" />
      <div className="flex flex-col gap-3">
        <Skeleton className="h-5 w-full" />
        <Skeleton className="h-5 w-11/12" />
        <Skeleton className="h-5 w-3/5" />
      </div>
    </div>
  );
}

function Thinking() {
  return (
    <div className="flex gap-1 py-2" role="status">
      <span className="size-1.5 animate-pulse rounded-full bg-accent" />
      <span className="size-1.5 animate-pulse rounded-full bg-accent [animation-delay:0.2s]" />
      <span className="size-1.5 animate-pulse rounded-full bg-accent [animation-delay:0.4s]" />
    </div>
  );
}

type ConversationProps = {
  threadId: string | null;
  query: UseQueryResult<ThreadDetail>;
  tree: Tree;
  path: readonly Message[];
  pending: Pending | null;
  busy: boolean;
  editing: string | null;
  refused: ApiError | null;
  composer: ReactNode;
  onEdit: (id: string | null) => void;
  onResend: (id: string, text: string) => void;
  onRegenerate: (message: Message) => void;
  onSelect: (leafId: string) => void;
};

export function Conversation(props: ConversationProps) {
  const { t } = useLingui();
  const { threadId, query, tree, path, pending, busy, editing, refused } = props;
  const { scroller, content, atEnd, toEnd } = useStickToEnd();
  const [shown, setShown] = useState(WINDOW);
  const earlier = useRef<HTMLDivElement>(null);

  /* handlers that keep their identity, so that settled turns are not drawn again */
  const handlers = useRef(props);
  useLayoutEffect(() => {
    handlers.current = props;
  });
  const [stable] = useState(() => ({
    edit: (id: string | null) => handlers.current.onEdit(id),
    resend: (id: string, text: string) => handlers.current.onResend(id, text),
    regenerate: (message: Message) => handlers.current.onRegenerate(message),
    select: (leafId: string) => handlers.current.onSelect(leafId),
  }));

  useLayoutEffect(() => toEnd(), [toEnd, threadId, query.isSuccess]);
  useEffect(() => {
    if (pending) toEnd();
  }, [pending, toEnd]);

  /* while something is on its way, the branch ends at what it answers */
  const cut = pending
    ? path.findIndex((message) => message.id === pending.parentId) + 1
    : path.length;
  const visible = path.slice(Math.max(0, cut - shown), cut);
  const hidden = cut - visible.length;

  useEffect(() => {
    const mark = earlier.current;
    const box = scroller.current;
    if (!mark || !box || typeof IntersectionObserver === "undefined") return;
    const observer = new IntersectionObserver(
      ([entry]) => {
        if (!entry?.isIntersecting) return;
        const fromEnd = box.scrollHeight - box.scrollTop;
        setShown((count) => count + WINDOW);
        requestAnimationFrame(() => {
          box.scrollTop = box.scrollHeight - fromEnd;
        });
      },
      { root: box, rootMargin: "400px 0px 0px 0px" },
    );
    observer.observe(mark);
    return () => observer.disconnect();
  }, [hidden, scroller]);

  const turns = (
    <>
      {hidden > 0 && <div ref={earlier} className="h-px" />}
      {visible.map((message, index) =>
        message.role === "user" ? (
          <UserTurn
            key={message.id}
            id={message.id}
            text={message.content}
            versions={alternatives(tree, message)}
            editing={editing === message.id}
            busy={busy}
            onEdit={stable.edit}
            onSend={stable.resend}
            onSelect={stable.select}
          />
        ) : (
          <AssistantTurn
            key={message.id}
            message={message}
            versions={alternatives(tree, message)}
            busy={busy}
            last={index === visible.length - 1}
            onRegenerate={stable.regenerate}
            onSelect={stable.select}
          />
        ),
      )}
      {pending?.content && (
        <UserTurn
          id={null}
          text={pending.content}
          versions={null}
          editing={false}
          busy
          onEdit={stable.edit}
          onSend={stable.resend}
          onSelect={stable.select}
        />
      )}
      {pending && <Thinking />}
    </>
  );

  return (
    <div className="relative flex min-h-0 flex-1 flex-col">
      <div
        ref={scroller}
        tabIndex={0}
        role="region"
        aria-label={t`Conversation`}
        className="min-h-0 flex-1 overflow-y-auto overscroll-contain -outline-offset-2"
      >
        <div ref={content} className="mx-auto flex w-full max-w-184 flex-col gap-6 px-4 pt-4 pb-10">
          {threadId === null ? (
            turns
          ) : (
            <QueryView
              query={query}
              errorTitle={t`This chat could not be loaded`}
              skeleton={<LoadingTurns />}
            >
              {() => turns}
            </QueryView>
          )}
          {refused && <ErrorLine error={refused} />}
        </div>
      </div>
      <div className="relative mx-auto w-full max-w-184 px-4 pb-[max(0.5rem,env(safe-area-inset-bottom))] before:pointer-events-none before:absolute before:inset-x-0 before:bottom-full before:h-6 before:bg-linear-to-t before:from-page before:to-transparent">
        {!atEnd && (
          <button
            type="button"
            onClick={() => toEnd(true)}
            className="absolute bottom-full left-1/2 mb-3 grid size-9 -translate-x-1/2 place-items-center rounded-full border border-line bg-raised text-soft shadow-pop hover:text-ink pointer-coarse:size-10"
            aria-label={t`Jump to the latest`}
            title={t`Jump to the latest`}
          >
            <ArrowDown className="size-4.5" aria-hidden="true" />
          </button>
        )}
        {props.composer}
        <p className="pt-2 text-center text-caption text-faint max-sm:hidden">
          {t`Models make mistakes. Check what matters.`}
        </p>
      </div>
    </div>
  );
}
