import { useQuery } from "@tanstack/react-query";
import { Plural, Trans, useLingui } from "@lingui/react/macro";
import { CircleAlert, CircleStop, CloudOff, RefreshCw } from "lucide-react";
import { memo } from "react";
import type { Message, RunUsage } from "@/api/client";
import { asSentence } from "@/api/errors";
import { modelsQuery } from "@/api/queries";
import { Markdown } from "@/components/markdown/markdown";
import { Button, IconButton } from "@/components/ui/button";
import { CopyIconButton } from "@/components/ui/copy-button";
import { formatInteger, formatMilliseconds, formatRate } from "@/lib/format";
import { useRuns } from "../runs";
import type { Siblings } from "../tree";
import { Announcer } from "./announcer";
import { BranchSwitch } from "./branch-switch";

/* What an answer waits for that has not begun: how far its model is loaded, asked every second. */
function useLoading(id: string | null): string | null {
  const { t } = useLingui();
  const models = useQuery({ ...modelsQuery, refetchInterval: 1_000 });
  const model = models.data?.find((item) => item.id === id);
  if (!model) return null;
  const { phase, progress, reason } = model.state;
  if (phase === "asleep")
    return reason ? t`Waiting for memory: ${reason}` : t`${model.name} is being woken`;
  if (phase !== "loading") return null;
  if (progress === null) return t`Loading ${model.name}`;
  const percent = Math.round(progress * 100);
  return t`Loading ${model.name}: ${percent} %`;
}

type WaitingProps = { model: string | null; position: number | null };

function Waiting({ model, position }: WaitingProps) {
  const loading = useLoading(model);
  return (
    <p role="status" className="flex items-center gap-3 py-1 text-soft">
      <span className="flex gap-1" aria-hidden="true">
        {["", "[animation-delay:0.2s]", "[animation-delay:0.4s]"].map((delay) => (
          <span key={delay} className={`size-1.5 animate-pulse rounded-full bg-accent ${delay}`} />
        ))}
      </span>
      {position !== null && position > 0 ? (
        <Plural
          value={position}
          one="Waiting: # request is before this one"
          other="Waiting: # requests are before this one"
        />
      ) : loading ? (
        <span className="tabular min-w-0 break-words">{loading}</span>
      ) : (
        <span className="sr-only">
          <Trans>The answer is being written</Trans>
        </span>
      )}
    </p>
  );
}

function Usage({ usage, model }: { usage: RunUsage | null; model: string | null }) {
  const { t } = useLingui();
  const models = useQuery(modelsQuery);
  const name = models.data?.find((item) => item.id === model)?.name ?? model;
  const parts: { text: string; title: string }[] = [];
  if (usage) {
    const tokens = formatInteger(usage.completion_tokens);
    const prompt = formatInteger(usage.prompt_tokens);
    parts.push({
      text: t`${tokens} tokens`,
      title: t`${tokens} tokens in the answer, ${prompt} in the prompt`,
    });
    const { tokens_per_second: rate, ttft_ms: first } = usage.timings;
    if (rate !== null) {
      const speed = formatRate(rate);
      parts.push({ text: t`${speed} tokens/s`, title: t`Speed after the first token` });
    }
    if (first !== null) {
      const time = formatMilliseconds(first);
      parts.push({ text: t`first after ${time}`, title: t`Time to the first token` });
    }
  }
  return (
    <p className="tabular flex min-w-0 flex-wrap items-center gap-x-1 text-caption text-faint">
      {name && <span className="truncate max-sm:hidden">{name}</span>}
      {parts.map((part, index) => (
        <span key={part.title} title={part.title} className="whitespace-nowrap">
          {(index > 0 || name) && (
            <span className={index === 0 ? "max-sm:hidden" : undefined} aria-hidden="true">
              ·{" "}
            </span>
          )}
          {part.text}
        </span>
      ))}
    </p>
  );
}

type AssistantTurnProps = {
  message: Message;
  versions: Siblings;
  busy: boolean;
  last: boolean;
  onRegenerate: (message: Message) => void;
  onSelect: (leafId: string) => void;
};

export const AssistantTurn = memo(function AssistantTurn(props: AssistantTurnProps) {
  const { t } = useLingui();
  const { message, versions, busy, last, onRegenerate, onSelect } = props;
  const live = useRuns((state) => (message.run_id ? state.runs[message.run_id] : undefined));
  const open = message.status === "queued" || message.status === "running";
  /* until the first event is here, what was stored stands in */
  const text = live && live.text.length >= message.content.length ? live.text : message.content;
  return (
    <article className="group/turn flex min-w-0 flex-col gap-2" aria-busy={open}>
      <h2 className="sr-only">{t`Answer`}</h2>
      {text && <Markdown text={text} growing={open} />}
      {open && !text && <Waiting model={message.model} position={live?.position ?? null} />}
      {last && <Announcer text={text} ended={!open} />}
      {live?.connection === "waiting" && (
        <p role="status" className="flex items-center gap-2 text-caption text-warn">
          <CloudOff className="size-4" aria-hidden="true" />
          <Trans>Connection lost. The answer goes on and is picked up again.</Trans>
        </p>
      )}
      {message.status === "stopped" && (
        <p className="flex items-center gap-1.5 text-caption text-faint">
          <CircleStop className="size-3.5" aria-hidden="true" />
          <Trans>Stopped</Trans>
        </p>
      )}
      {message.finish_reason === "length" && (
        <p className="text-caption text-faint">
          <Trans>Cut off: the limit of tokens was reached.</Trans>
        </p>
      )}
      {message.status === "failed" && (
        <div role="alert" className="flex gap-2.5 rounded-large bg-danger-wash px-3.5 py-2.5">
          <CircleAlert className="mt-0.5 size-4 shrink-0 text-danger" aria-hidden="true" />
          <div className="min-w-0 flex-1">
            <p className="font-medium text-danger">{t`The answer failed`}</p>
            <p className="break-words text-soft">
              {asSentence(message.error?.detail || message.error?.title || "")}
            </p>
            {message.error?.instance && (
              <p className="font-mono text-caption text-soft">{message.error.instance}</p>
            )}
          </div>
          <Button size="small" disabled={busy} onClick={() => onRegenerate(message)}>
            {t`Try again`}
          </Button>
        </div>
      )}
      {!open && (
        <div className="-ml-1.5 pointer-coarse:-ml-2.5 flex min-h-7 flex-wrap items-center gap-x-1">
          {message.content && <CopyIconButton text={message.content} label={t`Copy answer`} />}
          {message.status !== "failed" && (
            <IconButton
              label={t`Regenerate`}
              size="small"
              disabled={busy}
              onClick={() => onRegenerate(message)}
            >
              <RefreshCw className="size-4" aria-hidden="true" />
            </IconButton>
          )}
          <BranchSwitch of={versions} disabled={busy} onSelect={onSelect} />
          <span className="ml-1.5 min-w-0">
            <Usage usage={message.usage} model={message.model} />
          </span>
        </div>
      )}
    </article>
  );
});
