import { useLingui } from "@lingui/react/macro";
import { ArrowUp, SlidersHorizontal, Square } from "lucide-react";
import { useEffect, useImperativeHandle, useRef, useState, type ReactNode, type Ref } from "react";
import { IconButton } from "@/components/ui/button";
import { cx } from "@/lib/cx";
import { keptInTab } from "@/lib/storage";

export type ComposerHandle = { focus: () => void; set: (text: string) => void };

type ComposerProps = {
  ref?: Ref<ComposerHandle>;
  draftKey: string;
  picker: ReactNode;
  panelOpen: boolean;
  onPanel: () => void;
  /* Why nothing can be sent now; null when it can. */
  blocked: string | null;
  running: boolean;
  stopping: boolean;
  onSend: (text: string) => void;
  onStop: () => void;
  onEditLast: () => void;
};

const coarse = () => window.matchMedia("(pointer: coarse)").matches;

/* What is being written stays in this component, so that typing draws nothing else; and in the
 * tab's storage, so that neither a reload nor a new sign-in loses it. */
export function Composer(props: ComposerProps) {
  const { t } = useLingui();
  const { ref, draftKey, blocked, running, stopping, onSend, onStop, onEditLast } = props;
  const [text, setText] = useState(() => keptInTab.get(draftKey) ?? "");
  const area = useRef<HTMLTextAreaElement>(null);
  const ready = text.trim().length > 0 && blocked === null && !running;

  useEffect(() => {
    keptInTab.set(draftKey, text === "" ? null : text);
  }, [draftKey, text]);

  useImperativeHandle(ref, () => ({
    focus: () => area.current?.focus(),
    set: (next) => {
      setText(next);
      area.current?.focus();
    },
  }));

  function send() {
    if (!ready) return;
    onSend(text.trim());
    setText("");
  }

  function onKeyDown(event: React.KeyboardEvent<HTMLTextAreaElement>) {
    /* 229: the Enter that ends an input method's composition in some browsers */
    if (event.nativeEvent.isComposing || event.keyCode === 229) return;
    if (event.key === "Enter" && !event.shiftKey && !coarse()) {
      event.preventDefault();
      send();
    } else if (event.key === "ArrowUp" && text === "") {
      event.preventDefault();
      onEditLast();
    }
  }

  return (
    <form
      className="rounded-box border border-control bg-raised shadow-box transition-colors duration-100 focus-within:border-accent"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <textarea
        ref={area}
        aria-label={t`Message`}
        placeholder={t`Ask anything`}
        value={text}
        maxLength={200_000}
        rows={1}
        enterKeyHint={coarse() ? "enter" : "send"}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={onKeyDown}
        className="field-sizing-content block max-h-[40dvh] min-h-13 w-full resize-none bg-transparent px-4 pt-3.5 pb-1 text-read outline-none"
      />
      <div className="flex items-center gap-1 px-2 pb-2">
        {props.picker}
        <IconButton
          label={t`System prompt and parameters`}
          aria-pressed={props.panelOpen}
          onClick={props.onPanel}
          size="medium"
        >
          <SlidersHorizontal className="size-4" aria-hidden="true" />
        </IconButton>
        <span
          className="min-w-0 flex-1 truncate px-1 text-right text-caption text-faint"
          role="status"
        >
          {blocked}
        </span>
        {running ? (
          <button
            type="button"
            onClick={onStop}
            disabled={stopping}
            aria-label={stopping ? t`Stopping` : t`Stop`}
            title={t`Stop (Esc)`}
            className="grid size-9 pointer-coarse:size-10 shrink-0 place-items-center rounded-full bg-ink text-page transition-opacity duration-100 hover:opacity-85 disabled:opacity-50"
          >
            <Square className="size-3.5 fill-current" aria-hidden="true" />
          </button>
        ) : (
          <button
            type="submit"
            disabled={!ready}
            aria-label={t`Send`}
            title={t`Send (Enter)`}
            className={cx(
              "grid size-9 pointer-coarse:size-10 shrink-0 place-items-center rounded-full transition-colors duration-100",
              ready ? "bg-accent text-on-accent hover:bg-accent-hover" : "bg-hover text-faint",
            )}
          >
            <ArrowUp className="size-4.5" aria-hidden="true" />
          </button>
        )}
      </div>
    </form>
  );
}
