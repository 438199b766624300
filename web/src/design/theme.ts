import { create } from "zustand";
import { kept } from "@/lib/storage";

export type Theme = "system" | "light" | "dark";

const isTheme = (value: string | null): value is Theme =>
  value === "system" || value === "light" || value === "dark";

function apply(theme: Theme): void {
  const root = document.documentElement;
  if (theme === "system") delete root.dataset.theme;
  else root.dataset.theme = theme;
}

const stored = kept.get("theme");
const initial: Theme = isTheme(stored) ? stored : "system";
apply(initial);

export const useTheme = create<{ theme: Theme; setTheme: (theme: Theme) => void }>((set) => ({
  theme: initial,
  setTheme: (theme) => {
    kept.set("theme", theme === "system" ? null : theme);
    apply(theme);
    set({ theme });
  },
}));
