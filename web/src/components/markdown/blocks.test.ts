import { describe, expect, it } from "vitest";
import { closeInline, definitions, splitBlocks, type Block, topHeading } from "./blocks";

const shape = (blocks: Block[]) =>
  blocks.map((block) =>
    block.kind === "fence"
      ? `\`${block.lang}${block.closed ? "" : "…"}: ${block.code}`
      : block.text,
  );

describe("splitBlocks", () => {
  const cases: [name: string, input: string, want: string[]][] = [
    ["nothing", "", []],
    ["blank lines only", "\n\n  \n", []],
    ["paragraphs", "one\nstill one\n\ntwo\n", ["one\nstill one", "two"]],
    ["a fence", "a\n\n```js\nlet x;\n\nlet y;\n```\nb", ["a", "`js: let x;\n\nlet y;", "b"]],
    ["a fence right after text", "a\n```\nx\n```\nb", ["a", "`: x", "b"]],
    ["an open fence", "```py\nx = 1\n", ["`py…: x = 1"]],
    ["a fence of tildes with ticks in it", "~~~\n```\n~~~", ["`: ```"]],
    ["a longer closing fence", "```\nx\n`````", ["`: x"]],
    ["a shorter one does not close", "````\n```\n````", ["`: ```"]],
    ["ticks within a line are no fence", "```a``` b\n\nc", ["```a``` b", "c"]],
    ["an indented fence loses its indent", "  ```\n  x\n    y\n  ```", ["`: x\n  y"]],
    [
      "a loose list stays whole",
      "1. a\n\n2. b\n\n   more b\n\nend",
      ["1. a\n\n2. b\n\n   more b", "end"],
    ],
    [
      "a fence within a list",
      "- a\n\n  ```\n  x\n\n\n  y\n  ```\n\n- b\n\nend",
      ["- a\n\n  ```\n  x\n\n\n  y\n  ```\n\n- b", "end"],
    ],
    ["indented code", "    a\n\n    b\n\nc", ["    a\n\n    b", "c"]],
    ["a table", "| a |\n|---|\n| 1 |\n\nb", ["| a |\n|---|\n| 1 |", "b"]],
  ];
  it.each(cases)("%s", (_name, input, want) => {
    expect(shape(splitBlocks(input))).toEqual(want);
  });

  it("comes to the same, however the text arrives", () => {
    const text = cases.map(([, input]) => input).join("\n\nplain text\n\n");
    const whole = splitBlocks(text);
    let state = 7;
    const random = (n: number) => {
      state = (state * 1103515245 + 12345) % 2147483648;
      return state % n;
    };
    for (let round = 0; round < 60; round++) {
      let blocks: Block[] = [];
      let end = 0;
      while (end < text.length) {
        end = Math.min(text.length, end + 1 + random(round < 20 ? 3 : 40));
        blocks = splitBlocks(text.slice(0, end), blocks);
      }
      expect(blocks).toEqual(whole);
    }
  });

  it("keeps settled blocks as the same objects", () => {
    const before = splitBlocks("a\n\nb\n\nc");
    const after = splitBlocks("a\n\nb\n\nc and more\n\nd", before);
    expect(after[0]).toBe(before[0]);
    expect(after[1]).toBe(before[1]);
    expect(after.length).toBe(4);
  });
});

describe("closeInline", () => {
  it.each([
    ["a **bo", "a **bo**"],
    ["a **bo** b", "a **bo** b"],
    ["a `co", "a `co`"],
    ["a ``co`d", "a ``co`d``"],
    ["`**` x", "`**` x"],
    ["a ~~x", "a ~~x~~"],
    ["see [the docs](https://exa", "see the docs"],
    ["see [the docs](https://example.com) x", "see [the docs](https://example.com) x"],
    ["a *", "a "],
    ["a **", "a "],
    ["2 \\** 3", "2 \\** 3"],
  ])("%s", (input, want) => {
    expect(closeInline(input)).toBe(want);
  });
});

describe("definitions", () => {
  it("finds link definitions and no footnotes", () => {
    expect(definitions("a [x][y]\n\n[y]: https://example.com\n[^1]: note")).toBe(
      "[y]: https://example.com",
    );
    expect(definitions("nothing")).toBe("");
  });
});

it.each([
  ["no heading", 1],
  ["## Two\n\n### Three", 2],
  ["### Three\n\ntext\n\n## Two", 2],
  ["```\n# a comment\n```\n\n#### Four", 4],
  ["One\n===\n\n### Three", 1],
  ["#hashtag and\n\n### Three", 3],
])("the greatest heading of %j is %d", (text, top) => {
  expect(topHeading(splitBlocks(text, []))).toBe(top);
});
