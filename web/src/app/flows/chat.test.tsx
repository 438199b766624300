import { screen, waitFor, within } from "@testing-library/react";
import { http, HttpResponse } from "msw";
import { describe, expect, it } from "vitest";
import { makeMessage, makeModel } from "@/testing/factories";
import { withMockWeir } from "@/testing/render-app";

const app = withMockWeir();
const box = () => screen.findByRole("textbox", { name: "Message" });

function twoAnswers() {
  const question = makeMessage({ content: "Name a river." });
  const first = makeMessage({ role: "assistant", parent_id: question.id, content: "The Rhine." });
  const second = makeMessage({ role: "assistant", parent_id: question.id, content: "The Nile." });
  return app.weir.addThread({ title: "Rivers", leaf_id: second.id }, [question, first, second]);
}

describe("chat", () => {
  it("sends a first message, shows the answer as it comes, and what it took", async () => {
    const { router } = app.open("/chat");
    await app.user.type(await box(), "Say hello{Enter}");
    await screen.findByText("Say hello", { selector: "article div" });
    await waitFor(() => expect(app.weir.runs.size).toBe(1));
    const run = [...app.weir.runs.values()][0];
    const thread = app.weir.threads[0];
    if (!run || !thread) throw new Error("no run");
    run.push("status", { state: "running" });
    run.push("delta", { text: "Hello **wor" });
    expect(await screen.findByText("wor", { selector: "strong" })).toBeInTheDocument();
    expect(screen.getByRole("button", { name: "Stop" })).toBeInTheDocument();
    run.push("delta", { text: "ld**." });
    app.weir.finish(thread, run, "stop", 12);
    expect(await screen.findByText("12 tokens")).toBeInTheDocument();
    expect(screen.getByText("world", { selector: "strong" })).toBeInTheDocument();
    expect(screen.getByText(/47 tokens\/s/)).toBeInTheDocument();
    expect(router.state.location.pathname).toBe(`/chat/${thread.id}`);
    const list = screen.getByRole("navigation", { name: "Chats" });
    expect(within(list).getByText("Say hello")).toBeInTheDocument();
    expect(await box()).toHaveValue("");
  });

  it("stops an answer and keeps what there is", async () => {
    app.open("/chat");
    await app.user.type(await box(), "Count{Enter}");
    await waitFor(() => expect(app.weir.runs.size).toBe(1));
    const run = [...app.weir.runs.values()][0];
    run?.push("delta", { text: "one two" });
    await screen.findByText("one two", { selector: "p" });
    await app.user.click(screen.getByRole("button", { name: "Stop" }));
    expect(await screen.findByText("Stopped")).toBeInTheDocument();
    expect(screen.getByText("one two", { selector: ".md p" })).toBeInTheDocument();
    expect(screen.getByRole("button", { name: "Send" })).toBeInTheDocument();
  });

  it("regenerates into a second version, and goes back to the first", async () => {
    const thread = twoAnswers();
    app.open(`/chat/${thread.id}`);
    expect(await screen.findByText("The Nile.", { selector: ".md p" })).toBeInTheDocument();
    await app.user.click(screen.getByRole("button", { name: "Previous version" }));
    expect(await screen.findByText("The Rhine.", { selector: ".md p" })).toBeInTheDocument();
    await waitFor(() => expect(thread.leaf_id).toBe(app.weir.messages.get(thread.id)?.[1]?.id));

    await app.user.click(screen.getByRole("button", { name: "Regenerate" }));
    await waitFor(() => expect(app.weir.runs.size).toBe(1));
    const run = [...app.weir.runs.values()][0];
    run?.push("delta", { text: "The Elbe." });
    if (run) app.weir.finish(thread, run, "stop");
    expect(await screen.findByText("The Elbe.", { selector: ".md p" })).toBeInTheDocument();
    expect(screen.getByText("3/3")).toBeInTheDocument();
  });

  it("edits a message into a new branch", async () => {
    const thread = twoAnswers();
    app.open(`/chat/${thread.id}`);
    await app.user.click(await screen.findByRole("button", { name: "Edit message" }));
    const editor = screen.getByRole("textbox", { name: "Edit your message" });
    await app.user.clear(editor);
    await app.user.type(editor, "Name a lake.{Enter}");
    await waitFor(() => expect(app.weir.runs.size).toBe(1));
    expect(await screen.findByText("2/2")).toBeInTheDocument();
    const asked = app.weir.messages.get(thread.id)?.find((m) => m.content === "Name a lake.");
    expect(asked?.parent_id).toBeNull();
    expect(screen.queryByText("The Nile.", { selector: ".md p" })).toBeNull();
  });

  it("picks up an answer that is being written when the page is opened", async () => {
    const thread = app.weir.addThread({ title: "Going on" });
    const { run } = app.weir.startRun(thread, null, "Go on", "smollm2-135m-instruct");
    run.push("status", { state: "running" });
    run.push("delta", { text: "already here, " });
    app.open(`/chat/${thread.id}`);
    expect(await screen.findByText(/already here/, { selector: "p" })).toBeInTheDocument();
    run.push("delta", { text: "and more" });
    expect(
      await screen.findByText("already here, and more", { selector: "p" }),
    ).toBeInTheDocument();
    app.weir.finish(thread, run, "stop");
    expect(await screen.findByRole("button", { name: "Copy answer" })).toBeInTheDocument();
  });

  it("shows a failed answer with its request id, and tries again", async () => {
    const thread = app.weir.addThread({ title: "Bad luck" });
    const { run } = app.weir.startRun(thread, null, "Hi", "smollm2-135m-instruct");
    app.open(`/chat/${thread.id}`);
    await screen.findByText("Hi", { selector: "article div" });
    run.push("error", app.weir.problem(502, "upstream-failed", "The model’s process ended."));
    thread.active_run_id = null;
    expect(await screen.findByText("The model’s process ended.")).toBeInTheDocument();
    expect(screen.getByText(/^req_/)).toBeInTheDocument();
    await app.user.click(screen.getByRole("button", { name: "Try again" }));
    await waitFor(() => expect(app.weir.runs.size).toBe(2));
  });

  it("gives the draft back when the server refuses", async () => {
    app.server.use(
      http.post("*/api/threads/:id/runs", () =>
        HttpResponse.json(app.weir.problem(429, "throttled", "The model is busy."), {
          status: 429,
        }),
      ),
    );
    app.open("/chat");
    await app.user.type(await box(), "Please{Enter}");
    expect(await screen.findByText("The model is busy.")).toBeInTheDocument();
    expect(await box()).toHaveValue("Please");
  });

  it("says why nothing can be sent to a model that has failed", async () => {
    app.weir.models = [
      makeModel({ state: { phase: "failed", progress: null, reason: "Broken." } }),
    ];
    app.open("/chat");
    expect(await screen.findByText("Broken.")).toBeInTheDocument();
    await app.user.type(await box(), "Hi{Enter}");
    expect(app.weir.threads).toHaveLength(0);
    expect(await box()).toHaveValue("Hi");
  });

  it("says of a model that it is asleep", async () => {
    app.weir.models = [makeModel({ state: { phase: "asleep", progress: null, reason: null } })];
    app.open("/chat");
    await app.user.click(
      await screen.findByRole("button", { name: "Model: SmolLM2 135M Instruct" }),
    );
    expect(await screen.findByText(/Asleep – loads when asked/)).toBeInTheDocument();
  });

  it("shows how far a model is loaded that an answer waits for", async () => {
    const name = "SmolLM2 135M Instruct";
    app.weir.models = [makeModel({ state: { phase: "asleep", progress: null, reason: null } })];
    app.open("/chat");
    await app.user.type(await box(), "Hi{Enter}");
    expect(await screen.findByText(`${name} is being woken`)).toBeInTheDocument();
    app.weir.models = [makeModel({ state: { phase: "loading", progress: 0.42, reason: null } })];
    expect(
      await screen.findByText(`Loading ${name}: 42 %`, undefined, { timeout: 3_000 }),
    ).toBeInTheDocument();
    const reason = "it needs about 900 MiB; big (800 MiB, 2 calls) holds the memory";
    app.weir.models = [makeModel({ state: { phase: "asleep", progress: null, reason } })];
    expect(
      await screen.findByText(`Waiting for memory: ${reason}`, undefined, { timeout: 3_000 }),
    ).toBeInTheDocument();
  });

  it("sends the system prompt and the parameters with a new chat", async () => {
    app.open("/chat");
    await app.user.click(
      await screen.findByRole("button", { name: "System prompt and parameters" }),
    );
    await app.user.type(await screen.findByLabelText("System prompt"), "Be brief.");
    await app.user.type(screen.getByLabelText("Temperature"), "9");
    expect(await screen.findByText("A number from 0 to 2")).toBeInTheDocument();
    await app.user.clear(screen.getByLabelText("Temperature"));
    await app.user.type(screen.getByLabelText("Temperature"), "0.2");
    await new Promise((resolve) => setTimeout(resolve, 700));
    await app.user.type(await box(), "Hi{Enter}");
    await waitFor(() => expect(app.weir.threads).toHaveLength(1));
    expect(app.weir.threads[0]).toMatchObject({
      system_prompt: "Be brief.",
      parameters: { temperature: 0.2 },
    });
  });

  it("searches, renames and deletes chats", async () => {
    app.weir.addThread({ title: "Alpha" });
    const beta = app.weir.addThread({ title: "Beta" });
    const { router } = app.open(`/chat/${beta.id}`);
    const list = await screen.findByRole("navigation", { name: "Chats" });
    await within(list).findByText("Alpha");
    await app.user.type(screen.getByRole("searchbox", { name: "Search chats" }), "bet");
    await waitFor(() => expect(within(list).queryByText("Alpha")).toBeNull());

    await app.user.click(screen.getByRole("button", { name: "More for “Beta”" }));
    await app.user.click(await screen.findByRole("menuitem", { name: "Rename" }));
    const name = await screen.findByRole("textbox", { name: "Title of the chat" });
    await app.user.clear(name);
    await app.user.type(name, "Better{Enter}");
    await waitFor(() => expect(beta.title).toBe("Better"));
    expect(await screen.findByRole("heading", { level: 1, name: "Better" })).toBeInTheDocument();

    await app.user.click(await screen.findByRole("button", { name: "More for “Better”" }));
    await app.user.click(await screen.findByRole("menuitem", { name: "Delete" }));
    const dialog = await screen.findByRole("dialog", { name: "Delete this chat?" });
    await app.user.click(within(dialog).getByRole("button", { name: "Delete" }));
    await waitFor(() => expect(app.weir.threads).toHaveLength(1));
    await waitFor(() => expect(router.state.location.pathname).toBe("/chat"));
  });

  it("offers to try again when a chat cannot be loaded", async () => {
    const thread = twoAnswers();
    let broken = true;
    app.server.use(
      http.get("*/api/threads/:id", () =>
        broken
          ? HttpResponse.json(app.weir.problem(503, "unavailable", "The database is away."), {
              status: 503,
            })
          : undefined,
      ),
    );
    app.open(`/chat/${thread.id}`);
    expect(await screen.findByText("This chat could not be loaded")).toBeInTheDocument();
    expect(screen.getByText(/^req_/)).toBeInTheDocument();
    broken = false;
    await app.user.click(screen.getByRole("button", { name: "Try again" }));
    expect(await screen.findByText("The Nile.", { selector: ".md p" })).toBeInTheDocument();
  });
});
