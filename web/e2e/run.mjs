/* The main job in a real browser against a real server that has not been set up yet.
 * WEIR_URL: its address. WEIR_SETUP_URL: the link that it printed. SHOTS: a folder for pictures.
 * WEIR_REPORT: a file for the results of the steps (JUnit XML). scripts/test-browser sets them. */
import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { axe, launch, trouble, watch } from "./browser.mjs";
import { startProxy } from "./cutting-proxy.mjs";

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

const proxy = await startProxy(address);
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
const textOf = async (turn) =>
  (
    await turn
      .locator(".md")
      .innerText()
      .catch(() => "")
  ).trim();

async function send(text) {
  await box().fill(text);
  await button("Send").click();
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

  await step("a question is answered by the real model", async () => {
    await send("Write two sentences about rivers.");
    await finished();
    assert.ok((await textOf(lastAnswer())).length > 0);
    await lastAnswer()
      .getByText(/\d+ tokens$/)
      .waitFor();
    assert.match(page.url(), /\/chat\/thr_/);
    await look("chat");
  });

  await step("an answer is stopped", async () => {
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
    await lastAnswer().getByText("2/2").or(stopButton()).first().waitFor();
    await someText(lastAnswer(), 5);
    if (await stopButton().isVisible())
      await stopButton()
        .click({ timeout: 5000 })
        .catch(() => {});
    await finished();
    await page.getByText("2/2").waitFor();
    await page.getByRole("button", { name: "Previous version" }).last().click();
    await page.getByText("1/2").waitFor();
    assert.equal(await textOf(lastAnswer()), first);
    await page.reload();
    await page.getByText("1/2").waitFor();
  });

  await step("a message is edited into a branch of its own", async () => {
    const edit = page.getByRole("button", { name: "Edit message" }).first();
    await edit.hover();
    await edit.click();
    await page.getByRole("textbox", { name: "Edit your message" }).fill("Name one river.");
    await page.keyboard.press("Enter");
    await finished();
    assert.equal(await answers().count(), 1);
    await page.getByRole("button", { name: "Previous version" }).first().click();
    await assertSoon(async () => (await answers().count()) === 2, "the first branch is back");
  });

  await step("an answer goes on through a reload", async () => {
    await page.getByRole("link", { name: "New chat" }).click();
    await send(long);
    await someText(lastAnswer());
    const before = await textOf(lastAnswer());
    await page.reload();
    await someText(lastAnswer(), before.length + 10);
    assert.ok((await textOf(lastAnswer())).startsWith(before.slice(0, 20)));
  });

  await step("it goes on when the connection is cut, and nothing is lost or doubled", async () => {
    if (!(await stopButton().isVisible())) {
      await send(long);
      await someText(lastAnswer());
    }
    for (let i = 0; i < 3; i++) {
      proxy.cut();
      await page.waitForTimeout(700);
    }
    await page.waitForTimeout(500);
    if (await stopButton().isVisible())
      await stopButton()
        .click({ timeout: 5000 })
        .catch(() => {});
    await finished();
    const shown = await textOf(lastAnswer());
    await page.reload();
    await finished();
    assert.equal(await textOf(lastAnswer()), shown);
  });

  await step("it goes on while another chat is looked at", async () => {
    await send("Count from one to two hundred in words.");
    await someText(lastAnswer(), 10);
    const at = page.url();
    await page.getByRole("link", { name: "New chat" }).click();
    await page.waitForTimeout(500);
    await page.goto(at);
    await someText(lastAnswer(), 20);
    if (await stopButton().isVisible())
      await stopButton()
        .click({ timeout: 5000 })
        .catch(() => {});
    await finished();
  });

  await step("chats are found, renamed and deleted", async () => {
    const list = page.getByRole("navigation", { name: "Chats" });
    await list.getByRole("link").first().hover();
    await list
      .getByRole("button", { name: /^More for/ })
      .first()
      .click();
    await page.getByRole("menuitem", { name: "Rename" }).click();
    await page.getByRole("textbox", { name: "Title of the chat" }).fill("The long river");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { level: 1, name: "The long river" }).waitFor();
    await page.getByRole("searchbox").fill("LONG RIV");
    await assertSoon(async () => (await list.getByRole("link").count()) === 1, "one is found");
    await list.getByRole("link").first().hover();
    await list.getByRole("button", { name: /^More for/ }).click();
    await page.getByRole("menuitem", { name: "Delete" }).click();
    await page.getByRole("dialog").waitFor();
    await look("delete-dialog");
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await box().waitFor();
    await button("Clear search").click();
    await assertSoon(async () => (await list.getByRole("link").count()) >= 1, "others stay");
    assert.equal(await list.getByText("The long river").count(), 0);
  });

  await step("system prompt and parameters are kept with the chat", async () => {
    await page.getByRole("navigation", { name: "Chats" }).getByRole("link").first().click();
    await button("System prompt and parameters").click();
    await page.getByRole("textbox", { name: "System prompt" }).fill("You answer in one word.");
    await page.getByRole("textbox", { name: "Temperature" }).fill("0.1");
    await page.waitForTimeout(1200);
    await look("parameters");
    await page.reload();
    await assertSoon(
      async () => (await button("System prompt and parameters").count()) === 1,
      "the chat is back",
    );
    await button("System prompt and parameters").click();
    await assertSoon(
      async () =>
        (await page.getByRole("textbox", { name: "System prompt" }).inputValue()) ===
        "You answer in one word.",
      "the system prompt was kept",
    );
    assert.equal(await page.getByRole("textbox", { name: "Temperature" }).inputValue(), "0.1");
    await page.getByRole("button", { name: "Close", exact: true }).click();
  });

  let key = "";
  await step("a key is made", async () => {
    await page.getByRole("link", { name: "API keys" }).click();
    await page.getByText("No keys yet").waitFor();
    await look("keys-empty");
    await button("New key").click();
    await page.getByRole("textbox", { name: "Name" }).fill("End-to-end");
    await button("Create key").click();
    await page.getByRole("heading", { name: "Your new key" }).waitFor();
    await look("key-made");
    await button("Copy key").click();
    key = await page.evaluate(() => navigator.clipboard.readText());
    assert.match(key, /^weir_sk_[0-9A-Za-z]{36}$/);
    await button("Done").click();
    assert.equal(await page.getByText(key).count(), 0);
  });

  await step("the key is used", async () => {
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

  await step("models are shown, switched off and on", async () => {
    await page.getByRole("link", { name: "Models" }).click();
    await page.getByText(modelId).first().waitFor();
    await page.getByText("Ready").first().waitFor();
    await look("models");
    await button("Add upstream").click();
    await page.getByRole("dialog").waitFor();
    await look("upstream-dialog");
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
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
  if (process.env.WEIR_REPORT) await writeFile(process.env.WEIR_REPORT, report());
}
process.exit(failed ? 1 : 0);
