import { useEffect, useRef } from "react";
import { isMod } from "./platform";

export type Hotkey = {
  key: string; /* as in KeyboardEvent.key, compared without regard to case */
  mod?: boolean;
  shift?: boolean;
  /* Also while a text field has the focus. Those with `mod` always are. */
  inFields?: boolean;
  run: (event: KeyboardEvent) => void;
};

export function isTextField(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target instanceof HTMLTextAreaElement) return true;
  return (
    target instanceof HTMLInputElement &&
    !["checkbox", "radio", "button", "submit", "range"].includes(target.type)
  );
}

export function matches(hotkey: Hotkey, event: KeyboardEvent): boolean {
  if (event.isComposing || event.altKey) return false;
  if (event.key.toLowerCase() !== hotkey.key.toLowerCase()) return false;
  const anyMod = event.metaKey || event.ctrlKey;
  if (hotkey.mod ? !isMod(event) : anyMod) return false;
  /* "?" already needs Shift on most keyboards: only letters and commands ask for it by name */
  const shiftCounts = Boolean(hotkey.mod) || /^[a-z]$/i.test(hotkey.key);
  if (shiftCounts && Boolean(hotkey.shift) !== event.shiftKey) return false;
  return Boolean(hotkey.mod) || Boolean(hotkey.inFields) || !isTextField(event.target);
}

/* A dialog keeps the keyboard to itself. */
const dialogOpen = () => document.querySelector('[role="dialog"],[role="alertdialog"]') !== null;

export function useHotkeys(hotkeys: Hotkey[]): void {
  const current = useRef(hotkeys);
  useEffect(() => {
    current.current = hotkeys;
  });
  useEffect(() => {
    function onKeyDown(event: KeyboardEvent) {
      if (event.defaultPrevented || dialogOpen()) return;
      const hotkey = current.current.find((candidate) => matches(candidate, event));
      if (!hotkey) return;
      event.preventDefault();
      hotkey.run(event);
    }
    window.addEventListener("keydown", onKeyDown);
    return () => window.removeEventListener("keydown", onKeyDown);
  }, []);
}

/* "g" and then a letter, within a second and a half. */
export function useSequence(first: string, targets: Record<string, () => void>): void {
  const current = useRef(targets);
  useEffect(() => {
    current.current = targets;
  });
  useEffect(() => {
    let armedUntil = 0;
    function onKeyDown(event: KeyboardEvent) {
      if (event.defaultPrevented || event.metaKey || event.ctrlKey || event.altKey) return;
      if (isTextField(event.target) || dialogOpen()) return;
      if (Date.now() < armedUntil) {
        armedUntil = 0;
        const run = current.current[event.key.toLowerCase()];
        if (run) {
          event.preventDefault();
          run();
        }
      } else if (event.key.toLowerCase() === first) {
        armedUntil = Date.now() + 1500;
      }
    }
    window.addEventListener("keydown", onKeyDown);
    return () => window.removeEventListener("keydown", onKeyDown);
  }, [first]);
}
