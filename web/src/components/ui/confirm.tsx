import { useLingui } from "@lingui/react/macro";
import { useState, type ReactNode } from "react";
import { toError, type ApiError } from "@/api/errors";
import { Button } from "./button";
import { Dialog } from "./dialog";
import { ErrorLine } from "../error-card";

type ConfirmProps = {
  open: boolean;
  onClose: () => void;
  title: ReactNode;
  children: ReactNode;
  action: string;
  run: () => Promise<unknown>;
};

/* For what cannot be undone: says what goes, waits for the server, stays open when it fails. */
export function Confirm({ open, onClose, title, children, action, run }: ConfirmProps) {
  const { t } = useLingui();
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  function close() {
    setError(null);
    onClose();
  }
  async function confirm() {
    setBusy(true);
    setError(null);
    try {
      await run();
      close();
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
      title={title}
      width="small"
      footer={
        <>
          <Button onClick={close}>{t`Cancel`}</Button>
          <Button variant="danger" busy={busy} onClick={() => void confirm()}>
            {action}
          </Button>
        </>
      }
    >
      <div className="flex flex-col gap-3 text-soft">
        {children}
        {error && <ErrorLine error={error} />}
      </div>
    </Dialog>
  );
}
