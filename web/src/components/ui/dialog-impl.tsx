import { Dialog as Base } from "@base-ui/react/dialog";
import { useLingui } from "@lingui/react/macro";
import { X } from "lucide-react";
import { cx } from "@/lib/cx";
import { IconButton } from "./button";
import type { DialogProps } from "./dialog";

const shapes = {
  box: cx(
    "fixed left-1/2 w-[calc(100vw-2rem)] -translate-x-1/2 rounded-box",
    "top-[max(1rem,12dvh)] max-h-[min(46rem,calc(100dvh-2rem-12dvh))]",
    "data-starting-style:scale-98 data-starting-style:opacity-0 data-ending-style:opacity-0",
  ),
  sheet: cx(
    "fixed inset-y-0 right-0 w-[min(24rem,100vw)] border-y-0 border-r-0",
    "data-starting-style:translate-x-8 data-starting-style:opacity-0 data-ending-style:translate-x-8 data-ending-style:opacity-0",
  ),
  drawer: cx(
    "fixed inset-y-0 left-0 w-[min(19rem,calc(100vw-3rem))] border-y-0 border-l-0",
    "data-starting-style:-translate-x-8 data-starting-style:opacity-0 data-ending-style:-translate-x-8 data-ending-style:opacity-0",
  ),
};

const widths = { small: "sm:max-w-sm", normal: "sm:max-w-lg", wide: "sm:max-w-2xl" };

export default function DialogImpl({
  open,
  onClose,
  title,
  description,
  children,
  footer,
  shape = "box",
  width = "normal",
  bare = false,
  keepOpen = false,
}: DialogProps) {
  const { t } = useLingui();
  return (
    <Base.Root
      open={open}
      disablePointerDismissal={keepOpen}
      onOpenChange={(next) => {
        if (!next) onClose();
      }}
    >
      <Base.Portal>
        <Base.Backdrop className="fixed inset-0 z-30 bg-scrim transition-opacity duration-150 data-ending-style:opacity-0 data-starting-style:opacity-0" />
        <Base.Popup
          className={cx(
            "z-40 flex flex-col border border-line bg-raised shadow-pop outline-none",
            "transition-[opacity,transform,scale,translate] duration-150 ease-out",
            shapes[shape],
            shape === "box" && widths[width],
          )}
        >
          {bare ? (
            <Base.Title className="sr-only">{title}</Base.Title>
          ) : (
            <header className="flex items-start gap-3 pt-4 pr-3 pb-1 pl-5">
              <div className="min-w-0 flex-1 pt-0.5">
                <Base.Title className="text-title font-semibold">{title}</Base.Title>
                {description && (
                  <Base.Description className="mt-1 text-soft">{description}</Base.Description>
                )}
              </div>
              {!keepOpen && (
                <Base.Close
                  render={
                    <IconButton label={t`Close`} className="-mt-1">
                      <X className="size-4.5" aria-hidden="true" />
                    </IconButton>
                  }
                />
              )}
            </header>
          )}
          <div className={cx("min-h-0 flex-1", !bare && "overflow-y-auto px-5 pt-3 pb-5")}>
            {children}
          </div>
          {footer && (
            <footer className="flex flex-wrap justify-end gap-2 border-t border-line px-5 py-3">
              {footer}
            </footer>
          )}
        </Base.Popup>
      </Base.Portal>
    </Base.Root>
  );
}
