import { useLingui } from "@lingui/react/macro";
import { CircleAlert, CircleCheck, X } from "lucide-react";
import { useEffect } from "react";
import { create } from "zustand";
import { IconButton } from "./button";

export type Toast = {
  id: number;
  tone: "ok" | "danger";
  text: string;
  detail?: string;
  action?: { label: string; run: () => void };
};

type Toasts = {
  toasts: Toast[];
  add: (toast: Omit<Toast, "id">) => void;
  drop: (id: number) => void;
};

let lastId = 0;

export const useToasts = create<Toasts>((set) => ({
  toasts: [],
  add: (toast) =>
    set((state) => ({ toasts: [...state.toasts.slice(-2), { ...toast, id: ++lastId }] })),
  drop: (id) => set((state) => ({ toasts: state.toasts.filter((toast) => toast.id !== id) })),
}));

export const toast = {
  ok: (text: string, more?: Pick<Toast, "detail" | "action">) =>
    useToasts.getState().add({ tone: "ok", text, ...more }),
  problem: (text: string, more?: Pick<Toast, "detail" | "action">) =>
    useToasts.getState().add({ tone: "danger", text, ...more }),
};

function ToastCard({ item }: { item: Toast }) {
  const { t } = useLingui();
  const drop = useToasts((state) => state.drop);
  const ms = item.tone === "ok" && !item.action ? 4000 : 9000;
  useEffect(() => {
    const timer = setTimeout(() => drop(item.id), ms);
    return () => clearTimeout(timer);
  }, [drop, item.id, ms]);
  return (
    <div className="pointer-events-auto flex w-full items-start gap-2.5 rounded-large border border-line bg-raised py-2.5 pr-1.5 pl-3.5 shadow-pop">
      {item.tone === "ok" ? (
        <CircleCheck className="mt-0.5 size-4 shrink-0 text-ok" aria-hidden="true" />
      ) : (
        <CircleAlert className="mt-0.5 size-4 shrink-0 text-danger" aria-hidden="true" />
      )}
      <div className="min-w-0 flex-1">
        <p>{item.text}</p>
        {item.detail && <p className="text-caption break-words text-faint">{item.detail}</p>}
      </div>
      {item.action && (
        <button
          type="button"
          className="rounded-small px-2 font-medium text-accent hover:bg-hover"
          onClick={() => {
            item.action?.run();
            drop(item.id);
          }}
        >
          {item.action.label}
        </button>
      )}
      <IconButton label={t`Dismiss`} size="small" className="-my-1" onClick={() => drop(item.id)}>
        <X className="size-4" aria-hidden="true" />
      </IconButton>
    </div>
  );
}

/* The regions are there before any toast is, or screen readers would miss the first one. */
export function Toaster() {
  const toasts = useToasts((state) => state.toasts);
  return (
    <div className="pointer-events-none fixed inset-x-4 bottom-4 z-50 flex flex-col items-center gap-2 sm:right-4 sm:left-auto sm:w-88">
      <div role="status" className="contents">
        {toasts
          .filter((item) => item.tone === "ok")
          .map((item) => (
            <ToastCard key={item.id} item={item} />
          ))}
      </div>
      <div role="alert" className="contents">
        {toasts
          .filter((item) => item.tone === "danger")
          .map((item) => (
            <ToastCard key={item.id} item={item} />
          ))}
      </div>
    </div>
  );
}
