import { I18nProvider } from "@lingui/react";
import { render, screen } from "@testing-library/react";
import { describe, expect, it } from "vitest";
import { i18n } from "@/i18n/i18n";
import { Markdown } from "./markdown";
import { safeLink } from "./parse";

const show = (text: string, growing = false) =>
  render(
    <I18nProvider i18n={i18n}>
      <Markdown text={text} growing={growing} />
    </I18nProvider>,
  );

describe("Markdown", () => {
  it("draws what models write", () => {
    const { container } = show(
      "# Title\n\nSome **bold**, *soft*, ~~gone~~ and `code`.\n\n1. one\n2. two\n\n- [x] done\n\n> said\n\n---\n\n| a | b |\n|:--|--:|\n| 1 | 2 |\n\nhttps://example.com and [link][l]\n\n[l]: https://example.org",
    );
    expect(screen.getByRole("heading", { level: 3 })).toHaveTextContent("Title");
    expect(container.querySelector("strong")).toHaveTextContent("bold");
    expect(container.querySelector("em")).toHaveTextContent("soft");
    expect(container.querySelector("del")).toHaveTextContent("gone");
    expect(container.querySelectorAll("ol li")).toHaveLength(2);
    expect(container.querySelector("ul")).toHaveTextContent("☑ done");
    expect(container.querySelector("blockquote")).toHaveTextContent("said");
    expect(container.querySelector("hr")).toBeInTheDocument();
    expect(screen.getAllByRole("columnheader")).toHaveLength(2);
    expect(container.querySelector("td:last-child")).toHaveStyle({ textAlign: "right" });
    expect(screen.getAllByRole("link").map((link) => link.getAttribute("href"))).toEqual([
      "https://example.com",
      "https://example.org",
    ]);
    expect(screen.getAllByRole("link")[0]).toHaveAttribute(
      "rel",
      expect.stringContaining("noopener"),
    );
  });

  it("shows raw HTML as text and loads no image", () => {
    const { container } = show(
      "x <img src=x onerror=alert(1)> y\n\n<script>alert(1)</script>\n\n![pic](https://evil.example/?q=secret)\n\n[bad](javascript:alert(1)) [rel](/api/me)",
    );
    expect(container.querySelector("img, script")).toBeNull();
    expect(container).toHaveTextContent("<script>alert(1)</script>");
    expect(screen.getByRole("link")).toHaveTextContent("Image: pic");
    expect(container).toHaveTextContent("bad rel");
  });

  it("shows a growing fence at once, and half a bold as bold", () => {
    const { container, rerender } = show("Some **bo", true);
    expect(container.querySelector("strong")).toHaveTextContent("bo");
    rerender(
      <I18nProvider i18n={i18n}>
        <Markdown text={"Some **bold**\n\n```js\nlet a = 1;\nlet b"} growing />
      </I18nProvider>,
    );
    expect(container.querySelector("pre")).toHaveTextContent("let a = 1; let b");
    expect(screen.getByText("js")).toBeInTheDocument();
  });

  it("colours a finished block without changing its text", async () => {
    const code = 'def f(x):\n    return "a" + x  # <b>\n';
    const { container } = show(`\`\`\`python\n${code}\`\`\``);
    await expect.poll(() => container.querySelector(".hl-keyword")?.textContent).toBe("def");
    expect(container.querySelector("pre")?.textContent).toBe(code.trimEnd());
  });

  it("never loses text of a long tail", () => {
    const words = Array.from({ length: 900 }, (_, index) => `word${index}`).join(" ");
    const { container, rerender } = show("w", true);
    for (let end = 1; end < words.length; end += 97) {
      rerender(
        <I18nProvider i18n={i18n}>
          <Markdown text={words.slice(0, end)} growing />
        </I18nProvider>,
      );
      expect(container.querySelector(".md")?.textContent?.trim()).toBe(words.slice(0, end).trim());
    }
  });
});

describe("safeLink", () => {
  it.each([
    ["https://a.example", "https://a.example"],
    ["mailto:a@example.com", "mailto:a@example.com"],
    ["javascript:alert(1)", null],
    ["JAVASCRIPT:alert(1)", null],
    ["data:text/html,x", null],
    ["/api/me", null],
    ["//evil.example", null],
    ["", null],
  ])("%s", (url, want) => {
    expect(safeLink(url)).toBe(want);
  });
});
