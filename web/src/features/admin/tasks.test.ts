import { expect, test } from "vitest";
import { purposeOf, tasksOf } from "./tasks";

test("what a model is for, in the form's words and back", () => {
  expect(purposeOf(["chat", "completions"])).toBe("chat");
  expect(purposeOf(["completions", "chat"])).toBe("chat");
  expect(purposeOf(["embeddings"])).toBe("embeddings");
  expect(purposeOf(["embeddings", "rerank"])).toBe("other");
  expect(purposeOf(["chat"])).toBe("other");
  expect(tasksOf("chat")).toEqual(["chat", "completions"]);
  expect(tasksOf("guess")).toBeNull();
});
