export const isApple = /Mac|iPhone|iPad/.test(navigator.platform);

/* "⌘K" or "Ctrl K" */
export function shortcutLabel(keys: readonly string[]): string[] {
  return keys.map((key) => {
    if (key === "Mod") return isApple ? "⌘" : "Ctrl";
    if (key === "Shift") return isApple ? "⇧" : "Shift";
    return key;
  });
}

/* The key of this platform that stands for a command. */
export function isMod(event: { metaKey: boolean; ctrlKey: boolean }): boolean {
  return isApple ? event.metaKey && !event.ctrlKey : event.ctrlKey && !event.metaKey;
}
