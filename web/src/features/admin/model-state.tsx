import { useLingui } from "@lingui/react/macro";
import { CircleAlert, CircleCheck, CircleMinus, Moon } from "lucide-react";
import type { Model } from "@/api/client";
import { Badge } from "@/components/ui/badge";

export function ModelState({ model }: { model: Model }) {
  const { t } = useLingui();
  const { phase, progress, reason } = model.state;
  if (phase === "ready")
    return (
      <Badge tone="ok">
        <CircleCheck className="size-3.5" aria-hidden="true" />
        {t`Ready`}
      </Badge>
    );
  if (phase === "failed")
    return (
      <span title={reason ?? undefined}>
        <Badge tone="danger">
          <CircleAlert className="size-3.5" aria-hidden="true" />
          {t`Failed`}
        </Badge>
      </span>
    );
  if (phase === "stopped")
    return (
      <Badge>
        <CircleMinus className="size-3.5" aria-hidden="true" />
        {t`Stopped`}
      </Badge>
    );
  if (phase === "asleep")
    return (
      <span title={t`Loaded when it is called`}>
        <Badge>
          <Moon className="size-3.5" aria-hidden="true" />
          {t`Asleep`}
        </Badge>
      </span>
    );
  const percent = progress === null ? null : Math.round(progress * 100);
  return (
    <span className="inline-flex items-center gap-2 text-caption font-medium text-warn">
      <progress
        max={100}
        value={percent ?? undefined}
        aria-label={t`Loading ${model.name}`}
        className="h-1.5 w-16 appearance-none overflow-hidden rounded-full bg-hover [&::-moz-progress-bar]:bg-warn [&::-webkit-progress-bar]:bg-hover [&::-webkit-progress-value]:bg-warn"
      />
      {percent === null ? t`Loading` : t`Loading ${percent} %`}
    </span>
  );
}
