import { useLingui } from "@lingui/react/macro";
import { useState, type FormEvent } from "react";
import { toError, type ApiError } from "@/api/errors";
import { ErrorLine } from "./error-card";
import { Button } from "./ui/button";
import { Dialog } from "./ui/dialog";
import { TextField } from "./ui/field";

type RenameDialogProps = {
  open: boolean;
  title: string;
  name: string;
  onClose: () => void;
  run: (name: string) => Promise<void>;
};

export function RenameDialog({ open, title, name, onClose, run }: RenameDialogProps) {
  const { t } = useLingui();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  function close() {
    setError(null);
    onClose();
  }
  async function keep(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const next = String(new FormData(event.currentTarget).get("name")).trim();
    if (busy || !next) return;
    if (next === name) {
      close();
      return;
    }
    setBusy(true);
    try {
      await run(next);
      close();
    } catch (failure) {
      setError(toError(failure));
    } finally {
      setBusy(false);
    }
  }
  return (
    <Dialog open={open} onClose={close} title={title} width="small">
      <form onSubmit={(event) => void keep(event)} className="flex flex-col gap-4">
        <TextField
          key={name}
          label={t`Name`}
          name="name"
          defaultValue={name}
          required
          maxLength={100}
          autoComplete="off"
          onFocus={(event) => event.target.select()}
        />
        {error && <ErrorLine error={error} />}
        <div className="flex justify-end gap-2">
          <Button onClick={close}>{t`Cancel`}</Button>
          <Button type="submit" variant="primary" busy={busy}>{t`Save`}</Button>
        </div>
      </form>
    </Dialog>
  );
}
