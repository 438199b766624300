/* The main job in a real browser against a real server that has not been set up yet.
 * WEIR_URL: its address. WEIR_SETUP_URL: the link that it printed. SHOTS: a folder for pictures.
 * WEIR_REPORT: a file for the results of the steps (JUnit XML). scripts/test-browser sets them. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { axe, launch, trouble, watch } from "./browser.mjs";
import { startProxy } from "./cutting-proxy.mjs";
import * as provider from "./upstream.mjs";

const address = process.env.WEIR_URL;
const setupUrl = process.env.WEIR_SETUP_URL;
if (!address || !setupUrl) {
  console.error("set WEIR_URL and WEIR_SETUP_URL");
  process.exit(2);
}
const token = new URLSearchParams(new URL(setupUrl).hash.slice(1)).get("token");
const shots = process.env.SHOTS;
if (shots) await mkdir(shots, { recursive: true });

const PATIENCE_MS = 120_000;
const owner = { email: "owner@example.com", password: "a river runs through it" };
const long = "Write a long story about a river, with many chapters and many details.";
const shell = promisify(execFile);

const proxy = await startProxy(address);
const upstream = await provider.startUpstream();
const browser = await launch();
const context = await browser.newContext({
  baseURL: proxy.url,
  viewport: { width: 1280, height: 800 },
  permissions: ["clipboard-read", "clipboard-write"],
});
context.setDefaultTimeout(PATIENCE_MS);
await watch(context);
const page = await context.newPage();
const unreachable = [];
const results = [];

async function step(name, run) {
  const from = Date.now();
  const result = { name, ms: 0, ok: false };
  results.push(result);
  try {
    await run();
    result.ok = true;
    result.ms = Date.now() - from;
    console.log(`ok    ${name} (${result.ms} ms)`);
  } catch (error) {
    console.log(`FAIL  ${name}`);
    await page.screenshot({ path: join(shots ?? "/tmp", "weir-e2e-failed.png") }).catch(() => {});
    console.log(
      await page
        .locator("body")
        .innerText()
        .catch(() => ""),
    );
    throw error;
  }
}

function report() {
  const text = (value) => value.replace(/[&<>"]/g, (c) => `&#${c.codePointAt(0)};`);
  const cases = results.map(
    ({ name, ms, ok }) =>
      `<testcase classname="browser" name="${text(name)}" time="${ms / 1000}">` +
      (ok ? "</testcase>" : "<failure/></testcase>"),
  );
  return `<testsuite name="browser">${cases.join("\n")}</testsuite>\n`;
}

async function look(name) {
  unreachable.push(...(await axe(page, name)));
  if (shots) await page.screenshot({ path: join(shots, `${name}.png`) });
}

const box = () => page.getByRole("textbox", { name: "Message" });
const button = (name) => page.getByRole("button", { name, exact: true });
const answers = () =>
  page.locator("article", { has: page.getByRole("heading", { name: "Answer" }) });
const lastAnswer = () => answers().last();
const stopButton = () => button("Stop");
/* Nothing, while there is no text yet: it does not wait for any. */
const textOf = async (turn) => (await turn.locator(".md").allInnerTexts()).join("").trim();

/* Waits for the turn of the new answer, so that the last one on the page is this one's. */
async function send(text) {
  const before = await answers().count();
  await box().fill(text);
  await button("Send").click();
  await assertSoon(async () => (await answers().count()) > before, "the answer's turn is there");
}

/* An answer may end by itself just before it is stopped. */
async function stopIfRunning() {
  const regenerate = lastAnswer().getByRole("button", { name: "Regenerate" });
  await assertSoon(async () => {
    if (await regenerate.isVisible()) return true;
    await stopButton()
      .click({ timeout: 1000 })
      .catch(() => {});
    return false;
  }, "the answer has ended");
}

async function openChat(title) {
  await page
    .getByRole("navigation", { name: "Chats" })
    .getByRole("link", { name: title })
    .first()
    .click();
}

/* Of the long answer of the provider: every word once and in its order. */
function assertWhole(text) {
  const words = text.split(/\s+/);
  assert.deepEqual(
    words,
    words.map((_, i) => `line${i + 1}`),
  );
  return words.length;
}

/* The answer is finished when its toolbar is there. */
async function finished() {
  await lastAnswer().getByRole("button", { name: "Regenerate" }).waitFor();
}

