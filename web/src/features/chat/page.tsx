import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useParams } from "@tanstack/react-router";
import { useLingui } from "@lingui/react/macro";
import { useEffect, useMemo, useRef, useState } from "react";
import { api, unwrap, type Message } from "@/api/client";
import { toError, type ApiError } from "@/api/errors";
import { keys, modelsQuery } from "@/api/queries";
import { useTitle } from "@/components/page";
import { toast } from "@/components/ui/toast";
import { useHotkeys } from "@/lib/hotkeys";
import { copyText } from "@/lib/clipboard";
import { createThread, startRun, useChangeThread, useStopRun } from "./actions";
import { ChatHeader } from "./components/chat-header";
import { Composer, type ComposerHandle } from "./components/composer";
import { Conversation, type Pending } from "./components/conversation";
import { ModelPicker, pickModel, useModelState } from "./components/model-picker";
import { SidePanel } from "./components/side-panel";
import { NothingYet } from "./components/nothing-yet";
import { follow, useRuns } from "./runs";
import { useNewChat, usePanel } from "./store";
import { branch, buildTree } from "./tree";
import "./messages";

const noMessages: Message[] = [];

export function ChatPage() {
  const { threadId } = useParams({ strict: false });
  /* a thread that was just made here keeps the view, and the composer with it, alive */
  const [made, setMade] = useState<string | null>(null);
  const key = threadId !== undefined && threadId === made ? "new" : (threadId ?? "new");
  return <Chat key={key} threadId={threadId ?? null} onMade={setMade} />;
}

type ChatProps = { threadId: string | null; onMade: (id: string) => void };

