import { expect, it } from "vitest";
import { finishedSentences } from "./sentences";

it.each([
  ["One two. Three", 0, "One two.", 8],
  ["One two. Three", 8, "", 8],
  ["It is 3.14 or so", 0, "", 0],
  ["**Bold** claim! And\n\n", 0, "Bold claim! And", 21],
])("%s from %d", (text, from, said, upTo) => {
  expect(finishedSentences(text, from)).toEqual({ said, upTo });
});
