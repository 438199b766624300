import { screen, waitFor, within } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { makeKey, makeModel, makeSession } from "@/testing/factories";
import { withMockWeir } from "@/testing/render-app";

const app = withMockWeir();

describe("setting up and signing in", () => {
  it("leads to set-up while there is no owner, with the code of the link", async () => {
    app.weir.needsSetup = true;
    app.weir.signedIn = false;
    window.location.hash = "#token=setup-token";
    const { router } = app.open("/");
    await app.user.type(await screen.findByLabelText("Your name"), "Ada");
    expect(screen.queryByLabelText("Set-up code")).toBeNull();
    await app.user.type(screen.getByLabelText("Email"), "ada@example.com");
    await app.user.type(screen.getByLabelText("Organisation"), "Engines");
    await app.user.type(screen.getByLabelText("Password"), "short");
    await app.user.click(screen.getByRole("button", { name: "Create the account" }));
    expect(await screen.findByText("Too short: at least 15 characters")).toBeInTheDocument();
    await app.user.type(screen.getByLabelText("Password"), " but now long");
    await app.user.click(screen.getByRole("button", { name: "Create the account" }));
    await waitFor(() => expect(router.state.location.pathname).toBe("/chat"));
    expect(app.weir.me.organisation.name).toBe("Engines");
    window.location.hash = "";
  });

  it("takes the code of a link that is opened where set-up already is", async () => {
    app.weir.needsSetup = true;
    app.weir.signedIn = false;
    app.open("/");
    expect(await screen.findByLabelText("Set-up code")).toBeInTheDocument();
    window.location.hash = "#token=setup-token";
    await waitFor(() => expect(screen.queryByLabelText("Set-up code")).toBeNull());
    window.location.hash = "";
  });

  it("asks for the code when the link had a wrong one", async () => {
    app.weir.needsSetup = true;
    app.weir.signedIn = false;
    window.location.hash = "#token=wrong";
    app.open("/setup");
    await app.user.type(await screen.findByLabelText("Your name"), "Ada");
    await app.user.type(screen.getByLabelText("Email"), "ada@example.com");
    await app.user.type(screen.getByLabelText("Organisation"), "Engines");
    await app.user.type(screen.getByLabelText("Password"), "long enough now");
    await app.user.click(screen.getByRole("button", { name: "Create the account" }));
    expect(await screen.findByText("This set-up code is not valid.")).toBeInTheDocument();
    await app.user.type(screen.getByLabelText("Set-up code"), "setup-token");
    await app.user.click(screen.getByRole("button", { name: "Create the account" }));
    await waitFor(() => expect(app.weir.needsSetup).toBe(false));
    window.location.hash = "";
  });

  it("signs in and comes back to where one wanted to go", async () => {
    app.weir.signedIn = false;
    const { router } = app.open("/console/keys");
    await app.user.type(await screen.findByLabelText("Email"), "ada@example.com");
    await app.user.type(screen.getByLabelText("Password"), "wrong");
    await app.user.click(screen.getByRole("button", { name: "Sign in" }));
    expect(await screen.findByText("The email or the password is wrong.")).toBeInTheDocument();
    await app.user.clear(screen.getByLabelText("Password"));
    await app.user.type(screen.getByLabelText("Password"), app.weir.password);
    await app.user.click(screen.getByRole("button", { name: "Sign in" }));
    await waitFor(() => expect(router.state.location.pathname).toBe("/console/keys"));
  });

  it.each(["https://evil.example/", "//evil.example", "/\\evil.example"])(
    "does not follow %s after signing in",
    async (next) => {
      app.weir.signedIn = false;
      const { router } = app.open(`/login?next=${encodeURIComponent(next)}`);
      await app.user.type(await screen.findByLabelText("Email"), "ada@example.com");
      await app.user.type(screen.getByLabelText("Password"), app.weir.password);
      await app.user.click(screen.getByRole("button", { name: "Sign in" }));
      await waitFor(() => expect(router.state.location.pathname).toBe("/chat"));
    },
  );

  it("asks to sign in again when the session ends, and keeps the draft", async () => {
    const { router } = app.open("/chat");
    await app.user.type(await screen.findByRole("textbox", { name: "Message" }), "half a tho");
    app.weir.signedIn = false;
    await app.user.click(screen.getByRole("link", { name: "API keys" }));
    expect(await screen.findByText("Sign in again to go on where you were.")).toBeInTheDocument();
    await app.user.type(screen.getByLabelText("Email"), "ada@example.com");
    await app.user.type(screen.getByLabelText("Password"), app.weir.password);
    await app.user.click(screen.getByRole("button", { name: "Sign in" }));
    await waitFor(() => expect(router.state.location.pathname).toBe("/console/keys"));
    await app.user.click(screen.getByRole("link", { name: "New chat" }));
    expect(await screen.findByRole("textbox", { name: "Message" })).toHaveValue("half a tho");
  });

  it("signs out", async () => {
    const { router } = app.open("/chat");
    await app.user.click(await screen.findByRole("button", { name: /Ada Lovelace/ }));
    await app.user.click(await screen.findByRole("menuitem", { name: "Sign out" }));
    await waitFor(() => expect(router.state.location.pathname).toBe("/login"));
    expect(app.weir.signedIn).toBe(false);
  });
});

