import { useQueryClient, type InfiniteData } from "@tanstack/react-query";
import { Trans, useLingui } from "@lingui/react/macro";
import { Download } from "lucide-react";
import { useState, type FormEvent } from "react";
import { api, unwrap, type Key } from "@/api/client";
import { toError, type ApiError } from "@/api/errors";
import { keys } from "@/api/queries";
import { ErrorLine } from "@/components/error-card";
import { Button } from "@/components/ui/button";
import { CopyButton } from "@/components/ui/copy-button";
import { Dialog } from "@/components/ui/dialog";
import { SelectField, TextField } from "@/components/ui/field";
import { Example } from "./example-card";

export type KeyPages = InfiniteData<{ data: Key[]; next_cursor: string | null }, string | null>;

const DAY_US = 24 * 3600 * 1e6;

function save(name: string, secret: string): void {
  const address = URL.createObjectURL(new Blob([`${secret}\n`], { type: "text/plain" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = `${name.replace(/[^\w.-]+/g, "-") || "weir"}.key.txt`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

export function NewKeyDialog({ open, onClose }: { open: boolean; onClose: () => void }) {
  const { t } = useLingui();
  const client = useQueryClient();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const [made, setMade] = useState<{ key: Key; secret: string } | null>(null);

  function close() {
    setMade(null);
    setError(null);
    onClose();
  }

  async function create(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    if (busy) return;
    const form = new FormData(event.currentTarget);
    const days = Number(form.get("days"));
    setBusy(true);
    setError(null);
    try {
      const answer = await unwrap(
        api.POST("/api/keys", {
          body: {
            name: String(form.get("name")).trim(),
            expires_us: days > 0 ? Date.now() * 1000 + days * DAY_US : null,
          },
        }),
      );
      client.setQueryData<KeyPages>(keys.apiKeys, (data) => {
        const [first, ...rest] = data?.pages ?? [];
        if (!data || !first) return data;
        return { ...data, pages: [{ ...first, data: [answer.key, ...first.data] }, ...rest] };
      });
      setMade(answer);
    } catch (failure) {
      setError(toError(failure));
    } finally {
      setBusy(false);
    }
  }

  if (made) {
    const { secret } = made;
    return (
      <Dialog
        open={open}
        onClose={close}
        keepOpen
        width="wide"
        title={t`Your new key`}
        description={t`Copy it now. It will not be shown again.`}
        footer={
          <Button variant="primary" onClick={close}>
            {t`Done`}
          </Button>
        }
      >
        <div className="flex flex-col gap-6">
          <div className="flex flex-col gap-2">
            <code className="rounded-large border border-line bg-sunken px-3.5 py-2.5 font-mono break-all select-all">
              {secret}
            </code>
            <div className="flex flex-wrap gap-2">
              <CopyButton text={secret} label={t`Copy key`} variant="primary" />
              <Button onClick={() => save(made.key.name, secret)}>
                <Download className="size-4" aria-hidden="true" />
                {t`Download`}
              </Button>
            </div>
          </div>
          <section className="flex flex-col gap-3">
            <h3 className="font-semibold">{t`Try it`}</h3>
            <Example secret={secret} />
          </section>
        </div>
      </Dialog>
    );
  }

  return (
    <Dialog
      open={open}
      onClose={close}
      title={t`New API key`}
      description={t`Whoever has a key can use your models. Give each program its own.`}
    >
      <form onSubmit={(event) => void create(event)} className="flex flex-col gap-4">
        <TextField
          label={t`Name`}
          name="name"
          placeholder={t`Website, production`}
          required
          maxLength={100}
          autoComplete="off"
          error={error?.problem.field === "name" ? error.message : null}
        />
        <SelectField label={t`Expires`} name="days" defaultValue="0">
          <option value="0">{t`Never`}</option>
          <option value="7">{t`In 7 days`}</option>
          <option value="30">{t`In 30 days`}</option>
          <option value="90">{t`In 90 days`}</option>
          <option value="365">{t`In a year`}</option>
        </SelectField>
        {error && error.problem.field !== "name" && <ErrorLine error={error} />}
        <div className="flex justify-end gap-2 pt-1">
          <Button onClick={close}>
            <Trans>Cancel</Trans>
          </Button>
          <Button type="submit" variant="primary" busy={busy}>
            {t`Create key`}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
