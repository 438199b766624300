import { describe, expect, it } from "vitest";
import type { Message } from "@/api/client";
import { makeMessage } from "@/testing/factories";
import { alternatives, branch, buildTree, latestLeaf } from "./tree";

const at = (id: string, parent: string | null, created: number, role: Message["role"] = "user") =>
  makeMessage({ id, parent_id: parent, created_us: created, role, content: id });

/* q1 ─ a1 ─ q2 ─ a2
 *    └ a1b        └ q2b ─ a2b (edited q2)    */
const messages = [
  at("q1", null, 1),
  at("a1", "q1", 2, "assistant"),
  at("a1b", "q1", 3, "assistant"),
  at("q2", "a1", 4),
  at("a2", "q2", 5, "assistant"),
  at("q2b", "a1", 6),
  at("a2b", "q2b", 7, "assistant"),
];

const ids = (list: readonly Message[]) => list.map((message) => message.id).join(" ");

function shuffled<T>(list: readonly T[], seed: number): T[] {
  const out = [...list];
  let state = seed;
  for (let i = out.length - 1; i > 0; i--) {
    state = (state * 1103515245 + 12345) % 2147483648;
    const j = state % (i + 1);
    [out[i], out[j]] = [out[j] as T, out[i] as T];
  }
  return out;
}

describe("branch", () => {
  it("goes from the first message to the leaf", () => {
    expect(ids(branch(buildTree(messages), "a2"))).toBe("q1 a1 q2 a2");
    expect(ids(branch(buildTree(messages), "a1b"))).toBe("q1 a1b");
  });

  it("goes on from an inner message to its youngest leaf", () => {
    expect(ids(branch(buildTree(messages), "a1"))).toBe("q1 a1 q2b a2b");
  });

  it("takes the youngest branch without a leaf or with an unknown one", () => {
    expect(ids(branch(buildTree(messages), null))).toBe("q1 a1b");
    expect(ids(branch(buildTree(messages), "msg_gone"))).toBe("q1 a1b");
  });

  it("does not depend on the order of the messages", () => {
    for (let seed = 1; seed <= 200; seed++) {
      const tree = buildTree(shuffled(messages, seed));
      expect(ids(branch(tree, "a2"))).toBe("q1 a1 q2 a2");
      expect(ids(tree.children.get("q1") ?? [])).toBe("a1 a1b");
    }
  });

  it("is empty without messages", () => {
    expect(branch(buildTree([]), null)).toEqual([]);
    expect(branch(buildTree([]), "x")).toEqual([]);
  });

  it("survives a missing parent, a circle and a message that came twice", () => {
    expect(ids(branch(buildTree([at("x", "gone", 1)]), "x"))).toBe("x");
    const circle = buildTree([at("a", "b", 1), at("b", "a", 2)]);
    expect(branch(circle, "a").length).toBeLessThanOrEqual(2);
    const twice = [...messages, at("a2", "q2", 5, "assistant")];
    expect(ids(branch(buildTree(twice), "a2"))).toBe("q1 a1 q2 a2");
  });
});

describe("alternatives", () => {
  it("numbers siblings by age and leads to their leaves", () => {
    const tree = buildTree(messages);
    const q2 = tree.byId.get("q2") as Message;
    expect(alternatives(tree, q2)).toEqual({ index: 0, count: 2, previous: null, next: "a2b" });
    const a1b = tree.byId.get("a1b") as Message;
    expect(alternatives(tree, a1b)).toEqual({ index: 1, count: 2, previous: "a2b", next: null });
    const a2 = tree.byId.get("a2") as Message;
    expect(alternatives(tree, a2)).toEqual({ index: 0, count: 1, previous: null, next: null });
  });

  it("orders equal times by id", () => {
    const tree = buildTree([at("m2", null, 5), at("m1", null, 5)]);
    expect(ids(tree.children.get(null) ?? [])).toBe("m1 m2");
    expect(latestLeaf(tree, "m1")).toBe("m1");
  });
});
