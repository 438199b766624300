import { useLingui } from "@lingui/react/macro";
import { ChevronDown, Cpu, Moon } from "lucide-react";
import type { Model } from "@/api/client";
import { chats } from "@/api/models";
import { MenuButton } from "@/components/ui/menu";
import { formatContext } from "@/lib/format";

/* Which model answers: the one chosen, if it is there, else the first that is ready, else the first
 * that is loaded when it is asked. */
export function pickModel(models: readonly Model[], wanted: string | null): Model | null {
  const usable = models.filter(chats);
  return (
    usable.find((model) => model.id === wanted) ??
    usable.find((model) => model.state.phase === "ready") ??
    usable.find((model) => model.state.phase === "asleep") ??
    usable[0] ??
    null
  );
}

export function useModelState() {
  const { t } = useLingui();
  return (model: Model): string => {
    const { phase, progress, reason } = model.state;
    if (phase === "ready") return t`Ready`;
    if (phase === "stopped") return t`Stopped`;
    if (phase === "failed") return reason ?? t`Not available`;
    if (phase === "asleep") return t`Asleep – loads when asked`;
    const percent = progress === null ? "" : ` ${Math.round(progress * 100)} %`;
    return t`Loading` + percent;
  };
}

type ModelPickerProps = {
  models: readonly Model[];
  model: Model | null;
  onPick: (id: string) => void;
};

export function ModelPicker({ models, model, onPick }: ModelPickerProps) {
  const { t } = useLingui();
  const stateOf = useModelState();
  const name = model?.name ?? t`No model`;
  const items = models.filter(chats).map((item) => {
    const context = item.context_tokens === null ? null : formatContext(item.context_tokens);
    const state = stateOf(item);
    return {
      id: item.id,
      label: item.name,
      note: context ? t`${state} · ${context} context` : state,
      checked: item.id === model?.id,
      run: () => onPick(item.id),
    };
  });
  return (
    <MenuButton label={t`Model`} items={items} side="top" wide>
      {(trigger) => (
        <button
          type="button"
          {...trigger}
          disabled={items.length === 0}
          aria-label={t`Model: ${name}`}
          className="flex h-8 pointer-coarse:h-10 min-w-0 items-center gap-1.5 rounded-large px-2.5 font-medium text-soft transition-colors duration-100 hover:bg-hover hover:text-ink aria-expanded:bg-hover"
        >
          <Cpu className="size-4 shrink-0" aria-hidden="true" />
          <span className="truncate">{name}</span>
          {model?.state.phase === "asleep" ? (
            <Moon className="size-3.5 shrink-0 opacity-70" aria-hidden="true" />
          ) : model?.state.phase === "ready" ? null : (
            <span
              className="size-2 shrink-0 animate-pulse rounded-full bg-warn"
              aria-hidden="true"
            />
          )}
          <ChevronDown className="size-3.5 shrink-0 opacity-70" aria-hidden="true" />
        </button>
      )}
    </MenuButton>
  );
}
