import { useLingui } from "@lingui/react/macro";
import { ChevronLeft, ChevronRight } from "lucide-react";
import { IconButton } from "@/components/ui/button";
import type { Siblings } from "../tree";

type BranchSwitchProps = { of: Siblings; disabled: boolean; onSelect: (leafId: string) => void };

export function BranchSwitch({ of, disabled, onSelect }: BranchSwitchProps) {
  const { t } = useLingui();
  if (of.count < 2) return null;
  const { previous, next } = of;
  const number = of.index + 1;
  const count = of.count;
  return (
    <div
      role="group"
      aria-label={t`Versions`}
      className="flex items-center text-caption text-faint"
    >
      <IconButton
        label={t`Previous version`}
        size="small"
        disabled={disabled || !previous}
        onClick={() => previous && onSelect(previous)}
      >
        <ChevronLeft className="size-4" aria-hidden="true" />
      </IconButton>
      <span
        className="tabular min-w-7 text-center"
        aria-label={t`Version ${number} of ${count}`}
        role="img"
      >
        {number}/{count}
      </span>
      <IconButton
        label={t`Next version`}
        size="small"
        disabled={disabled || !next}
        onClick={() => next && onSelect(next)}
      >
        <ChevronRight className="size-4" aria-hidden="true" />
      </IconButton>
    </div>
  );
}
