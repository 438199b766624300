import { create } from "zustand";
import { kept } from "@/lib/storage";

type Rail = {
  folded: boolean;
  drawer: boolean;
  setFolded: (folded: boolean) => void;
  setDrawer: (open: boolean) => void;
};

export const useRail = create<Rail>((set) => ({
  folded: kept.get("rail") === "folded",
  drawer: false,
  setFolded: (folded) => {
    kept.set("rail", folded ? "folded" : null);
    set({ folded });
  },
  setDrawer: (drawer) => set({ drawer }),
}));
