import { createParser } from "eventsource-parser";
import { baseUrl, reportSignedOut, type RunUsage } from "./client";
import { ApiError, toApiError, type Problem } from "./errors";

/* Follows one run to its end, over as many connections as that takes. The wire format is described
 * in api/openapi.yaml at GET /api/runs/{id}/events. */

export type RunEvent =
  | { type: "status"; state: "queued" | "running"; position: number | null }
  | { type: "delta"; text: string }
  | { type: "usage"; usage: RunUsage }
  | { type: "done"; finishReason: "stop" | "length" | "stopped" }
  | { type: "error"; problem: Problem };

export type RunHandlers = {
  onEvent: (event: RunEvent) => void;
  /* `waiting` while there is no connection and another one will be tried. */
  onConnection?: (state: "live" | "waiting") => void;
  /* The run's last event was seen before, or the server does not know the run: read the thread. */
  onGone: () => void;
  /* Refused for good, for example without a session. */
  onRefused: (error: ApiError) => void;
};

export type FollowOptions = {
  after?: number;
  silenceMs?: number;
  firstDelayMs?: number;
  maxDelayMs?: number;
};

const names = new Set(["status", "delta", "usage", "done", "error"]);

export function parseEvent(name: string, data: string): RunEvent | null {
  if (!names.has(name)) return null;
  let value: Record<string, unknown>;
  try {
    value = JSON.parse(data) as Record<string, unknown>;
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null) return null;
  switch (name) {
    case "status": {
      const position = typeof value.position === "number" ? value.position : null;
      return { type: "status", state: value.state === "queued" ? "queued" : "running", position };
    }
    case "delta":
      return typeof value.text === "string" ? { type: "delta", text: value.text } : null;
    case "usage":
      return { type: "usage", usage: value as unknown as RunUsage };
    case "done": {
      const reason = value.finish_reason;
      return {
        type: "done",
        finishReason: reason === "length" || reason === "stopped" ? reason : "stop",
      };
    }
    default:
      return { type: "error", problem: value as unknown as Problem };
  }
}

type Ending = "finished" | "gone" | "cut";

/* Begins at once; the function that it gives back ends it. */
export function followRun(
  runId: string,
  handlers: RunHandlers,
  options: FollowOptions = {},
): () => void {
  const { silenceMs = 25_000, firstDelayMs = 400, maxDelayMs = 10_000 } = options;
  let lastId = options.after ?? 0;
  let closed = false;
  let connection: AbortController | null = null;
  let wake: (() => void) | null = null;

  async function connect(): Promise<Ending> {
    const controller = new AbortController();
    connection = controller;
    let watchdog: ReturnType<typeof setTimeout> | undefined;
    const alive = () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => controller.abort(), silenceMs);
    };
    try {
      alive();
      const headers: Record<string, string> = { Accept: "text/event-stream" };
      if (lastId > 0) headers["Last-Event-ID"] = String(lastId);
      const response = await fetch(`${baseUrl}/api/runs/${encodeURIComponent(runId)}/events`, {
        headers,
        credentials: "same-origin",
        cache: "no-store",
        signal: controller.signal,
      });
      if (response.status === 204) return "gone";
      if (!response.ok) {
        const body: unknown = await response.json().catch(() => null);
        throw toApiError(response, body);
      }
      if (!response.body) return "cut";
      handlers.onConnection?.("live");

      let ending = "cut" as Ending;
      const parser = createParser({
        onEvent: (message) => {
          if (ending === "finished" || closed) return;
          const id = Number(message.id ?? Number.NaN);
          if (Number.isSafeInteger(id)) {
            if (id <= lastId) return; /* seen already */
            lastId = id;
          }
          const event = parseEvent(message.event ?? "message", message.data);
          if (!event) return;
          if (event.type === "done" || event.type === "error") ending = "finished";
          handlers.onEvent(event);
        },
      });
      const reader = response.body.getReader();
      const decoder = new TextDecoder();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return ending;
        alive();
        parser.feed(decoder.decode(value, { stream: true }));
        if (ending === "finished") {
          void reader.cancel().catch(() => undefined);
          return ending;
        }
      }
    } finally {
      clearTimeout(watchdog);
      if (connection === controller) connection = null;
    }
  }

  async function run(): Promise<void> {
    let attempt = 0;
    // oxlint-disable-next-line no-unmodified-loop-condition -- whoever follows sets it from outside
    while (!closed) {
      const before = lastId;
      try {
        const ending = await connect();
        if (closed || ending === "finished") return;
        if (ending === "gone") {
          handlers.onGone();
          return;
        }
      } catch (error) {
        if (closed) return;
        if (error instanceof ApiError && !error.passing) {
          if (error.status === 404) handlers.onGone();
          else handlers.onRefused(error);
          if (error.status === 401) reportSignedOut();
          return;
        }
      }
      attempt = lastId > before ? 0 : attempt + 1;
      handlers.onConnection?.("waiting");
      const delay = Math.min(maxDelayMs, firstDelayMs * 2 ** Math.max(0, attempt - 1));
      await pause(attempt === 0 ? 0 : delay * (0.75 + Math.random() / 2));
    }
  }

  function pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(done, ms);
      function done() {
        clearTimeout(timer);
        wake = null;
        resolve();
      }
      wake = done;
    });
  }

  /* The network is back or the tab is looked at again: do not sit out the pause. */
  const nudge = () => {
    if (document.visibilityState === "visible") wake?.();
  };
  window.addEventListener("online", nudge);
  document.addEventListener("visibilitychange", nudge);

  void run().finally(() => {
    window.removeEventListener("online", nudge);
    document.removeEventListener("visibilitychange", nudge);
  });

  return () => {
    closed = true;
    connection?.abort();
    wake?.();
  };
}
