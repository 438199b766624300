import { cx } from "@/lib/cx";

type SwitchProps = {
  label: string;
  checked: boolean;
  disabled?: boolean;
  onChange: (checked: boolean) => void;
};

export function Switch({ label, checked, disabled, onChange }: SwitchProps) {
  return (
    <button
      type="button"
      role="switch"
      aria-checked={checked}
      aria-label={label}
      title={label}
      disabled={disabled}
      onClick={() => onChange(!checked)}
      className={cx(
        "relative inline-flex h-6 w-10 shrink-0 items-center rounded-full border transition-colors duration-150 disabled:opacity-50",
        checked ? "border-accent bg-accent" : "border-control bg-sunken",
      )}
    >
      <span
        className={cx(
          "size-4 rounded-full transition-transform duration-150 ease-out",
          checked ? "translate-x-[1.15rem] bg-on-accent" : "translate-x-[0.2rem] bg-control",
        )}
      />
    </button>
  );
}
