import type { QueryClient } from "@tanstack/react-query";
import { create } from "zustand";
import type { Message, RunUsage } from "@/api/client";
import { keys } from "@/api/queries";
import { followRun, type RunEvent } from "@/api/sse";
import { listPatch, messagePatch, threadPatch } from "./cache";

/* Answers that are being written. Events change a draft outside of React; the store takes the
 * drafts over once a frame, and not at all while the tab is hidden. */

export type LiveRun = {
  threadId: string;
  text: string;
  phase: "queued" | "running";
  position: number | null;
  connection: "live" | "waiting";
  stopping: boolean;
};

type Runs = { runs: Readonly<Record<string, LiveRun>> };

export const useRuns = create<Runs>(() => ({ runs: {} }));

const drafts = new Map<string, LiveRun>();
const changed = new Set<string>();
const closers = new Map<string, () => void>();
let frame = 0;

function commit(): void {
  frame = 0;
  if (changed.size === 0) return;
  const runs: Record<string, LiveRun> = { ...useRuns.getState().runs };
  for (const id of changed) {
    const draft = drafts.get(id);
    if (draft) runs[id] = { ...draft };
    else delete runs[id];
  }
  changed.clear();
  useRuns.setState({ runs });
}

function touch(runId: string, now = false): void {
  changed.add(runId);
  if (now) {
    cancelAnimationFrame(frame);
    commit();
  } else if (frame === 0) {
    frame = requestAnimationFrame(commit);
  }
}

function drop(runId: string): void {
  closers.get(runId)?.();
  closers.delete(runId);
  drafts.delete(runId);
  touch(runId, true);
}

export function markStopping(runId: string, stopping: boolean): void {
  const draft = drafts.get(runId);
  if (!draft) return;
  draft.stopping = stopping;
  touch(runId, true);
}

/* Ends every connection, as when someone signs out. */
export function dropAllRuns(): void {
  for (const runId of drafts.keys()) drop(runId);
}

/* Follows the run that writes `message`, unless it is followed already. Goes on when the thread is
 * no longer on the screen; ends with the message complete in the cache. */
export function follow(client: QueryClient, threadId: string, message: Message): void {
  const runId = message.run_id;
  if (!runId || drafts.has(runId)) return;
  const draft: LiveRun = {
    threadId,
    text: "",
    phase: message.status === "running" ? "running" : "queued",
    position: null,
    connection: "live",
    stopping: false,
  };
  drafts.set(runId, draft);
  touch(runId);
  let usage: RunUsage | null = null;

  function settle(change: Partial<Message>): void {
    messagePatch(client, threadId, message.id, { content: draft.text, usage, ...change });
    threadPatch(client, threadId, { active_run_id: null });
    listPatch(client, threadId, { active_run_id: null });
    if (runId) drop(runId);
  }

  function onEvent(event: RunEvent): void {
    switch (event.type) {
      case "status":
        draft.phase = event.state;
        draft.position = event.position;
        break;
      case "delta":
        draft.phase = "running";
        draft.text += event.text;
        break;
      case "usage":
        usage = event.usage;
        return;
      case "done":
        settle({
          status: event.finishReason === "stopped" ? "stopped" : "complete",
          finish_reason: event.finishReason,
        });
        return;
      case "error":
        settle({ status: "failed", error: event.problem });
        return;
    }
    if (runId) touch(runId);
  }

  const reread = () => {
    drop(runId);
    void client.invalidateQueries({ queryKey: keys.thread(threadId) });
    listPatch(client, threadId, { active_run_id: null });
  };

  closers.set(
    runId,
    followRun(runId, {
      onEvent,
      onConnection: (connection) => {
        if (draft.connection === connection) return;
        draft.connection = connection;
        touch(runId);
      },
      onGone: reread,
      onRefused: (error) => {
        if (error.status === 401) drop(runId);
        else settle({ status: "failed", error: error.problem });
      },
    }),
  );
}
