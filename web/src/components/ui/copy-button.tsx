import { useLingui } from "@lingui/react/macro";
import { Check, Copy } from "lucide-react";
import { useEffect, useState } from "react";
import { copyText } from "@/lib/clipboard";
import { cx } from "@/lib/cx";
import { Button, IconButton } from "./button";
import { toast } from "./toast";

export function useCopy(): { copied: boolean; copy: (text: string) => Promise<void> } {
  const { t } = useLingui();
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), 1600);
    return () => clearTimeout(timer);
  }, [copied]);
  async function copy(text: string) {
    if (await copyText(text)) setCopied(true);
    else toast.problem(t`Could not copy`, { detail: t`The browser did not allow it.` });
  }
  return { copied, copy };
}

type CopyProps = { text: string | (() => string); label: string; className?: string };

const textOf = (text: string | (() => string)) => (typeof text === "string" ? text : text());

export function CopyIconButton({ text, label, className }: CopyProps) {
  const { t } = useLingui();
  const { copied, copy } = useCopy();
  return (
    <IconButton
      label={copied ? t`Copied` : label}
      size="small"
      className={className}
      onClick={() => void copy(textOf(text))}
    >
      {copied ? (
        <Check className="size-4 text-ok" aria-hidden="true" />
      ) : (
        <Copy className="size-4" aria-hidden="true" />
      )}
    </IconButton>
  );
}

export function CopyButton({
  text,
  label,
  className,
  variant = "plain",
  size = "normal",
}: CopyProps & { variant?: "plain" | "primary" | "quiet"; size?: "small" | "normal" }) {
  const { t } = useLingui();
  const { copied, copy } = useCopy();
  return (
    <Button
      variant={variant}
      size={size}
      className={cx("min-w-24", className)}
      onClick={() => void copy(textOf(text))}
    >
      {copied ? (
        <Check className="size-4" aria-hidden="true" />
      ) : (
        <Copy className="size-4" aria-hidden="true" />
      )}
      <span aria-live="polite">{copied ? t`Copied` : label}</span>
    </Button>
  );
}
