import { delay, http, HttpResponse, type HttpHandler } from "msw";
import type { paths } from "@/api/schema";
import type { Schemas, Thread } from "@/api/client";
import { makeKey, makeModel, makeUpstream, nextId, nowUs } from "./factories";
import type { MockRun, MockWeir } from "./mock-weir";

type Body<P extends keyof paths, M extends "post" | "patch"> = paths[P] extends {
  [K in M]: { requestBody: { content: { "application/json": infer B } } };
}
  ? B
  : never;

/* The whole contract of api/openapi.yaml, answered by `weir`. Bodies are typed by the schema. */
export function makeHandlers(weir: MockWeir, base = "*"): HttpHandler[] {
  const at = (path: string) => `${base}${path}`;
  const problem = (...parts: Parameters<MockWeir["problem"]>) => {
    const body = weir.problem(...parts);
    return HttpResponse.json(body, {
      status: body.status,
      headers: { "content-type": "application/problem+json", "x-request-id": body.instance },
    });
  };
  const missing = () => problem(404, "not-found", "There is no such thing.");
  const noSession = () => problem(401, "unauthenticated", "Sign in first.");
  const empty = () => new HttpResponse(null, { status: 204 });
  const page = <T>(data: T[], url: string) => {
    const query = new URL(url).searchParams;
    const limit = Number(query.get("limit") ?? 50);
    const from = Number(query.get("cursor") ?? 0);
    const next = from + limit < data.length ? String(from + limit) : null;
    return HttpResponse.json({ data: data.slice(from, from + limit), next_cursor: next });
  };
  const id = (params: Record<string, unknown>) => decodeURIComponent(String(params.id));
  const guarded =
    <A>(run: (info: A) => Response | Promise<Response>) =>
    (info: A) =>
      weir.signedIn ? run(info) : noSession();

  function detail(thread: Thread): Schemas["ThreadDetail"] {
    return { ...thread, messages: weir.messages.get(thread.id) ?? [] };
  }

  function follow(run: MockRun, after: number, signal: AbortSignal): Response {
    const encoder = new TextEncoder();
    let sent = after;
    const stream = new ReadableStream<Uint8Array>({
      async pull(controller) {
        await run.more(sent, signal);
        if (signal.aborted) return controller.close();
        for (const event of run.events.slice(sent)) {
          controller.enqueue(
            encoder.encode(
              `id: ${event.id}\nevent: ${event.event}\ndata: ${JSON.stringify(event.data)}\n\n`,
            ),
          );
          sent = event.id;
        }
        if (run.ended && sent >= run.events.length) controller.close();
      },
    });
    return new HttpResponse(stream, { headers: { "content-type": "text/event-stream" } });
  }

  return [
    http.get(at("/api/bootstrap"), () =>
      HttpResponse.json({
        needs_setup: weir.needsSetup,
        signed_in: weir.signedIn,
        version: "0.1.0",
      }),
    ),
    http.post(at("/api/setup"), async ({ request }) => {
      const body = (await request.json()) as Body<"/api/setup", "post">;
      if (!weir.needsSetup) return problem(403, "setup-done", "Weir is set up already.");
      if (body.token !== weir.token) {
        return problem(403, "wrong-setup-token", "This set-up code is not valid.", "token");
      }
      weir.needsSetup = false;
      weir.signedIn = true;
      weir.password = body.password;
      weir.me.user = { ...weir.me.user, email: body.email, name: body.name };
      weir.me.organisation.name = body.organisation;
      return HttpResponse.json(weir.me, { status: 201 });
    }),
    http.post(at("/api/session"), async ({ request }) => {
      const body = (await request.json()) as Body<"/api/session", "post">;
      if (body.email !== weir.me.user.email || body.password !== weir.password) {
        return problem(401, "wrong-credentials", "The email or the password is wrong.");
      }
      weir.signedIn = true;
      return HttpResponse.json(weir.me);
    }),
    http.delete(at("/api/session"), () => {
      weir.signedIn = false;
      return empty();
    }),
    http.get(
      at("/api/me"),
      guarded(() => HttpResponse.json(weir.me)),
    ),
    http.patch(
      at("/api/me"),
      guarded(async ({ request }: { request: Request }) => {
        const body = (await request.json()) as Body<"/api/me", "patch">;
        weir.me.user = { ...weir.me.user, name: body.name ?? weir.me.user.name };
        return HttpResponse.json(weir.me);
      }),
    ),
    http.post(
      at("/api/me/password"),
      guarded(async ({ request }: { request: Request }) => {
        const body = (await request.json()) as Body<"/api/me/password", "post">;
        if (body.current_password !== weir.password) {
          return problem(
            400,
            "invalid-input",
            "The current password is wrong.",
            "current_password",
          );
        }
        weir.password = body.new_password;
        weir.sessions = weir.sessions.filter((session) => session.current);
        return empty();
      }),
    ),
    http.get(
      at("/api/sessions"),
      guarded(({ request }: { request: Request }) => page(weir.sessions, request.url)),
    ),
    http.delete(
      at("/api/sessions"),
      guarded(() => {
        weir.sessions = weir.sessions.filter((session) => session.current);
        return empty();
      }),
    ),
    http.delete(at("/api/sessions/:id"), ({ params }) => {
      weir.sessions = weir.sessions.filter((session) => session.id !== id(params));
      return empty();
    }),

    http.get(
      at("/api/keys"),
      guarded(({ request }: { request: Request }) => page(weir.keys, request.url)),
    ),
    http.post(
      at("/api/keys"),
      guarded(async ({ request }: { request: Request }) => {
        const body = (await request.json()) as Body<"/api/keys", "post">;
        const key = makeKey({ name: body.name, expires_us: body.expires_us ?? null });
        weir.keys = [key, ...weir.keys];
        return HttpResponse.json(
          { key, secret: "weir_sk_Ab3dQ7mZk2Xv9TfL4sWnRy8PcHgJ0e1a9xYz" },
          { status: 201 },
        );
      }),
    ),
    http.patch(at("/api/keys/:id"), async ({ request, params }) => {
      const body = (await request.json()) as Body<"/api/keys/{id}", "patch">;
      const key = weir.keys.find((item) => item.id === id(params));
      if (!key) return missing();
      key.name = body.name ?? key.name;
      return HttpResponse.json({ ...key });
    }),
    http.delete(at("/api/keys/:id"), ({ params }) => {
      weir.keys = weir.keys.filter((item) => item.id !== id(params));
      return empty();
    }),

    http.get(
      at("/api/models"),
      guarded(() => HttpResponse.json({ data: weir.models, next_cursor: null })),
    ),
    http.post(at("/api/models"), async ({ request }) => {
      const body = (await request.json()) as Body<"/api/models", "post">;
      if (weir.models.some((model) => model.id === body.id)) {
        return problem(409, "conflict", `The id ${body.id} is taken.`, "id");
      }
      const model = makeModel({
        id: body.id,
        name: body.name,
        kind: body.kind,
        managed: false,
        path: body.path ?? null,
        upstream_id: body.upstream_id ?? null,
        upstream_model: body.upstream_model ?? null,
        context_tokens: body.context_tokens ?? null,
        tasks: body.tasks ?? (body.kind === "upstream" ? ["chat", "completions"] : null),
        pinned: body.pinned ?? false,
        memory_bytes: null,
      });
      weir.models = [...weir.models, model];
      return HttpResponse.json(model, { status: 201 });
    }),
    http.patch(at("/api/models/:id"), async ({ request, params }) => {
      const body = (await request.json()) as Body<"/api/models/{id}", "patch">;
      const model = weir.models.find((item) => item.id === id(params));
      if (!model) return missing();
      model.name = body.name ?? model.name;
      if (body.tasks !== undefined) model.tasks = body.tasks ?? ["chat", "completions"];
      model.pinned = body.pinned ?? model.pinned;
      if (body.enabled !== undefined) {
        model.enabled = body.enabled;
        model.state = {
          phase: body.enabled ? "ready" : "stopped",
          progress: null,
          reason: null,
        };
      }
      return HttpResponse.json({ ...model });
    }),
    http.delete(at("/api/models/:id"), ({ params }) => {
      weir.models = weir.models.filter((item) => item.id !== id(params));
      return empty();
    }),

    http.get(at("/api/upstreams"), () =>
      HttpResponse.json({ data: weir.upstreams, next_cursor: null }),
    ),
    http.post(at("/api/upstreams"), async ({ request }) => {
      const body = (await request.json()) as Body<"/api/upstreams", "post">;
      const upstream = makeUpstream({
        name: body.name,
        base_url: body.base_url,
        has_key: Boolean(body.api_key),
      });
      weir.upstreams = [...weir.upstreams, upstream];
      return HttpResponse.json(upstream, { status: 201 });
    }),
    http.get(at("/api/upstreams/:id/models"), async ({ params }) => {
      const upstream = weir.upstreams.find((item) => item.id === id(params));
      if (!upstream) return missing();
      if (upstream.base_url.includes("broken")) {
        return problem(502, "upstream-failed", "The upstream refused the connection.");
      }
      await delay(20);
      return HttpResponse.json({
        data: [{ id: "Qwen/Qwen3-8B" }, { id: "meta-llama/Llama-3.1-8B-Instruct" }],
        next_cursor: null,
      });
    }),
    http.patch(at("/api/upstreams/:id"), async ({ request, params }) => {
      const body = (await request.json()) as Body<"/api/upstreams/{id}", "patch">;
      const upstream = weir.upstreams.find((item) => item.id === id(params));
      if (!upstream) return missing();
      upstream.name = body.name ?? upstream.name;
      upstream.base_url = body.base_url ?? upstream.base_url;
      upstream.enabled = body.enabled ?? upstream.enabled;
      if (body.api_key !== undefined) upstream.has_key = body.api_key !== null;
      return HttpResponse.json({ ...upstream });
    }),
    http.delete(at("/api/upstreams/:id"), ({ params }) => {
      weir.upstreams = weir.upstreams.filter((item) => item.id !== id(params));
      return empty();
    }),

    http.get(
      at("/api/threads"),
      guarded(({ request }: { request: Request }) => {
        const query = new URL(request.url).searchParams.get("query")?.toLowerCase() ?? "";
        return page(
          weir.threads.filter((thread) => thread.title.toLowerCase().includes(query)),
          request.url,
        );
      }),
    ),
    http.post(at("/api/threads"), async ({ request }) => {
      const body = (await request.json()) as Body<"/api/threads", "post">;
      const thread = weir.addThread({
        title: body.title ?? "",
        model: body.model ?? null,
        system_prompt: body.system_prompt ?? "",
        parameters: body.parameters ?? {},
      });
      return HttpResponse.json(detail(thread), { status: 201 });
    }),
    http.get(
      at("/api/threads/:id"),
      guarded(({ params }: { params: Record<string, unknown> }) => {
        const thread = weir.thread(id(params));
        return thread ? HttpResponse.json(detail(thread)) : missing();
      }),
    ),
    http.patch(at("/api/threads/:id"), async ({ request, params }) => {
      const body = (await request.json()) as Body<"/api/threads/{id}", "patch">;
      const thread = weir.thread(id(params));
      if (!thread) return missing();
      Object.assign(thread, body);
      return HttpResponse.json(thread);
    }),
    http.delete(at("/api/threads/:id"), ({ params }) => {
      weir.threads = weir.threads.filter((thread) => thread.id !== id(params));
      return empty();
    }),
    http.post(at("/api/threads/:id/runs"), async ({ request, params }) => {
      const body = (await request.json()) as Body<"/api/threads/{id}/runs", "post">;
      const thread = weir.thread(id(params));
      if (!thread) return missing();
      const model = weir.models.find((item) => item.id === body.model && item.enabled);
      if (!model) return problem(404, "not-found", "There is no such model.", "model");
      if (model.state.phase === "failed" || model.state.phase === "stopped") {
        return problem(503, "model-not-ready", "The model cannot be run.");
      }
      if (thread.active_run_id) {
        return problem(409, "run-active", "An answer is being written in this chat.");
      }
      const { run, user, assistant } = weir.startRun(
        thread,
        body.parent_id,
        body.content,
        body.model,
      );
      return HttpResponse.json(
        { run_id: run.id, thread, user_message: user, assistant_message: assistant },
        { status: 201 },
      );
    }),
    http.get(at("/api/runs/:id/events"), ({ request, params }) => {
      const run = weir.runs.get(id(params));
      if (!run) return missing();
      const after = Number(
        request.headers.get("last-event-id") ?? new URL(request.url).searchParams.get("after") ?? 0,
      );
      if (run.ended && after >= run.events.length) return empty();
      return follow(run, after, request.signal);
    }),
    http.post(at("/api/runs/:id/stop"), ({ params }) => {
      const run = weir.runs.get(id(params));
      if (!run) return missing();
      const thread = weir.threads.find((item) => item.active_run_id === run.id);
      if (thread) weir.finish(thread, run, "stopped");
      return empty();
    }),
    http.post(at("/v1/chat/completions"), ({ request }) => {
      const known = request.headers.get("authorization")?.startsWith("Bearer weir_sk_");
      if (!known || weir.keys.length === 0) {
        return HttpResponse.json({ error: { code: "invalid_api_key" } }, { status: 401 });
      }
      for (const key of weir.keys) key.last_used_us = nowUs();
      return HttpResponse.json({
        choices: [{ index: 0, message: { role: "assistant", content: "Hello." } }],
      });
    }),
    http.get(at("/v1/models"), () =>
      HttpResponse.json({
        object: "list",
        data: weir.models.map((model) => ({ id: model.id, object: "model", created: nowUs() })),
        request: nextId("req"),
      }),
    ),
  ];
}
