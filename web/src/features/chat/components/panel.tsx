import { useLingui } from "@lingui/react/macro";
import { RotateCcw } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import type { Parameters } from "@/api/client";
import { Button } from "@/components/ui/button";
import { TextAreaField, TextField } from "@/components/ui/field";

type Name = keyof Parameters;
type Spec = { name: Name; label: string; hint: string; min: number; max: number; step: number };

const KEEP_AFTER_MS = 600;

/* What was typed as a number within its bounds; null for nothing; undefined for something wrong. */
export function readNumber(text: string, spec: Pick<Spec, "min" | "max" | "step">) {
  if (text.trim() === "") return null;
  const value = Number(text.replace(",", "."));
  if (!Number.isFinite(value) || value < spec.min || value > spec.max) return undefined;
  if (spec.step === 1 && !Number.isInteger(value)) return undefined;
  return value;
}

function NumberField({
  spec,
  value,
  onChange,
}: {
  spec: Spec;
  value: number | null;
  onChange: (value: number | null) => void;
}) {
  const { t } = useLingui();
  const [text, setText] = useState(value === null ? "" : String(value));
  const [last, setLast] = useState(value);
  if (value !== last) {
    setLast(value);
    if (readNumber(text, spec) !== value) setText(value === null ? "" : String(value));
  }
  const read = readNumber(text, spec);
  const { min, max } = spec;
  return (
    <TextField
      label={spec.label}
      hint={spec.hint}
      error={read === undefined ? t`A number from ${min} to ${max}` : null}
      inputMode={spec.step === 1 ? "numeric" : "decimal"}
      placeholder={t`Default`}
      value={text}
      autoComplete="off"
      onChange={(event) => {
        setText(event.target.value);
        const next = readNumber(event.target.value, spec);
        if (next !== undefined) onChange(next);
      }}
    />
  );
}

function without(parameters: Parameters): Parameters {
  return Object.fromEntries(
    Object.entries(parameters).filter(([, value]) => value !== null && value !== undefined),
  );
}

type PanelProps = {
  systemPrompt: string;
  parameters: Parameters;
  onSystemPrompt: (text: string) => void;
  onParameters: (parameters: Parameters) => void;
};

/* Calls a moment after the last change, and when the panel goes away. */
function useCallLater(): (run: () => void) => void {
  const waiting = useRef<{ run: () => void; timer: ReturnType<typeof setTimeout> }>(undefined);
  useEffect(
    () => () => {
      if (!waiting.current) return;
      clearTimeout(waiting.current.timer);
      waiting.current.run();
    },
    [],
  );
  return (run) => {
    clearTimeout(waiting.current?.timer);
    const timer = setTimeout(() => {
      waiting.current = undefined;
      run();
    }, KEEP_AFTER_MS);
    waiting.current = { run, timer };
  };
}

export default function Panel(props: PanelProps) {
  const { t } = useLingui();
  const [prompt, setPrompt] = useState(props.systemPrompt);
  const [values, setValues] = useState<Parameters>(props.parameters);
  const keepPrompt = useCallLater();
  const keepValues = useCallLater();

  function change(next: Parameters) {
    const clean = without(next);
    setValues(clean);
    keepValues(() => props.onParameters(clean));
  }

  const specs: Spec[] = [
    {
      name: "temperature",
      label: t`Temperature`,
      hint: t`Higher is freer`,
      min: 0,
      max: 2,
      step: 0.1,
    },
    {
      name: "max_tokens",
      label: t`Longest answer`,
      hint: t`In tokens`,
      min: 1,
      max: 1_000_000,
      step: 1,
    },
    { name: "top_p", label: t`Top P`, hint: t`Share of likely tokens`, min: 0, max: 1, step: 0.05 },
    { name: "top_k", label: t`Top K`, hint: t`Number of tokens`, min: 0, max: 1000, step: 1 },
    { name: "min_p", label: t`Min P`, hint: t`Least likelihood`, min: 0, max: 1, step: 0.05 },
    {
      name: "seed",
      label: t`Seed`,
      hint: t`To repeat an answer`,
      min: 0,
      max: 4294967295,
      step: 1,
    },
    {
      name: "frequency_penalty",
      label: t`Frequency penalty`,
      hint: t`Against repeating`,
      min: -2,
      max: 2,
      step: 0.1,
    },
    {
      name: "presence_penalty",
      label: t`Presence penalty`,
      hint: t`For new topics`,
      min: -2,
      max: 2,
      step: 0.1,
    },
  ];

  return (
    <div className="flex flex-col gap-5">
      <TextAreaField
        label={t`System prompt`}
        hint={t`Sent to the model before the conversation`}
        rows={6}
        maxLength={20_000}
        value={prompt}
        onChange={(event) => {
          const text = event.target.value;
          setPrompt(text);
          keepPrompt(() => props.onSystemPrompt(text));
        }}
        placeholder={t`You are a helpful assistant.`}
      />
      <div className="flex items-center justify-between">
        <h3 className="font-semibold">{t`Parameters`}</h3>
        <Button
          size="small"
          variant="quiet"
          disabled={Object.keys(values).length === 0}
          onClick={() => change({})}
        >
          <RotateCcw className="size-3.5" aria-hidden="true" />
          {t`Reset`}
        </Button>
      </div>
      <div className="-mt-2 grid grid-cols-2 gap-x-3 gap-y-4">
        {specs.map((spec) => (
          <NumberField
            key={spec.name}
            spec={spec}
            value={values[spec.name] ?? null}
            onChange={(value) => change({ ...values, [spec.name]: value })}
          />
        ))}
      </div>
    </div>
  );
}