function Chat({ threadId, onMade }: ChatProps) {
  const { t } = useLingui();
  const client = useQueryClient();
  const navigate = useNavigate();
  const thread = useQuery({
    queryKey: keys.thread(threadId ?? ""),
    queryFn: ({ signal }) =>
      unwrap(api.GET("/api/threads/{id}", { params: { path: { id: threadId ?? "" } }, signal })),
    enabled: threadId !== null,
    staleTime: 10_000,
  });
  const models = useQuery(modelsQuery);
  const fresh = useNewChat();
  const panel = usePanel();
  const changeThread = useChangeThread();
  const stopRun = useStopRun();
  const stateOf = useModelState();
  const composer = useRef<ComposerHandle>(null);
  const [pending, setPending] = useState<Pending | null>(null);
  const [editing, setEditing] = useState<string | null>(null);
  const [refused, setRefused] = useState<ApiError | null>(null);

  const detail = threadId === null ? undefined : thread.data;
  const messages = detail?.messages ?? noMessages;
  const tree = useMemo(() => buildTree(messages), [messages]);
  const path = useMemo(() => branch(tree, detail?.leaf_id ?? null), [tree, detail?.leaf_id]);
  const active = messages.find(
    (message) => message.status === "queued" || message.status === "running",
  );
  const runId = active?.run_id ?? null;
  const stopping = useRuns((state) => (runId ? state.runs[runId]?.stopping : false) ?? false);

  useTitle(detail ? detail.title || t`New chat` : t`Chat`);

  /* an answer that was being written when this page was opened, or on another device */
  useEffect(() => {
    if (threadId && active) follow(client, threadId, active);
  }, [client, threadId, active]);

  useEffect(() => {
    if (!window.matchMedia("(pointer: coarse)").matches) composer.current?.focus();
  }, [threadId]);

  const list = models.data ?? [];
  const model = pickModel(list, detail ? (detail.model ?? fresh.model) : fresh.model);
  const busy = active !== undefined || pending !== null;

  let blocked: string | null = null;
  if (models.data && !model) blocked = t`There is no model to answer yet`;
  else if (model && (model.state.phase === "failed" || model.state.phase === "stopped"))
    blocked = stateOf(model); /* one that is asleep or loading is waited for */
  else if (threadId !== null && !detail) blocked = "";

  async function run(next: Pending, draft: string | null) {
    if (!model) return;
    setRefused(null);
    setEditing(null);
    setPending(next);
    try {
      let id = threadId;
      if (id === null) {
        const created = await createThread(client, {
          model: model.id,
          system_prompt: fresh.systemPrompt,
          parameters: fresh.parameters,
        });
        id = created.id;
      }
      await startRun(client, id, {
        parent_id: next.parentId,
        model: model.id,
        ...(next.content !== null && { content: next.content }),
      });
      setPending(null);
      if (threadId === null) {
        fresh.reset();
        onMade(id);
        await navigate({ to: "/chat/{-$threadId}", params: { threadId: id }, replace: true });
      }
    } catch (failure) {
      setPending(null);
      setRefused(toError(failure));
      if (draft !== null) composer.current?.set(draft);
    }
  }

  const say = (content: string) =>
    void run({ parentId: path.at(-1)?.id ?? null, content }, content);
  const regenerate = (message: Message) =>
    void run({ parentId: message.parent_id, content: null }, null);
  const resend = (id: string, content: string) =>
    void run({ parentId: tree.byId.get(id)?.parent_id ?? null, content }, null);
  const select = (leafId: string) => {
    if (threadId) changeThread.mutate({ id: threadId, change: { leaf_id: leafId } });
  };
  const pick = (id: string) => {
    fresh.setModel(id);
    if (threadId) changeThread.mutate({ id: threadId, change: { model: id } });
  };
  const editLast = () => {
    const last = path.findLast((message) => message.role === "user");
    if (last && !busy) setEditing(last.id);
  };

  useHotkeys([
    {
      key: "Escape",
      inFields: true,
      run: () => {
        if (runId && !stopping) stopRun(runId);
      },
    },
    {
      key: "c",
      mod: true,
      shift: true,
      run: () => {
        const answer = path.findLast((message) => message.role === "assistant");
        if (!answer) return;
        void copyText(answer.content).then((copied) => {
          if (copied) toast.ok(t`Answer copied`);
        });
      },
    },
    { key: "/", run: () => composer.current?.focus() },
  ]);

  const empty = threadId === null || (detail !== undefined && messages.length === 0);
  const box = (
    <Composer
      key={threadId}
      ref={composer}
      draftKey={`draft.${threadId ?? "new"}`}
      picker={<ModelPicker models={list} model={model} onPick={pick} />}
      panelOpen={panel.open}
      onPanel={() => panel.setOpen(!panel.open)}
      blocked={blocked}
      running={active !== undefined}
      stopping={stopping}
      onSend={say}
      onStop={() => {
        if (runId) stopRun(runId);
      }}
      onEditLast={editLast}
    />
  );

  return (
    <div className="flex min-h-0 min-w-0 flex-1">
      <main id="main" tabIndex={-1} className="flex min-w-0 flex-1 flex-col outline-none">
        <ChatHeader thread={detail ?? null} />
        {empty && !pending ? (
          <NothingYet
            composer={box}
            refused={refused}
            models={models.data}
            modelsError={models.error ? toError(models.error) : null}
            onRetry={() => void models.refetch()}
            onSuggest={(text) => composer.current?.set(text)}
          />
        ) : (
          <Conversation
            threadId={threadId}
            query={thread}
            tree={tree}
            path={path}
            pending={pending}
            busy={busy}
            editing={editing}
            refused={refused}
            composer={box}
            onEdit={setEditing}
            onResend={resend}
            onRegenerate={regenerate}
            onSelect={select}
          />
        )}
      </main>
      <SidePanel
        key={`panel.${threadId ?? "new"}`}
        open={panel.open && (threadId === null || detail !== undefined)}
        onClose={() => panel.setOpen(false)}
        systemPrompt={detail ? detail.system_prompt : fresh.systemPrompt}
        parameters={detail ? detail.parameters : fresh.parameters}
        onSystemPrompt={(text) => {
          if (!threadId) fresh.setSystemPrompt(text);
          else changeThread.mutate({ id: threadId, change: { system_prompt: text } });
        }}
        onParameters={(parameters) => {
          if (!threadId) fresh.setParameters(parameters);
          else changeThread.mutate({ id: threadId, change: { parameters } });
        }}
      />
    </div>
  );
}
