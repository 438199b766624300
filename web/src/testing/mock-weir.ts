import type { Key, Message, Model, Session, Thread, Upstream } from "@/api/client";
import type { Problem } from "@/api/errors";
import { makeMessage, makeModel, makeSession, makeThread, nextId, nowUs } from "./factories";

/* A small Weir in memory, for tests and for working on the app without a server. */

export type MockEvent = { id: number; event: string; data: unknown };

export class MockRun {
  readonly id = nextId("run");
  readonly events: MockEvent[] = [];
  ended = false;
  private readonly waiting = new Set<() => void>();

  push(event: string, data: unknown): void {
    if (this.ended) return;
    this.events.push({ id: this.events.length + 1, event, data });
    if (event === "done" || event === "error") this.ended = true;
    const woken = Array.from(this.waiting);
    for (const wake of woken) wake();
  }

  /* Resolves when there is something after `count` events. */
  more(count: number, signal: AbortSignal): Promise<void> {
    if (this.events.length > count || this.ended || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = () => {
        this.waiting.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      this.waiting.add(wake);
      signal.addEventListener("abort", wake, { once: true });
    });
  }
}

export type Speaker = (question: string) => string;

const sample = `Here is a short overview.

1. **Read** the input and split it into words.
2. **Count** each word in a table.
3. **Sort** by count and print the first ten.

\`\`\`python
from collections import Counter

def top_words(text: str, limit: int = 10) -> list[tuple[str, int]]:
    """The most frequent words, in lower case."""
    words = text.lower().split()
    return Counter(words).most_common(limit)

# try it
print(top_words("the quick brown fox jumps over the lazy dog"))
\`\`\`

| Step  | Cost      |
| :---- | --------: |
| Split | O(n)      |
| Count | O(n)      |
| Sort  | O(k log k) |

This is linear in the length of the text, so it stays fast for *large* inputs. See [the manual](https://docs.python.org/3/library/collections.html) for more.`;

export class MockWeir {
  needsSetup = false;
  signedIn = true;
  token = "setup-token";
  password = "correct horse battery";
  me = {
    user: {
      id: "usr_000001",
      email: "ada@example.com",
      name: "Ada Lovelace",
      created_us: nowUs(),
    },
    organisation: { id: "org_000001", name: "Analytical Engines", role: "owner" as const },
    project: { id: "prj_000001", name: "Default" },
  };
  models: Model[] = [makeModel()];
  upstreams: Upstream[] = [];
  keys: Key[] = [];
  sessions: Session[] = [makeSession({ current: true })];
  threads: Thread[] = [];
  messages = new Map<string, Message[]>();
  runs = new Map<string, MockRun>();
  /* Milliseconds between two words; 0 leaves the run to the test. */
  paceMs = 0;
  speak: Speaker = () => sample;

  problem(status: number, name: string, detail: string, field?: string): Problem {
    return {
      type: `urn:weir:problem:${name}`,
      title: name,
      status,
      detail,
      instance: nextId("req"),
      ...(field !== undefined && { field }),
    };
  }

  thread(id: string): Thread | undefined {
    return this.threads.find((thread) => thread.id === id);
  }

  addThread(change: Partial<Thread>, messages: Message[] = []): Thread {
    const thread = makeThread({ leaf_id: messages.at(-1)?.id ?? null, ...change });
    this.threads.unshift(thread);
    this.messages.set(thread.id, messages);
    return thread;
  }

  startRun(
    thread: Thread,
    parentId: string | null,
    content: string | undefined,
    model: string,
  ): { run: MockRun; user: Message | null; assistant: Message } {
    const list = this.messages.get(thread.id) ?? [];
    const user =
      content === undefined ? null : makeMessage({ parent_id: parentId, content, role: "user" });
    const run = new MockRun();
    const assistant = makeMessage({
      parent_id: user ? user.id : parentId,
      role: "assistant",
      content: "",
      status: "queued",
      run_id: run.id,
      model,
    });
    this.messages.set(thread.id, [...list, ...(user ? [user] : []), assistant]);
    this.runs.set(run.id, run);
    Object.assign(thread, {
      title: thread.title || (content ?? "").split("\n")[0]?.slice(0, 60) || "",
      leaf_id: assistant.id,
      model,
      active_run_id: run.id,
      updated_us: nowUs(),
    });
    this.threads = [thread, ...this.threads.filter((item) => item.id !== thread.id)];
    if (this.paceMs > 0) void this.write(thread, run, assistant, content ?? "");
    return { run, user, assistant: { ...assistant } };
  }

  private async write(thread: Thread, run: MockRun, message: Message, question: string) {
    const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
    await pause(this.paceMs * 8);
    run.push("status", { state: "running" });
    message.status = "running";
    const words = this.speak(question).split(/(?<=\s)/);
    for (const word of words) {
      await pause(this.paceMs);
      if (run.ended) return;
      message.content += word;
      run.push("delta", { text: word });
    }
    this.finish(thread, run, "stop", words.length);
  }

  finish(thread: Thread, run: MockRun, reason: "stop" | "length" | "stopped", tokens = 12): void {
    const message = this.messages.get(thread.id)?.find((item) => item.run_id === run.id);
    if (!message || run.ended) return;
    const usage = {
      prompt_tokens: 41,
      completion_tokens: tokens,
      timings: { ttft_ms: 182.4, tokens_per_second: 47.3 },
    };
    run.push("usage", usage);
    run.push("done", { finish_reason: reason });
    Object.assign(message, {
      status: reason === "stopped" ? "stopped" : "complete",
      finish_reason: reason,
      usage,
    });
    thread.active_run_id = null;
  }
}
