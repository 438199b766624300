import { useMutation, useQueryClient, type QueryClient } from "@tanstack/react-query";
import { useLingui } from "@lingui/react/macro";
import { api, unwrap, type Parameters, type Schemas, type ThreadDetail } from "@/api/client";
import { toError } from "@/api/errors";
import { keys } from "@/api/queries";
import { toast } from "@/components/ui/toast";
import { listPatch, listRemove, listTop, messagesAdd, threadPatch } from "./cache";
import { follow, markStopping } from "./runs";

export type ThreadChange = {
  title?: string;
  leaf_id?: string;
  model?: string | null;
  system_prompt?: string;
  parameters?: Parameters;
};

export async function createThread(
  client: QueryClient,
  body: Omit<ThreadChange, "leaf_id">,
): Promise<ThreadDetail> {
  const thread = await unwrap(api.POST("/api/threads", { body }));
  client.setQueryData<ThreadDetail>(keys.thread(thread.id), thread);
  return thread;
}

type RunBody = {
  parent_id: string | null;
  content?: string;
  model: string;
  parameters?: Schemas["Parameters"];
};

export async function startRun(client: QueryClient, threadId: string, body: RunBody) {
  const started = await unwrap(
    api.POST("/api/threads/{id}/runs", { params: { path: { id: threadId } }, body }),
  );
  messagesAdd(client, started.thread, [started.user_message, started.assistant_message]);
  listTop(client, started.thread);
  follow(client, threadId, started.assistant_message);
  return started;
}

/* The button waits for the server's word; the stream itself then ends the answer. */
export function useStopRun() {
  const { t } = useLingui();
  return (runId: string) => {
    markStopping(runId, true);
    unwrap(api.POST("/api/runs/{id}/stop", { params: { path: { id: runId } } })).catch(
      (failure: unknown) => {
        markStopping(runId, false);
        toast.problem(t`The answer could not be stopped`, { detail: toError(failure).message });
      },
    );
  };
}

/* At once on the screen, and back again if the server refuses. */
export function useChangeThread() {
  const client = useQueryClient();
  const { t } = useLingui();
  return useMutation({
    mutationFn: ({ id, change }: { id: string; change: ThreadChange }) =>
      unwrap(api.PATCH("/api/threads/{id}", { params: { path: { id } }, body: change })),
    onMutate: ({ id, change }) => {
      const before = client.getQueryData<ThreadDetail>(keys.thread(id));
      threadPatch(client, id, change);
      listPatch(client, id, change);
      return { before };
    },
    onError: (failure, { id }, context) => {
      if (context?.before) {
        const { messages: _messages, ...thread } = context.before;
        threadPatch(client, id, thread);
        listPatch(client, id, thread);
      } else {
        void client.invalidateQueries({ queryKey: keys.allThreads });
      }
      toast.problem(t`The change could not be kept`, { detail: toError(failure).message });
    },
  });
}

export function useDeleteThread() {
  const client = useQueryClient();
  return async (id: string) => {
    await unwrap(api.DELETE("/api/threads/{id}", { params: { path: { id } } }));
    listRemove(client, id);
    client.removeQueries({ queryKey: keys.thread(id) });
  };
}
