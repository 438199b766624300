import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Trans, useLingui } from "@lingui/react/macro";
import { useState, type FormEvent } from "react";
import { api, unwrap, type Upstream } from "@/api/client";
import { toError, type ApiError } from "@/api/errors";
import { ErrorCard, ErrorLine } from "@/components/error-card";
import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { SelectField, TextField } from "@/components/ui/field";
import { Segmented } from "@/components/ui/segmented";
import { Switch } from "@/components/ui/switch";
import { toast } from "@/components/ui/toast";
import { modelPut } from "./api";
import { PurposeField, tasksOf, type Purpose } from "./tasks";

type Kind = "local" | "upstream";

/* "Qwen/Qwen3-8B-Instruct" → "qwen3-8b-instruct": what callers can type. */
export function suggestId(name: string): string {
  return (name.split("/").at(-1) ?? name)
    .replace(/\.gguf$/i, "")
    .toLowerCase()
    .replace(/[^a-z0-9._:-]+/g, "-")
    .replace(/^[^a-z0-9]+|-+$/g, "")
    .slice(0, 100);
}

type ModelDialogProps = {
  open: boolean;
  upstreamId: string | null;
  upstreams: readonly Upstream[];
  onClose: () => void;
  onAddUpstream: () => void;
};

export function ModelDialog(props: ModelDialogProps) {
  const { t } = useLingui();
  return (
    <Dialog open={props.open} onClose={props.onClose} title={t`Add a model`}>
      {props.open && <ModelForm key={props.upstreamId} {...props} />}
    </Dialog>
  );
}