async function someText(turn, characters = 20) {
  await assertSoon(async () => (await textOf(turn)).length >= characters, "no text came");
}

async function assertSoon(check, message, ms = PATIENCE_MS) {
  const until = Date.now() + ms;
  while (Date.now() < until) {
    if (await check()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail(message);
}

async function completion(key) {
  return fetch(`${address}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify({
      model: modelId,
      max_tokens: 8,
      messages: [{ role: "user", content: "Say hello." }],
    }),
  });
}

const copied = () => page.evaluate(() => navigator.clipboard.readText());
const thread = async () => {
  const id = new URL(page.url()).pathname.split("/").at(-1);
  return (await page.request.get(`/api/threads/${id}`)).json();
};

let modelId = "";
let failed = false;

try {
  await step("an unknown visitor is led to set-up", async () => {
    await page.goto("/");
    await page.getByRole("heading", { name: "Welcome to Weir" }).waitFor();
    await page.getByLabel("Set-up code").waitFor();
  });

  await step("the set-up link makes the owner", async () => {
    await page.goto(`/setup#token=${token}`);
    await page.reload();
    await page.getByLabel("Your name").fill("Olive Owner");
    await look("setup");
    await page.getByLabel("Email").fill(owner.email);
    await page.getByLabel("Password").fill(owner.password);
    await page.getByLabel("Organisation").fill("River Works");
    await button("Create the account").click();
    await box().waitFor();
  });

  await step("the model gets ready", async () => {
    const models = await (await page.request.get("/api/models")).json();
    modelId = models.data[0].id;
    await box().fill("x");
    await page.locator('button[aria-label="Send"]:not([disabled])').waitFor();
    await box().fill("");
    await look("chat-empty");
  });

  await step("a question is answered by the real model, and names the chat", async () => {
    await send("Write two sentences about rivers.");
    await finished();
    assert.ok((await textOf(lastAnswer())).length > 0);
    await lastAnswer()
      .getByText(/\d+ tokens$/)
      .waitFor();
    await lastAnswer()
      .getByText(/\d+ tokens\/s$/)
      .waitFor();
    assert.match(page.url(), /\/chat\/thr_/);
    await page.getByRole("heading", { level: 1, name: "Write two sentences about" }).waitFor();
    assert.match(await page.title(), /^Write two sentences about rivers/);
    await look("chat");
  });

  await step("an answer is stopped", async () => {
    /* the most likely words, or the story could be over before anyone can stop it */
    await button("System prompt and parameters").click();
    await page.getByRole("textbox", { name: "Temperature" }).fill("0");
    await assertSoon(async () => (await thread()).parameters.temperature === 0, "it is kept");
    await button("Close").click();
    await send(long);
    await someText(lastAnswer());
    await stopButton().click();
    await lastAnswer().getByText("Stopped").waitFor();
    const text = await textOf(lastAnswer());
    await page.reload();
    await lastAnswer().getByText("Stopped").waitFor();
    assert.equal(await textOf(lastAnswer()), text, "what was stopped is what is stored");
  });

  await step("it is written again, as a second version", async () => {
    const first = await textOf(lastAnswer());
    await lastAnswer().getByRole("button", { name: "Regenerate" }).click();
    await stopButton().waitFor();
    await someText(lastAnswer(), 5);
    await stopIfRunning();
    await page.getByText("2/2").waitFor();
    await button("Previous version").last().click();
    await page.getByText("1/2").waitFor();
    assert.equal(await textOf(lastAnswer()), first);
    await page.reload();
    await page.getByText("1/2").waitFor();
    assert.equal(await textOf(lastAnswer()), first);
  });

  await step("a message is edited into a branch of its own", async () => {
    const edit = button("Edit message").first();
    await edit.hover();
    await edit.click();
    await page.getByRole("textbox", { name: "Edit your message" }).fill("Name one river.");
    await page.keyboard.press("Enter");
    await assertSoon(async () => (await answers().count()) === 1, "the new branch is shown");
    await someText(lastAnswer(), 1);
    await stopIfRunning();
    await button("Previous version").first().click();
    await assertSoon(async () => (await answers().count()) === 2, "the first branch is back");
    await button("Next version").first().click();
    await page.getByText("Name one river.").waitFor();
    await look("branches");
  });

  await step("a provider is added, with a model of it", async () => {
    await page.getByRole("link", { name: "Models" }).click();
    await page.getByText(modelId).first().waitFor();
    await page.getByText("Ready").first().waitFor();
    await button("Add upstream").click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("textbox", { name: "Name" }).fill("River provider");
    await dialog.getByRole("textbox", { name: "Address" }).fill(upstream.url);
    await look("upstream-dialog");
    await dialog.getByRole("button", { name: "Add and choose models" }).click();
    await dialog.getByRole("combobox", { name: "Model" }).selectOption("river-large");
    await look("model-dialog");
    await dialog.getByRole("button", { name: "Add model" }).click();
    await dialog.waitFor({ state: "detached" });
    await page.getByRole("switch", { name: /river-large/ }).waitFor();
    await look("models");
  });

  await step("the model is chosen, and its Markdown is shown", async () => {
    await page.getByRole("link", { name: "New chat" }).click();
    await page.getByRole("button", { name: /^Model:/ }).click();
    await page.getByRole("menuitemradio", { name: /river-large/ }).click();
    await page.getByRole("button", { name: "Model: river-large" }).click();
    await page.getByRole("menuitemradio", { name: /river-large/, checked: true }).waitFor();
    await look("model-menu");
    await page.keyboard.press("Escape");
    await send("Show me code");
    await finished();
    assert.equal(upstream.asked.at(-1).model, "river-large");
    const answer = lastAnswer();
    await answer.getByRole("heading", { name: "Counting words" }).waitFor();
    assert.equal(await answer.getByRole("listitem").count(), 2);
    assert.equal(await answer.getByRole("cell").count(), 4);
    assert.match(await answer.innerText(), /<script>/);
    assert.notEqual(await page.title(), "broken");
    await answer.locator(".hl-keyword").first().waitFor();
    await answer.getByRole("button", { name: "Copy code" }).click();
    assert.equal((await copied()).trimEnd(), provider.code);
    await answer.getByRole("button", { name: "Copy answer" }).click();
    assert.equal((await copied()).trimEnd(), provider.markdown.trimEnd());
    await look("chat-markdown");
  });

  await step("system prompt and parameters are kept with the chat, and used", async () => {
    await button("System prompt and parameters").click();
    await page.getByRole("textbox", { name: "System prompt" }).fill("You answer in one word.");
    await page.getByRole("textbox", { name: "Temperature" }).fill("0.1");
    await page.getByRole("textbox", { name: "Longest answer" }).fill("0");
    await page.getByText("A number from 1 to 1000000").waitFor();
    await page.getByRole("textbox", { name: "Longest answer" }).fill("900");
    await assertSoon(async () => (await thread()).parameters.max_tokens === 900, "it is kept");
    await look("parameters");
    await page.reload();
    await button("System prompt and parameters").click();
    await assertSoon(
      async () =>
        (await page.getByRole("textbox", { name: "System prompt" }).inputValue()) ===
        "You answer in one word.",
      "the system prompt was kept",
    );
    assert.equal(await page.getByRole("textbox", { name: "Temperature" }).inputValue(), "0.1");
    await button("Close").click();
    await send("Is it calm?");
    await finished();
    const call = upstream.asked.at(-1);
    assert.equal(call.temperature, 0.1);
    assert.equal(call.max_tokens, 900);
    assert.deepEqual(call.messages[0], { role: "system", content: "You answer in one word." });
    assert.equal(call.messages.length, 4);
  });

  await step("stop reaches the provider", async () => {
    await send("A long answer, please");
    await someText(lastAnswer());
    const before = upstream.cuts();
    await page.keyboard.press("Escape");
    await lastAnswer().getByText("Stopped").waitFor();
    await assertSoon(() => upstream.cuts() > before, "the provider was told", 5000);
  });

  await step("an answer goes on through a reload", async () => {
    await send("Another long answer");
    await someText(lastAnswer());
    const before = await textOf(lastAnswer());
    await page.reload();
    await someText(lastAnswer(), before.length + 10);
    await stopButton().waitFor();
  });

  await step("and when the connection is cut, and while another chat is looked at", async () => {
    for (let i = 0; i < 3; i++) {
      proxy.cut();
      await page.waitForTimeout(500);
    }
    const at = page.url();
    await page.getByRole("link", { name: "New chat" }).click();
    await page.getByRole("heading", { name: /What shall we work on/ }).waitFor();
    await openChat("Show me code");
    await someText(lastAnswer());
    await page.goto("about:blank");
    await page.waitForTimeout(500);
    await page.goto(at);
    await finished();
    assert.equal(assertWhole(await textOf(lastAnswer())), 400);
    await page.reload();
    await finished();
    assert.equal(assertWhole(await textOf(lastAnswer())), 400);
  });

  await step(
    "a provider that is down is an answer that failed, and can be asked again",
    async () => {
      upstream.setDown(true);
      await send("Are you there?");
      await lastAnswer().getByText("The answer failed").waitFor();
      await look("answer-failed");
      upstream.setDown(false);
      await button("Try again").click();
      await assertSoon(async () => (await textOf(lastAnswer())) === "The river is calm.", "calm");
    },
  );

  await step("chats are found, renamed and deleted", async () => {
    const list = page.getByRole("navigation", { name: "Chats" });
    await list.getByRole("link", { name: "Write two sentences" }).hover();
    await button("More for “Write two sentences about rivers.”").click();
    await page.getByRole("menuitem", { name: "Rename" }).click();
    await page.getByRole("textbox", { name: "Title of the chat" }).fill("The long river");
    await page.keyboard.press("Enter");
    await list.getByRole("link", { name: "The long river" }).click();
    await page.getByRole("heading", { level: 1, name: "The long river" }).waitFor();
    await page.getByRole("searchbox").fill("LONG RIV");
    await assertSoon(async () => (await list.getByRole("link").count()) === 1, "one is found");
    await page.getByRole("searchbox").fill("no such title");
    await list.getByText("No chat has “no such title” in its title.").waitFor();
    await page.getByRole("searchbox").fill("long riv");
    await list.getByRole("link", { name: "The long river" }).hover();
    await list.getByRole("button", { name: /^More for/ }).click();
    await page.getByRole("menuitem", { name: "Delete" }).click();
    await page.getByRole("dialog").waitFor();
    await look("delete-dialog");
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await page.getByRole("heading", { name: /What shall we work on/ }).waitFor();
    await button("Clear search").click();
    await assertSoon(async () => (await list.getByRole("link").count()) === 1, "the other stays");
    assert.equal(await list.getByText("The long river").count(), 0);
  });

  let key = "";
  await step("a key is made, and its examples work as they are copied", async () => {
    await page.getByRole("link", { name: "API keys" }).click();
    await page.getByText("No keys yet").waitFor();
    await look("keys-empty");
    await button("New key").click();
    await page.getByRole("textbox", { name: "Name" }).fill("End-to-end");
    await button("Create key").click();
    await page.getByRole("heading", { name: "Your new key" }).waitFor();
    await look("key-made");
    const dialog = page.getByRole("dialog");
    await button("Copy key").click();
    key = await copied();
    assert.match(key, /^weir_sk_[0-9A-Za-z]{36}$/);
    for (const [language, program] of [
      ["curl", "sh"],
      ["Python", "python3"],
      ["JavaScript", null],
    ]) {
      await dialog.getByText(language, { exact: true }).click();
      await dialog.getByRole("button", { name: "Copy code" }).click();
      const text = await copied();
      assert.ok(text.includes(`${proxy.url}/v1`), `${language} speaks to this origin`);
      assert.ok(text.includes(key) && text.includes(modelId), `${language} has key and model`);
      if (!program) continue;
      /* the real model may say hello at any length: the provider's answer is short and known */
      const own = text.replaceAll(modelId, "river-large");
      const { stdout } = await shell(program, ["-c", own], { timeout: PATIENCE_MS });
      if (program === "sh") assert.match(stdout, /"content": ?"The river is calm\."/);
      else assert.equal(stdout, "The river is calm.");
    }
    await button("Done").click();
    assert.equal(await page.getByText(key).count(), 0);
  });

  await step("its use is shown", async () => {
    const answer = await completion(key);
    assert.equal(answer.status, 200, await answer.clone().text());
    const body = await answer.json();
    assert.equal(typeof body.choices[0].message.content, "string");
    await page.reload();
    await page.getByRole("table").waitFor();
    await look("keys");
  });
  await step("a revoked key is refused", async () => {
    await page.getByRole("button", { name: "More for “End-to-end”" }).click();
    await page.getByRole("menuitem", { name: "Revoke" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
    await page.getByText("No keys yet").waitFor();
    await assertSoon(async () => (await completion(key)).status === 401, "still works", 6000);
  });

  await step("sessions are listed, and another one is ended", async () => {
    const other = await browser.newContext({ baseURL: proxy.url });
    other.setDefaultTimeout(PATIENCE_MS);
    await watch(other);
    const there = await other.newPage();
    await there.goto("/chat");
    await there.getByLabel("Email").fill(owner.email);
    await there.getByLabel("Password").fill(owner.password);
    await there.getByRole("button", { name: "Sign in" }).click();
    await there.getByRole("textbox", { name: "Message" }).waitFor();

    await page.goto("/settings/security");
    await page.getByText("This session").waitFor();
    await look("sessions");
    await page.getByRole("button", { name: /^End the session/ }).click();
    await page.getByText("The session has ended").waitFor();
    await there.reload();
    await there.getByRole("heading", { name: "Sign in to Weir" }).waitFor();
    await other.close();
  });

  await step("the other settings", async () => {
    await page.getByRole("link", { name: "Profile" }).click();
    await page.getByRole("textbox", { name: "Name" }).fill("Olive O. Owner");
    await button("Save").click();
    await page.getByText("Your name was changed").waitFor();
    await look("profile");
    await page.getByRole("link", { name: "Appearance" }).click();
    await page.getByText("Dark").click();
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "dark");
    await page.reload();
    await page.getByRole("radio", { name: "Dark" }).waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "dark");
    await page.getByText("System").click();
    await look("appearance");
  });

  await step("the keyboard is enough", async () => {
    await page.keyboard.press("?");
    await page.getByRole("heading", { name: "Keyboard shortcuts" }).waitFor();
    await look("shortcuts");
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.keyboard.press("g");
    await page.keyboard.press("k");
    await page.getByRole("heading", { name: "API keys" }).waitFor();
    await page.keyboard.press("Control+k");
    await assertSoon(
      () => page.evaluate(() => document.activeElement?.getAttribute("type") === "search"),
      "the search has the focus",
    );
  });

  await step("a phone has all of it", async () => {
    await page.setViewportSize({ width: 390, height: 844 });
    await page.goto("/chat");
    await box().waitFor();
    await look("phone-chat-empty");
    await button("Open the menu").click();
    await page
      .getByRole("dialog")
      .getByRole("navigation", { name: "Chats" })
      .getByRole("link")
      .first()
      .waitFor();
    await page.waitForTimeout(250);
    await look("phone-menu");
    await page
      .getByRole("dialog")
      .getByRole("navigation", { name: "Chats" })
      .getByRole("link")
      .first()
      .click();
    await finished();
    await look("phone-chat");
    const wide = await page.evaluate(
      () => document.documentElement.scrollWidth > document.documentElement.clientWidth,
    );
    assert.equal(wide, false, "the page scrolls sideways");
    await page.setViewportSize({ width: 1280, height: 800 });
  });

  await step("signing out and in", async () => {
    await page.getByRole("button", { name: /Olive O. Owner/ }).click();
    await page.getByRole("menuitem", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "Sign in to Weir" }).waitFor();
    await look("login");
    assert.equal((await page.request.get("/api/me")).status(), 401);
    await page.getByLabel("Email").fill(owner.email);
    await page.getByLabel("Password").fill("certainly wrong");
    await button("Sign in").click();
    await page.getByRole("alert").filter({ hasText: /wrong/i }).waitFor();
    await page.getByLabel("Password").fill(owner.password);
    await button("Sign in").click();
    await box().waitFor();
  });

  await step("what is not there says so", async () => {
    await page.goto("/chat/thr_00000000000000000000000000");
    await page.getByRole("alert").waitFor();
    await look("no-such-chat");
    await page.goto("/nowhere");
    await page.getByRole("heading", { name: "There is nothing here" }).waitFor();
    await look("no-such-page");
    await page.getByRole("link", { name: "Go to your chats" }).click();
    await box().waitFor();
  });

  await step("no page broke the content security policy", () => {
    assert.deepEqual(trouble.csp, []);
  });
  await step("no page threw an error", () => {
    assert.deepEqual(trouble.errors, []);
  });
  await step("axe finds nothing on any page, in both themes", () => {
    assert.equal(unreachable.length, 0, unreachable.join("\n"));
  });
} catch (error) {
  failed = true;
  console.log(error);
} finally {
  await browser.close();
  proxy.close();
  upstream.close();
  if (process.env.WEIR_REPORT) await writeFile(process.env.WEIR_REPORT, report());
}
process.exit(failed ? 1 : 0);
