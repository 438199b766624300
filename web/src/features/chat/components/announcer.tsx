import { useEffect, useRef, useState } from "react";
import { finishedSentences } from "../sentences";

const PAUSE_MS = 1500;

/* Says the answer aloud to screen readers, sentence by sentence and not token by token. */
export function Announcer({ text, ended }: { text: string; ended: boolean }) {
  const upTo = useRef(0);
  const lastAt = useRef(0);
  const [said, setSaid] = useState("");
  useEffect(() => {
    if (text.length < upTo.current) upTo.current = 0;
    const now = Date.now();
    if (!ended && now - lastAt.current < PAUSE_MS) return;
    const next = finishedSentences(ended ? `${text}\n\n` : text, upTo.current);
    if (!next.said) return;
    upTo.current = Math.min(next.upTo, text.length);
    lastAt.current = now;
    setSaid(next.said);
  }, [text, ended]);
  return (
    <div role="log" aria-live="polite" className="sr-only">
      {said && <p key={said}>{said}</p>}
    </div>
  );
}
