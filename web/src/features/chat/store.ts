import { create } from "zustand";
import type { Parameters } from "@/api/client";
import { kept } from "@/lib/storage";

/* What is chosen before there is a thread that could remember it. */
type NewChat = {
  systemPrompt: string;
  parameters: Parameters;
  model: string | null;
  setSystemPrompt: (text: string) => void;
  setParameters: (parameters: Parameters) => void;
  setModel: (model: string) => void;
  reset: () => void;
};

export const useNewChat = create<NewChat>((set) => ({
  systemPrompt: "",
  parameters: {},
  model: kept.get("model"),
  setSystemPrompt: (systemPrompt) => set({ systemPrompt }),
  setParameters: (parameters) => set({ parameters }),
  setModel: (model) => {
    kept.set("model", model);
    set({ model });
  },
  reset: () => set({ systemPrompt: "", parameters: {} }),
}));

type Panel = { open: boolean; setOpen: (open: boolean) => void };

export const usePanel = create<Panel>((set) => ({
  open: false,
  setOpen: (open) => set({ open }),
}));
