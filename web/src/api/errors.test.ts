import { expect, it } from "vitest";
import { asSentence } from "./errors";

it.each([
  ["could not reach it", "Could not reach it."],
  ["Is it there?", "Is it there?"],
  ["", ""],
])("%j as a sentence", (text, sentence) => {
  expect(asSentence(text)).toBe(sentence);
});
