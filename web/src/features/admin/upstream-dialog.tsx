import { useQueryClient } from "@tanstack/react-query";
import { useLingui } from "@lingui/react/macro";
import { useState, type FormEvent } from "react";
import { api, unwrap, type Upstream } from "@/api/client";
import { toError, type ApiError } from "@/api/errors";
import { modelsQuery } from "@/api/queries";
import { ErrorLine } from "@/components/error-card";
import { Button } from "@/components/ui/button";
import { Dialog } from "@/components/ui/dialog";
import { TextField } from "@/components/ui/field";
import { upstreamPut } from "./api";

type UpstreamDialogProps = {
  open: boolean;
  upstream: Upstream | null;
  onClose: () => void;
  onAdded: (upstream: Upstream) => void;
};

export function UpstreamDialog({ open, upstream, onClose, onAdded }: UpstreamDialogProps) {
  const { t } = useLingui();
  const client = useQueryClient();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const wrong = (field: string) => (error?.problem.field === field ? error.message : null);
  const general = error && !["name", "base_url", "api_key"].includes(error.problem.field ?? "");

  function close() {
    setError(null);
    onClose();
  }

  async function keep(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    if (busy) return;
    const form = new FormData(event.currentTarget);
    const key = String(form.get("api_key")).trim();
    const body = {
      name: String(form.get("name")).trim(),
      base_url: String(form.get("base_url")).trim().replace(/\/+$/, ""),
      ...(key && { api_key: key }),
    };
    setBusy(true);
    setError(null);
    try {
      if (upstream) {
        const path = { id: upstream.id };
        const next = await unwrap(api.PATCH("/api/upstreams/{id}", { params: { path }, body }));
        upstreamPut(client, next);
        void client.invalidateQueries({ queryKey: modelsQuery.queryKey });
        close();
      } else {
        const next = await unwrap(api.POST("/api/upstreams", { body }));
        upstreamPut(client, next);
        onAdded(next);
      }
    } catch (failure) {
      setError(toError(failure));
    } finally {
      setBusy(false);
    }
  }

  return (
    <Dialog
      open={open}
      onClose={close}
      title={upstream ? t`Edit the upstream` : t`Add an upstream`}
      description={t`Any server with an OpenAI-compatible API.`}
    >
      <form onSubmit={(event) => void keep(event)} className="flex flex-col gap-4">
        <TextField
          label={t`Name`}
          name="name"
          defaultValue={upstream?.name}
          placeholder={t`vLLM on the GPU server`}
          required
          maxLength={100}
          autoComplete="off"
          error={wrong("name")}
        />
        <TextField
          label={t`Address`}
          name="base_url"
          type="url"
          defaultValue={upstream?.base_url}
          placeholder="https://gpu.example.com/v1"
          required
          maxLength={2000}
          autoComplete="off"
          hint={t`The part before /chat/completions`}
          error={wrong("base_url")}
        />
        <TextField
          label={t`API key`}
          name="api_key"
          type="password"
          maxLength={1000}
          autoComplete="off"
          hint={
            upstream?.has_key
              ? t`One is kept. Leave this empty to keep it.`
              : t`Kept encrypted and never shown. Leave it empty if it needs none.`
          }
          error={wrong("api_key")}
        />
        {general && <ErrorLine error={error} />}
        <div className="flex justify-end gap-2 pt-1">
          <Button onClick={close}>{t`Cancel`}</Button>
          <Button type="submit" variant="primary" busy={busy}>
            {upstream ? t`Save` : t`Add and choose models`}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
