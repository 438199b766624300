import { useQueryClient } from "@tanstack/react-query";
import { useLingui } from "@lingui/react/macro";
import { useState, type FormEvent } from "react";
import { api, unwrap, type Model, type ModelTask } from "@/api/client";
import { toError, type ApiError } from "@/api/errors";
import { ErrorLine } from "@/components/error-card";
import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { SelectField } from "@/components/ui/field";
import { modelPut } from "./api";

/* What a model of an upstream can be said to be for; null: its name says it. "other" is a
 * combination that the form does not offer, and is left as it is. */
const offered = {
  guess: null,
  chat: ["chat", "completions"],
  embeddings: ["embeddings"],
  rerank: ["rerank"],
} as const satisfies Record<string, readonly ModelTask[] | null>;
export type Purpose = keyof typeof offered | "other";

export const tasksOf = (purpose: keyof typeof offered): ModelTask[] | null => {
  const tasks: readonly ModelTask[] | null = offered[purpose];
  return tasks && [...tasks];
};

export function purposeOf(tasks: readonly ModelTask[] | null): Purpose {
  const written = [...(tasks ?? [])].toSorted().join();
  const same = (["chat", "embeddings", "rerank"] as const).find(
    (purpose) => [...offered[purpose]].toSorted().join() === written,
  );
  return same ?? "other";
}

type PurposeFieldProps = {
  value: Purpose;
  /* What it is for now, where that is none of the choices. */
  other?: readonly ModelTask[] | null;
  error?: string | null;
  onChange: (purpose: Purpose) => void;
};

export function PurposeField({ value, other, error, onChange }: PurposeFieldProps) {
  const { t } = useLingui();
  return (
    <SelectField
      label={t`For`}
      value={value}
      onChange={(event) => onChange(event.target.value as Purpose)}
      hint={t`The chat offers only models for chat. Calls for anything else are refused.`}
      error={error}
    >
      <option value="guess">{t`What its name suggests`}</option>
      <option value="chat">{t`Chat and completions`}</option>
      <option value="embeddings">{t`Embeddings`}</option>
      <option value="rerank">{t`Reranking`}</option>
      {other && <option value="other">{other.join(", ")}</option>}
    </SelectField>
  );
}

type PurposeDialogProps = { model: Model | null; onClose: () => void };

export function PurposeDialog({ model, onClose }: PurposeDialogProps) {
  const { t } = useLingui();
  return (
    <Dialog open={model !== null} onClose={onClose} title={t`What the model is for`} width="small">
      {model && <PurposeForm key={model.id} model={model} onClose={onClose} />}
    </Dialog>
  );
}

function PurposeForm({ model, onClose }: { model: Model; onClose: () => void }) {
  const { t } = useLingui();
  const client = useQueryClient();
  const first = purposeOf(model.tasks);
  const [purpose, setPurpose] = useState<Purpose>(first);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);

  async function keep(event: FormEvent) {
    event.preventDefault();
    if (busy) return;
    if (purpose === "other") {
      onClose();
      return;
    }
    setBusy(true);
    setError(null);
    try {
      const next = await unwrap(
        api.PATCH("/api/models/{id}", {
          params: { path: { id: model.id } },
          body: { tasks: tasksOf(purpose) },
        }),
      );
      modelPut(client, next);
      onClose();
    } catch (failure) {
      setError(toError(failure));
    } finally {
      setBusy(false);
    }
  }

  return (
    <form onSubmit={(event) => void keep(event)} className="flex flex-col gap-4">
      <PurposeField
        value={purpose}
        other={first === "other" ? model.tasks : null}
        onChange={setPurpose}
      />
      {error && <ErrorLine error={error} />}
      <div className="flex justify-end gap-2">
        <Button onClick={onClose}>{t`Cancel`}</Button>
        <Button type="submit" variant="primary" busy={busy}>{t`Save`}</Button>
      </div>
    </form>
  );
}
