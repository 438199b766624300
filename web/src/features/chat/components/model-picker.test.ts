import { expect, test } from "vitest";
import { makeModel } from "@/testing/factories";
import { pickModel } from "./model-picker";

const loading = { phase: "loading", progress: null, reason: null } as const;

test("the one that was chosen, else the first that is ready", () => {
  const models = [makeModel({ id: "a", state: loading }), makeModel({ id: "b" })];
  expect(pickModel(models, "a")?.id).toBe("a");
  expect(pickModel(models, null)?.id).toBe("b");
  expect(pickModel(models, "gone")?.id).toBe("b");
  expect(pickModel(models.slice(0, 1), null)?.id).toBe("a");
  expect(pickModel([], "a")).toBeNull();
});

test("one that is asleep is better than one that has failed", () => {
  const failed = { phase: "failed", progress: null, reason: "gone" } as const;
  const asleep = { phase: "asleep", progress: null, reason: null } as const;
  const models = [makeModel({ id: "a", state: failed }), makeModel({ id: "b", state: asleep })];
  expect(pickModel(models, null)?.id).toBe("b");
  expect(pickModel([...models, makeModel({ id: "c" })], null)?.id).toBe("c");
});

test("only what can chat is offered", () => {
  const vectors = makeModel({ id: "minilm", tasks: ["embeddings"] });
  const foreign = makeModel({ id: "gpt", kind: "upstream", tasks: null });
  expect(pickModel([vectors], "minilm")).toBeNull();
  expect(pickModel([vectors, foreign], "minilm")?.id).toBe("gpt");
  expect(pickModel([makeModel({ id: "off", enabled: false })], "off")).toBeNull();
});
