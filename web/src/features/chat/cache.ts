import type { InfiniteData, QueryClient } from "@tanstack/react-query";
import type { Message, Thread, ThreadDetail } from "@/api/client";
import { keys } from "@/api/queries";

/* What a write, or a run that goes on, changes in what was read before. */

export type ThreadPage = { data: Thread[]; next_cursor: string | null };
type ThreadPages = InfiniteData<ThreadPage, string | null>;

function mapLists(
  client: QueryClient,
  change: (data: ThreadPages, query: string) => ThreadPages,
): void {
  for (const [key] of client.getQueriesData<ThreadPages>({ queryKey: keys.allThreads })) {
    client.setQueryData<ThreadPages>(key, (data) => data && change(data, String(key[1] ?? "")));
  }
}

/* The thread changed just now: it is the first of its lists. */
export function listTop(client: QueryClient, thread: Thread): void {
  mapLists(client, (data, query) => {
    const known = data.pages.some((page) => page.data.some((item) => item.id === thread.id));
    if (!known && query && !thread.title.toLowerCase().includes(query.toLowerCase())) return data;
    const pages = data.pages.map((page) => ({
      ...page,
      data: page.data.filter((item) => item.id !== thread.id),
    }));
    const [first, ...rest] = pages;
    if (!first) return data;
    return { ...data, pages: [{ ...first, data: [thread, ...first.data] }, ...rest] };
  });
}

export function listPatch(client: QueryClient, id: string, change: Partial<Thread>): void {
  mapLists(client, (data) => ({
    ...data,
    pages: data.pages.map((page) => ({
      ...page,
      data: page.data.map((item) => (item.id === id ? { ...item, ...change } : item)),
    })),
  }));
}

export function listRemove(client: QueryClient, id: string): void {
  mapLists(client, (data) => ({
    ...data,
    pages: data.pages.map((page) => ({
      ...page,
      data: page.data.filter((item) => item.id !== id),
    })),
  }));
}

export function threadPatch(client: QueryClient, id: string, change: Partial<ThreadDetail>): void {
  client.setQueryData<ThreadDetail>(
    keys.thread(id),
    (thread) => thread && { ...thread, ...change },
  );
}

export function messagePatch(
  client: QueryClient,
  threadId: string,
  messageId: string,
  change: Partial<Message>,
): void {
  client.setQueryData<ThreadDetail>(
    keys.thread(threadId),
    (thread) =>
      thread && {
        ...thread,
        messages: thread.messages.map((message) =>
          message.id === messageId ? { ...message, ...change } : message,
        ),
      },
  );
}

export function messagesAdd(client: QueryClient, thread: Thread, added: (Message | null)[]): void {
  const fresh = added.filter((message) => message !== null);
  client.setQueryData<ThreadDetail>(keys.thread(thread.id), (before) => {
    const ids = new Set(fresh.map((message) => message.id));
    const kept = before?.messages.filter((message) => !ids.has(message.id)) ?? [];
    return { ...thread, messages: [...kept, ...fresh] };
  });
}
