import type { ComponentProps, ReactNode } from "react";
import { cx } from "@/lib/cx";

type Variant = "primary" | "plain" | "quiet" | "danger";
type Size = "small" | "normal" | "large";

const variants: Record<Variant, string> = {
  primary: "bg-accent text-on-accent hover:bg-accent-hover border-transparent",
  plain: "bg-raised text-ink border-line shadow-low hover:bg-hover",
  quiet: "bg-transparent text-soft border-transparent hover:bg-hover hover:text-ink",
  danger: "bg-danger-fill text-[#fff] border-transparent hover:brightness-92",
};

const sizes: Record<Size, string> = {
  small: "h-7 gap-1.5 px-2.5 text-caption pointer-coarse:h-9 pointer-coarse:px-3",
  normal: "h-9 gap-2 px-3.5 text-ui pointer-coarse:h-11",
  large: "h-11 gap-2 px-5 text-read",
};

export function buttonClass(variant: Variant = "plain", size: Size = "normal"): string {
  return cx(
    "inline-flex shrink-0 items-center justify-center rounded-large border font-medium whitespace-nowrap select-none",
    "transition-[background-color,color,filter] duration-100",
    "disabled:pointer-events-none disabled:opacity-50 aria-disabled:pointer-events-none aria-disabled:opacity-50",
    variants[variant],
    sizes[size],
  );
}

type ButtonProps = ComponentProps<"button"> & {
  variant?: Variant;
  size?: Size;
  busy?: boolean;
};

/* While busy it keeps its width and its focus, and does nothing. */
export function Button({
  variant = "plain",
  size = "normal",
  busy = false,
  className,
  children,
  onClick,
  type = "button",
  ...rest
}: ButtonProps) {
  return (
    <button
      type={type}
      className={cx(buttonClass(variant, size), busy && "relative", className)}
      aria-busy={busy || undefined}
      onClick={(event) => {
        if (busy) event.preventDefault();
        else onClick?.(event);
      }}
      {...rest}
    >
      {busy && (
        <span className="absolute inset-0 grid place-items-center" aria-hidden="true">
          <span className="size-4 animate-spin rounded-full border-2 border-current border-r-transparent" />
        </span>
      )}
      <span className={cx("contents", busy && "*:invisible")}>
        {busy ? <span className="inline-flex items-center gap-2">{children}</span> : children}
      </span>
    </button>
  );
}

/* Larger under a finger than under a mouse. */
const iconSizes = {
  small: "size-7 pointer-coarse:size-9",
  medium: "size-8 pointer-coarse:size-10",
  normal: "size-9 pointer-coarse:size-11",
};

type IconButtonProps = Omit<ComponentProps<"button">, "children"> & {
  label: string;
  children: ReactNode;
  size?: "small" | "medium" | "normal";
};

/* A picture alone: its label is its name for everyone who cannot see it, and its tooltip. */
export function IconButton({
  label,
  children,
  size = "normal",
  className,
  type = "button",
  ...rest
}: IconButtonProps) {
  return (
    <button
      type={type}
      aria-label={label}
      title={label}
      className={cx(
        "inline-grid shrink-0 place-items-center rounded-small text-soft transition-colors duration-100",
        "hover:bg-hover hover:text-ink disabled:pointer-events-none disabled:opacity-40",
        "aria-expanded:bg-hover aria-expanded:text-ink aria-pressed:bg-selected aria-pressed:text-ink",
        iconSizes[size],
        className,
      )}
      {...rest}
    >
      {children}
    </button>
  );
}