function ModelForm({ upstreamId, upstreams, onClose, onAddUpstream }: ModelDialogProps) {
  const { t } = useLingui();
  const client = useQueryClient();
  const [kind, setKind] = useState<Kind>(upstreamId ? "upstream" : "local");
  const [from, setFrom] = useState(upstreamId ?? upstreams[0]?.id ?? "");
  const [source, setSource] = useState("");
  const [id, setId] = useState<string | null>(null);
  const [name, setName] = useState<string | null>(null);
  const [purpose, setPurpose] = useState<Purpose>("guess");
  const [pinned, setPinned] = useState(false);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const wrong = (field: string) => (error?.problem.field === field ? error.message : null);
  const shownFields = ["id", "name", "path", "upstream_model", "tasks"];
  const general = error && !shownFields.includes(error.problem.field ?? "");
  const wantedId = id ?? suggestId(source);
  const wantedName = name ?? (source.split("/").at(-1) ?? "").replace(/\.gguf$/i, "");

  const offered = useQuery({
    queryKey: ["upstream-models", from],
    queryFn: async ({ signal }) =>
      (
        await unwrap(
          api.GET("/api/upstreams/{id}/models", { params: { path: { id: from } }, signal }),
        )
      ).data.map((item) => item.id),
    enabled: kind === "upstream" && from !== "",
    retry: false,
    staleTime: 0,
  });

  async function add(event: FormEvent) {
    event.preventDefault();
    if (busy) return;
    setBusy(true);
    setError(null);
    try {
      const model = await unwrap(
        api.POST("/api/models", {
          body:
            kind === "local"
              ? { id: wantedId, name: wantedName, kind, path: source.trim(), pinned }
              : {
                  id: wantedId,
                  name: wantedName,
                  kind,
                  upstream_id: from,
                  upstream_model: source.trim(),
                  tasks: purpose === "other" ? null : tasksOf(purpose),
                },
        }),
      );
      modelPut(client, model);
      toast.ok(t`“${model.name}” was added`);
      onClose();
    } catch (failure) {
      setError(toError(failure));
    } finally {
      setBusy(false);
    }
  }

  function switchTo(next: Kind) {
    setKind(next);
    setSource("");
    setError(null);
  }

  return (
    <form onSubmit={(event) => void add(event)} className="flex flex-col items-stretch gap-4">
      <div>
        <Segmented<Kind>
          label={t`Where the model is`}
          value={kind}
          onChange={switchTo}
          options={[
            { value: "local", label: t`On this server` },
            { value: "upstream", label: t`At an upstream` },
          ]}
        />
      </div>
      {kind === "local" && (
        <TextField
          label={t`File`}
          value={source}
          onChange={(event) => setSource(event.target.value)}
          placeholder="/srv/models/model.gguf"
          required
          maxLength={4096}
          spellCheck={false}
          autoComplete="off"
          hint={t`Path of a GGUF file on the server`}
          error={wrong("path")}
        />
      )}
      {kind === "upstream" && upstreams.length === 0 && (
        <p className="text-soft">
          <Trans>
            There is no upstream yet.{" "}
            <button
              type="button"
              className="font-medium text-accent underline underline-offset-3"
              onClick={onAddUpstream}
            >
              Add one
            </button>{" "}
            first.
          </Trans>
        </p>
      )}
      {kind === "upstream" && upstreams.length > 0 && (
        <>
          <SelectField
            label={t`Upstream`}
            value={from}
            onChange={(event) => {
              setFrom(event.target.value);
              setSource("");
            }}
          >
            {upstreams.map((upstream) => (
              <option key={upstream.id} value={upstream.id}>
                {upstream.name}
              </option>
            ))}
          </SelectField>
          {offered.error && (
            <ErrorCard
              error={toError(offered.error)}
              title={t`The upstream does not answer`}
              busy={offered.isFetching}
              onRetry={() => void offered.refetch()}
            />
          )}
          {offered.data && offered.data.length > 0 ? (
            <SelectField
              label={t`Model`}
              value={source}
              required
              onChange={(event) => setSource(event.target.value)}
              error={wrong("upstream_model")}
            >
              <option value="">{t`Choose…`}</option>
              {offered.data.map((item) => (
                <option key={item}>{item}</option>
              ))}
            </SelectField>
          ) : (
            <TextField
              label={t`Model`}
              value={source}
              onChange={(event) => setSource(event.target.value)}
              required
              maxLength={200}
              autoComplete="off"
              hint={offered.isFetching ? t`Asking the upstream…` : t`Its name at the upstream`}
              error={wrong("upstream_model")}
            />
          )}
        </>
      )}
      {kind === "upstream" && upstreams.length > 0 && (
        <PurposeField value={purpose} onChange={setPurpose} error={wrong("tasks")} />
      )}
      <TextField
        label={t`Name`}
        value={wantedName}
        onChange={(event) => setName(event.target.value)}
        required
        maxLength={100}
        autoComplete="off"
        hint={t`Shown in the chat`}
        error={wrong("name")}
      />
      <TextField
        label={t`Id`}
        value={wantedId}
        onChange={(event) => setId(event.target.value)}
        required
        maxLength={100}
        pattern="[A-Za-z0-9][A-Za-z0-9._:\/\-]*"
        title={t`Letters, digits and . _ : / -`}
        autoComplete="off"
        spellCheck={false}
        hint={t`What callers of the API write as “model”`}
        error={wrong("id")}
      />
      {kind === "local" && (
        <div className="flex items-start gap-3">
          <Switch label={t`Keep loaded`} checked={pinned} onChange={setPinned} />
          <p className="min-w-0">
            <span aria-hidden="true" className="font-medium">{t`Keep loaded`}</span>
            <span className="block text-caption text-faint">
              <Trans>Loaded at the start, and never unloaded to make room for another model.</Trans>
            </span>
          </p>
        </div>
      )}
      {general && <ErrorLine error={error} />}
      <div className="flex justify-end gap-2 pt-1">
        <Button onClick={onClose}>{t`Cancel`}</Button>
        <Button
          type="submit"
          variant="primary"
          busy={busy}
          disabled={kind === "upstream" && upstreams.length === 0}
        >
          {t`Add model`}
        </Button>
      </div>
    </form>
  );
}
