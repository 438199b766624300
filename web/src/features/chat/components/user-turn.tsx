import { Trans, useLingui } from "@lingui/react/macro";
import { Pencil } from "lucide-react";
import { memo, useEffect, useRef, useState } from "react";
import { Button, IconButton } from "@/components/ui/button";
import { CopyIconButton } from "@/components/ui/copy-button";
import type { Siblings } from "../tree";
import { BranchSwitch } from "./branch-switch";

function Bubble({ text }: { text: string }) {
  return (
    <div className="max-w-[85%] rounded-box rounded-br-small bg-hover px-4 py-2.5 text-read wrap-anywhere whitespace-pre-wrap">
      {text}
    </div>
  );
}

type EditorProps = { text: string; onCancel: () => void; onSend: (text: string) => void };

function Editor({ text, onCancel, onSend }: EditorProps) {
  const { t } = useLingui();
  const [draft, setDraft] = useState(text);
  const area = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    const box = area.current;
    if (!box) return;
    box.focus();
    box.setSelectionRange(box.value.length, box.value.length);
  }, []);
  const ready = draft.trim().length > 0;
  return (
    <form
      className="w-full rounded-box border border-control bg-raised p-2 shadow-box focus-within:border-accent"
      onSubmit={(event) => {
        event.preventDefault();
        if (ready) onSend(draft.trim());
      }}
    >
      <textarea
        ref={area}
        aria-label={t`Edit your message`}
        value={draft}
        maxLength={200_000}
        onChange={(event) => setDraft(event.target.value)}
        onKeyDown={(event) => {
          if (event.nativeEvent.isComposing) return;
          if (event.key === "Escape") {
            event.stopPropagation();
            onCancel();
          } else if (event.key === "Enter" && !event.shiftKey) {
            event.preventDefault();
            if (ready) onSend(draft.trim());
          }
        }}
        className="field-sizing-content max-h-72 min-h-16 w-full resize-none bg-transparent px-2 py-1 text-read outline-none"
      />
      <div className="flex items-center justify-end gap-2">
        <span className="mr-auto pl-2 text-caption text-faint max-sm:hidden">
          <Trans>The first version stays; you can go back to it.</Trans>
        </span>
        <Button size="small" variant="quiet" onClick={onCancel}>{t`Cancel`}</Button>
        <Button size="small" variant="primary" type="submit" disabled={!ready}>{t`Send`}</Button>
      </div>
    </form>
  );
}

type UserTurnProps = {
  id: string | null;
  text: string;
  versions: Siblings | null;
  editing: boolean;
  busy: boolean;
  onEdit: (id: string | null) => void;
  onSend: (id: string, text: string) => void;
  onSelect: (leafId: string) => void;
};

export const UserTurn = memo(function UserTurn(props: UserTurnProps) {
  const { t } = useLingui();
  const { id, text, versions, editing, busy, onEdit, onSend, onSelect } = props;
  return (
    <article className="group/turn -mb-3 flex flex-col items-end gap-1">
      <h2 className="sr-only">{t`You`}</h2>
      {editing && id ? (
        <Editor text={text} onCancel={() => onEdit(null)} onSend={(next) => onSend(id, next)} />
      ) : (
        <>
          <Bubble text={text} />
          <div className="flex min-h-7 items-center">
            {id && (
              <div className="flex items-center transition-opacity duration-100 group-focus-within/turn:opacity-100 group-hover/turn:opacity-100 pointer-fine:opacity-0">
                <CopyIconButton text={text} label={t`Copy message`} />
                <IconButton
                  label={t`Edit message`}
                  size="small"
                  disabled={busy}
                  onClick={() => onEdit(id)}
                >
                  <Pencil className="size-4" aria-hidden="true" />
                </IconButton>
              </div>
            )}
            {versions && <BranchSwitch of={versions} disabled={busy} onSelect={onSelect} />}
          </div>
        </>
      )}
    </article>
  );
});
