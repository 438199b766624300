import { useLingui } from "@lingui/react/macro";
import type { ReactNode } from "react";
import { CopyIconButton } from "./ui/copy-button";

type CodeBlockProps = { title?: ReactNode; text: string; children?: ReactNode };

/* A box of code with its language and a copy button; scrolls by itself, also by keyboard. */
export function CodeBlock({ title, text, children }: CodeBlockProps) {
  const { t } = useLingui();
  return (
    <div className="overflow-clip rounded-large border border-line bg-sunken">
      <div className="flex h-9 items-center justify-between gap-2 border-b border-line pr-1 pl-3.5 text-caption text-soft">
        <span className="min-w-0 truncate">{title ?? t`Code`}</span>
        <CopyIconButton text={text} label={t`Copy code`} />
      </div>
      <pre
        tabIndex={0}
        aria-label={t`Code`}
        role="group"
        className="overflow-x-auto px-3.5 py-3 font-mono text-[0.8125rem] leading-5 -outline-offset-2"
      >
        <code>{children ?? text}</code>
      </pre>
    </div>
  );
}
