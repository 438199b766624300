import { describe, expect, it } from "vitest";
import { matches, type Hotkey } from "./hotkeys";

function press(target: HTMLElement, init: KeyboardEventInit): KeyboardEvent {
  let seen: KeyboardEvent | null = null;
  document.body.append(target);
  target.addEventListener("keydown", (event) => (seen = event));
  target.dispatchEvent(new KeyboardEvent("keydown", init));
  target.remove();
  return seen as unknown as KeyboardEvent;
}

const body = () => document.createElement("div");
const field = () => document.createElement("textarea");
const run = () => {};

describe("matches", () => {
  const cases: [string, Hotkey, () => HTMLElement, KeyboardEventInit, boolean][] = [
    ["a command", { key: "k", mod: true, run }, body, { key: "k", ctrlKey: true }, true],
    [
      "a command in a field",
      { key: "k", mod: true, run },
      field,
      { key: "k", ctrlKey: true },
      true,
    ],
    ["without its modifier", { key: "k", mod: true, run }, body, { key: "k" }, false],
    [
      "with Shift too much",
      { key: "k", mod: true, run },
      body,
      { key: "K", ctrlKey: true, shiftKey: true },
      false,
    ],
    [
      "with Shift wanted",
      { key: "o", mod: true, shift: true, run },
      body,
      { key: "O", ctrlKey: true, shiftKey: true },
      true,
    ],
    ["? whatever Shift is", { key: "?", run }, body, { key: "?", shiftKey: true }, true],
    ["? while writing", { key: "?", run }, field, { key: "?", shiftKey: true }, false],
    [
      "Escape while writing",
      { key: "Escape", inFields: true, run },
      field,
      { key: "Escape" },
      true,
    ],
    [
      "AltGr combinations",
      { key: "k", mod: true, run },
      body,
      { key: "k", ctrlKey: true, altKey: true },
      false,
    ],
    [
      "an input method at work",
      { key: "Escape", inFields: true, run },
      field,
      { key: "Escape", isComposing: true },
      false,
    ],
  ];
  it.each(cases)("%s", (_name, hotkey, target, init, want) => {
    expect(matches(hotkey, press(target(), init))).toBe(want);
  });
});
