import { useId, type ComponentType } from "react";
import { cx } from "@/lib/cx";

type Option<T extends string> = {
  value: T;
  label: string;
  icon?: ComponentType<{ className?: string }>;
};

type SegmentedProps<T extends string> = {
  label: string;
  value: T;
  options: Option<T>[];
  onChange: (value: T) => void;
};

/* One of a few, all in sight: radio buttons in another dress, so the arrow keys work. */
export function Segmented<T extends string>({
  label,
  value,
  options,
  onChange,
}: SegmentedProps<T>) {
  const name = useId();
  return (
    <fieldset className="inline-flex max-w-full rounded-large border border-line bg-sunken p-0.5">
      <legend className="sr-only">{label}</legend>
      {options.map(({ value: option, label: text, icon: Icon }) => (
        <label
          key={option}
          className={cx(
            "inline-flex h-8 pointer-coarse:h-10 cursor-pointer items-center gap-2 rounded-[0.5rem] px-3 font-medium transition-colors duration-100",
            "has-focus-visible:outline-2 has-focus-visible:outline-accent",
            option === value ? "bg-thumb text-ink shadow-low" : "text-soft hover:text-ink",
          )}
        >
          <input
            type="radio"
            className="sr-only"
            name={name}
            value={option}
            checked={option === value}
            onChange={() => onChange(option)}
          />
          {Icon && <Icon className="size-4" aria-hidden="true" />}
          {text}
        </label>
      ))}
    </fieldset>
  );
}
