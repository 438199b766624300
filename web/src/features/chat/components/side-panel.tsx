import { useLingui } from "@lingui/react/macro";
import { X } from "lucide-react";
import { lazy, Suspense, type ComponentProps } from "react";
import { IconButton } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { useMedia } from "@/lib/use-media";

const Panel = lazy(() => import("./panel"));

type SidePanelProps = ComponentProps<typeof Panel> & { open: boolean; onClose: () => void };

/* Beside the conversation where there is room, over it where there is not. */
export function SidePanel({ open, onClose, ...panel }: SidePanelProps) {
  const { t } = useLingui();
  const roomy = useMedia("(min-width: 75rem)");
  const body = (
    <Suspense>
      <Panel {...panel} />
    </Suspense>
  );
  if (!roomy) {
    return (
      <Dialog open={open} onClose={onClose} title={t`This chat`} shape="sheet">
        {body}
      </Dialog>
    );
  }
  if (!open) return null;
  return (
    <aside
      aria-label={t`This chat`}
      className="flex w-84 shrink-0 flex-col border-l border-line bg-page"
    >
      <header className="flex h-13 shrink-0 items-center justify-between pr-3 pl-5">
        <h2 className="font-semibold">{t`This chat`}</h2>
        <IconButton label={t`Close`} size="small" onClick={onClose}>
          <X className="size-4" aria-hidden="true" />
        </IconButton>
      </header>
      <div className="min-h-0 flex-1 overflow-y-auto px-5 pt-1 pb-6">{body}</div>
    </aside>
  );
}