describe("keys", () => {
  it("shows a new key once, and revokes one after asking", async () => {
    app.weir.keys = [makeKey({ name: "Old" })];
    app.open("/console/keys");
    const table = await screen.findByRole("table", { name: "API keys" });
    await app.user.click(screen.getByRole("button", { name: "New key" }));
    await app.user.type(await screen.findByLabelText("Name"), "Website");
    await app.user.selectOptions(screen.getByLabelText("Expires"), "30");
    await app.user.click(screen.getByRole("button", { name: "Create key" }));
    const dialog = await screen.findByRole("dialog", { name: "Your new key" });
    expect(within(dialog).getByText(/^weir_sk_\w{36}$/)).toBeInTheDocument();
    await app.user.keyboard("{Enter}");
    await app.user.click(within(dialog).getByRole("button", { name: "Done" }));
    await waitFor(() => expect(screen.queryByText(/^weir_sk_\w{36}$/)).toBeNull());
    expect(within(table).getByText("Website")).toBeInTheDocument();
    expect(app.weir.keys[0]?.expires_us).toBeGreaterThan(Date.now() * 1000);

    await app.user.click(screen.getByRole("button", { name: "More for “Old”" }));
    await app.user.click(await screen.findByRole("menuitem", { name: "Revoke" }));
    await app.user.click(await screen.findByRole("button", { name: "Revoke" }));
    await waitFor(() => expect(within(table).queryByText("Old")).toBeNull());
  });

  it("explains keys when there are none, and has examples in three languages", async () => {
    app.open("/console/keys");
    expect(await screen.findByText("No keys yet")).toBeInTheDocument();
    expect(screen.getByText(/v1\/chat\/completions/)).toBeInTheDocument();
    await app.user.click(screen.getByRole("radio", { name: "Python" }));
    expect(screen.getByText(/from openai import OpenAI/)).toBeInTheDocument();
    await app.user.click(screen.getByRole("radio", { name: "JavaScript" }));
    expect(screen.getByText(/import OpenAI from/)).toBeInTheDocument();
  });
});

