import { afterEach, describe, expect, it, vi } from "vitest";
import { followRun, parseEvent, type FollowOptions, type RunEvent } from "./sse";

type Step = { body: string[]; status?: number; hang?: boolean; problem?: object };

/* Each connection gets the next step; what it asked for is written down. */
function serve(steps: Step[]) {
  const asked: (string | null)[] = [];
  const fetchMock = vi.fn((_url: string | URL | Request, init?: RequestInit) => {
    const step = steps.shift();
    asked.push(new Headers(init?.headers).get("Last-Event-ID"));
    if (!step) return Promise.reject(new TypeError("no network"));
    const status = step.status ?? 200;
    if (status === 204) return Promise.resolve(new Response(null, { status }));
    if (step.problem) return Promise.resolve(Response.json(step.problem, { status }));
    const encoder = new TextEncoder();
    const stream = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const chunk of step.body) controller.enqueue(encoder.encode(chunk));
        if (!step.hang) controller.close();
        init?.signal?.addEventListener("abort", () => {
          try {
            controller.error(new DOMException("aborted", "AbortError"));
          } catch {
            /* closed already */
          }
        });
      },
    });
    return Promise.resolve(new Response(stream, { status }));
  });
  vi.stubGlobal("fetch", fetchMock);
  return { asked, fetchMock };
}

const delta = (id: number, text: string) =>
  `id: ${id}\nevent: delta\ndata: ${JSON.stringify({ text })}\n\n`;
const done = (id: number) => `id: ${id}\nevent: done\ndata: {"finish_reason":"stop"}\n\n`;

function follow(options: FollowOptions = {}) {
  const events: RunEvent[] = [];
  const states: string[] = [];
  let stop = () => {};
  const ended = new Promise<string>((resolve) => {
    stop = followRun(
      "run_1",
      {
        onEvent: (event) => {
          events.push(event);
          if (event.type === "done" || event.type === "error") resolve(event.type);
        },
        onConnection: (state) => states.push(state),
        onGone: () => resolve("gone"),
        onRefused: (error) => resolve(`refused ${error.status}`),
      },
      { firstDelayMs: 1, maxDelayMs: 4, ...options },
    );
  });
  const text = () => events.map((event) => (event.type === "delta" ? event.text : "")).join("");
  return { events, states, ended, text, stop };
}

afterEach(() => vi.unstubAllGlobals());

describe("followRun", () => {
  it("reads a run to its end over one connection", async () => {
    const { asked } = serve([
      {
        body: [
          'id: 1\nevent: status\ndata: {"state":"queued","position":2}\n\n',
          ": hb\n\n",
          delta(2, "Hel"),
          delta(3, "lo"),
          'id: 4\nevent: usage\ndata: {"prompt_tokens":3,"completion_tokens":2,"timings":{"ttft_ms":1,"tokens_per_second":2}}\n\n',
          done(5),
        ],
      },
    ]);
    const run = follow();
    expect(await run.ended).toBe("done");
    expect(run.text()).toBe("Hello");
    expect(run.events[0]).toEqual({ type: "status", state: "queued", position: 2 });
    expect(run.events.map((event) => event.type)).toEqual([
      "status",
      "delta",
      "delta",
      "usage",
      "done",
    ]);
    expect(asked).toEqual([null]);
  });

  it("comes back with the last id after a cut, wherever the cut is", async () => {
    const all = delta(1, "a€") + delta(2, "bö") + delta(3, "c") + done(4);
    for (let cut = 0; cut < all.length; cut++) {
      const first = all.slice(0, cut);
      const seen = [...first.matchAll(/id: (\d+)[^]*?\n\n/g)].at(-1)?.[1];
      const rest =
        (Number(seen ?? 0) < 1 ? delta(1, "a€") : "") +
        (Number(seen ?? 0) < 2 ? delta(2, "bö") : "") +
        (Number(seen ?? 0) < 3 ? delta(3, "c") : "") +
        done(4);
      const { asked } = serve([{ body: [first] }, { body: [rest] }]);
      const run = follow();
      expect(await run.ended).toBe("done");
      expect(run.text()).toBe("a€böc");
      if (asked.length === 2) expect(asked[1]).toBe(seen ?? null);
    }
  });

  it("drops events that it has seen, and accepts joined ones", async () => {
    serve([
      { body: [delta(1, "a"), delta(2, "b")] },
      { body: [delta(2, "b"), delta(7, "cd"), done(8)] },
    ]);
    const run = follow();
    await run.ended;
    expect(run.text()).toBe("abcd");
  });

  it("takes a silent connection for dead and tries again", async () => {
    const { fetchMock } = serve([{ body: [delta(1, "a")], hang: true }, { body: [done(2)] }]);
    const run = follow({ silenceMs: 30 });
    expect(await run.ended).toBe("done");
    expect(fetchMock).toHaveBeenCalledTimes(2);
    expect(run.states).toEqual(["live", "waiting", "live"]);
  });

  it("goes on after errors of the network and of a proxy", async () => {
    const { fetchMock } = serve([
      { body: [], status: 502, problem: {} },
      { body: [], status: 429, problem: {} },
      { body: [done(1)] },
    ]);
    expect(await follow().ended).toBe("done");
    expect(fetchMock).toHaveBeenCalledTimes(3);
  });

  it("does not wait when the network comes back", async () => {
    serve([{ body: [], status: 503, problem: {} }, { body: [done(1)] }]);
    const run = follow({ firstDelayMs: 60_000, maxDelayMs: 60_000 });
    await expect.poll(() => run.states).toContain("waiting");
    window.dispatchEvent(new Event("online"));
    expect(await run.ended).toBe("done");
  });

  it("says when there is nothing more, and when it is refused", async () => {
    serve([{ body: [], status: 204 }]);
    expect(await follow({ after: 9 }).ended).toBe("gone");
    serve([{ body: [], status: 404, problem: {} }]);
    expect(await follow().ended).toBe("gone");
    serve([{ body: [], status: 403, problem: {} }]);
    expect(await follow().ended).toBe("refused 403");
  });

  it("ends when it is told to", async () => {
    const { fetchMock } = serve([{ body: [delta(1, "a")], hang: true }]);
    const run = follow();
    await expect.poll(() => run.text()).toBe("a");
    run.stop();
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(fetchMock).toHaveBeenCalledTimes(1);
  });

  it("ignores what comes after the end and what it does not know", async () => {
    serve([{ body: ["id: 1\nevent: novelty\ndata: {}\n\n", done(2), delta(3, "late")] }]);
    const run = follow();
    await run.ended;
    expect(run.events).toEqual([{ type: "done", finishReason: "stop" }]);
  });
});

describe("parseEvent", () => {
  it.each([
    ["delta", "{", null],
    ["delta", "null", null],
    ["delta", '{"text":5}', null],
    ["message", '{"text":"a"}', null],
    ["delta", '{"text":"a"}', { type: "delta", text: "a" }],
    ["done", '{"finish_reason":"stopped"}', { type: "done", finishReason: "stopped" }],
  ])("%s %s", (name, data, want) => {
    expect(parseEvent(name, data)).toEqual(want);
  });
});
