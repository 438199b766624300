import { ChevronDown } from "lucide-react";
import { useId, type ComponentProps, type ReactNode } from "react";
import { cx } from "@/lib/cx";

const control =
  "w-full rounded-large border border-control bg-raised text-ink shadow-low transition-colors duration-100 " +
  "hover:border-soft focus-visible:border-accent focus-visible:outline-1 focus-visible:outline-offset-0 " +
  "disabled:opacity-60 aria-invalid:border-danger aria-invalid:focus-visible:border-danger aria-invalid:focus-visible:outline-danger text-read sm:text-ui";

type Parts = { id: string; describedBy: string | undefined; invalid: boolean };

type FieldProps = {
  label: ReactNode;
  hint?: ReactNode;
  error?: string | null;
  className?: string;
  children: (parts: Parts) => ReactNode;
};

/* A label, a control, a hint, and what is wrong with it: tied together for screen readers. */
export function Field({ label, hint, error, className, children }: FieldProps) {
  const id = useId();
  const hintId = `${id}-hint`;
  const errorId = `${id}-error`;
  const describedBy = [hint ? hintId : null, error ? errorId : null].filter(Boolean).join(" ");
  return (
    <div className={cx("flex flex-col gap-1.5", className)}>
      <label htmlFor={id} className="font-medium">
        {label}
      </label>
      {children({ id, describedBy: describedBy || undefined, invalid: Boolean(error) })}
      {error && (
        <p id={errorId} className="text-caption text-danger">
          {error}
        </p>
      )}
      {hint && (
        <p id={hintId} className={error ? "sr-only" : "text-caption text-faint"}>
          {hint}
        </p>
      )}
    </div>
  );
}

type TextFieldProps = Omit<FieldProps, "children"> & Omit<ComponentProps<"input">, "id">;

export function TextField({ label, hint, error, className, ...rest }: TextFieldProps) {
  return (
    <Field label={label} hint={hint} error={error} className={className}>
      {({ id, describedBy, invalid }) => (
        <input
          id={id}
          aria-describedby={describedBy}
          aria-invalid={invalid || undefined}
          className={cx(control, "h-10 px-3 sm:h-9")}
          {...rest}
        />
      )}
    </Field>
  );
}

type TextAreaFieldProps = Omit<FieldProps, "children"> & Omit<ComponentProps<"textarea">, "id">;

export function TextAreaField({ label, hint, error, className, ...rest }: TextAreaFieldProps) {
  return (
    <Field label={label} hint={hint} error={error} className={className}>
      {({ id, describedBy, invalid }) => (
        <textarea
          id={id}
          aria-describedby={describedBy}
          aria-invalid={invalid || undefined}
          className={cx(control, "min-h-20 resize-y px-3 py-2 leading-5")}
          {...rest}
        />
      )}
    </Field>
  );
}

type SelectFieldProps = Omit<FieldProps, "children"> & Omit<ComponentProps<"select">, "id">;

/* The platform's own list: the best one there is on a phone, and it costs nothing. */
export function SelectField({
  label,
  hint,
  error,
  className,
  children,
  ...rest
}: SelectFieldProps) {
  return (
    <Field label={label} hint={hint} error={error} className={className}>
      {({ id, describedBy, invalid }) => (
        <div className="relative">
          <select
            id={id}
            aria-describedby={describedBy}
            aria-invalid={invalid || undefined}
            className={cx(control, "h-10 appearance-none truncate pr-9 pl-3 sm:h-9")}
            {...rest}
          >
            {children}
          </select>
          <ChevronDown
            className="pointer-events-none absolute inset-y-0 right-3 my-auto size-4 text-soft"
            aria-hidden="true"
          />
        </div>
      )}
    </Field>
  );
}