describe("models", () => {
  it("adds an upstream and a model of it, switches it off, and removes both", async () => {
    app.open("/admin/models");
    await app.user.click(await screen.findByRole("button", { name: "Add upstream" }));
    await app.user.type(await screen.findByLabelText("Name"), "GPU");
    await app.user.type(screen.getByLabelText("Address"), "https://gpu.example.com/v1/");
    await app.user.click(screen.getByRole("button", { name: "Add and choose models" }));
    const dialog = await screen.findByRole("dialog", { name: "Add a model" });
    await within(dialog).findByRole("option", { name: "Qwen/Qwen3-8B" });
    await app.user.selectOptions(within(dialog).getByLabelText("Model"), "Qwen/Qwen3-8B");
    expect(within(dialog).getByLabelText("Id")).toHaveValue("qwen3-8b");
    await app.user.click(within(dialog).getByRole("button", { name: "Add model" }));
    await app.user.click(await screen.findByRole("switch", { name: "Offer “Qwen3-8B”" }));
    await waitFor(() => expect(app.weir.models[1]?.enabled).toBe(false));
    expect(app.weir.upstreams[0]?.base_url).toBe("https://gpu.example.com/v1");
  });

  it("keeps a model loaded, and says what holds the memory", async () => {
    const reason = "it needs about 900 MiB; big (800 MiB, pinned) holds the memory";
    app.weir.models = [
      makeModel({ id: "one", name: "One" }),
      makeModel({ id: "two", name: "Two", state: { phase: "asleep", progress: null, reason } }),
      makeModel({ id: "far", name: "Far", kind: "upstream", memory_bytes: null }),
    ];
    app.open("/admin/models");
    expect(await screen.findByText(`No room: ${reason}`)).toBeInTheDocument();
    expect(screen.getByText("Asleep")).toBeInTheDocument();
    expect(screen.queryByRole("switch", { name: "Keep “Far” loaded" })).toBeNull();
    const keep = screen.getByRole("switch", { name: "Keep “One” loaded" });
    expect(keep).not.toBeChecked();
    await app.user.click(keep);
    await waitFor(() => expect(app.weir.models[0]?.pinned).toBe(true));
    await waitFor(() => expect(keep).toBeChecked());
  });

  it("is not for members", async () => {
    (app.weir.me.organisation as { role: string }).role = "member";
    const { router } = app.open("/admin/models");
    await waitFor(() => expect(router.state.location.pathname).toBe("/chat"));
    expect(screen.queryByRole("link", { name: "Models" })).toBeNull();
  });
});

describe("settings", () => {
  it("changes the name and the password", async () => {
    app.open("/settings/profile");
    const name = await screen.findByLabelText("Name");
    await app.user.clear(name);
    await app.user.type(name, "Ada King");
    await app.user.click(screen.getByRole("button", { name: "Save" }));
    await waitFor(() => expect(app.weir.me.user.name).toBe("Ada King"));

    await app.user.click(screen.getByRole("link", { name: "Security" }));
    await app.user.type(await screen.findByLabelText("Current password"), "not it");
    await app.user.type(screen.getByLabelText("New password"), "a new and long one");
    await app.user.type(screen.getByLabelText("New password again"), "a new and long one");
    await app.user.click(screen.getByRole("button", { name: "Change password" }));
    expect(await screen.findByText("The current password is wrong.")).toBeInTheDocument();
    await app.user.clear(screen.getByLabelText("Current password"));
    await app.user.type(screen.getByLabelText("Current password"), app.weir.password);
    await app.user.click(screen.getByRole("button", { name: "Change password" }));
    await waitFor(() => expect(app.weir.password).toBe("a new and long one"));
  });

  it("lists sessions and ends one", async () => {
    app.weir.sessions = [
      makeSession({ current: true }),
      makeSession({ user_agent: "curl/8.5.0", address: "192.0.2.9" }),
    ];
    app.open("/settings/security");
    expect(await screen.findByText("This session")).toBeInTheDocument();
    await app.user.click(screen.getByRole("button", { name: "End the session curl" }));
    await waitFor(() => expect(app.weir.sessions).toHaveLength(1));
    expect(screen.queryByText("curl")).toBeNull();
  });

  it("keeps the theme", async () => {
    app.open("/settings/appearance");
    await app.user.click(await screen.findByRole("radio", { name: "Dark" }));
    expect(document.documentElement.dataset.theme).toBe("dark");
    expect(localStorage.getItem("weir.theme")).toBe("dark");
    await app.user.click(screen.getByRole("radio", { name: "System" }));
    expect(document.documentElement.dataset.theme).toBeUndefined();
  });
});
