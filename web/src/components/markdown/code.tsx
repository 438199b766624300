import { memo, useEffect, useState, type ReactNode } from "react";
import { CodeBlock } from "../code-block";
import type { Token } from "./highlight";

const CHUNK_LINES = 40;
const COLOUR_CHARS_MAX = 30_000;

function tokens(list: Token[]): ReactNode {
  return list.map((token, index) =>
    typeof token === "string" ? (
      token
    ) : (
      // oxlint-disable-next-line react/no-array-index-key -- the tree is made once and never changes
      <span key={index} className={`hl-${token.scope.split(".")[0]}`}>
        {tokens(token.children)}
      </span>
    ),
  );
}

const Chunk = memo(function Chunk({ text }: { text: string }) {
  return text;
});

/* While it grows: in pieces of some lines, of which only the last is drawn again. */
function Growing({ code }: { code: string }) {
  const lines = code.split("\n");
  const chunks: ReactNode[] = [];
  for (let at = 0; at < lines.length; at += CHUNK_LINES) {
    const end = Math.min(lines.length, at + CHUNK_LINES);
    const text = lines.slice(at, end).join("\n") + (end < lines.length ? "\n" : "");
    chunks.push(<Chunk key={at} text={text} />);
  }
  return chunks;
}

type FenceProps = { lang: string; code: string; closed: boolean };

export const Fence = memo(function Fence({ lang, code, closed }: FenceProps) {
  const [coloured, setColoured] = useState<{ code: string; tree: Token[] } | null>(null);
  useEffect(() => {
    if (!closed || !lang || code.length > COLOUR_CHARS_MAX) return;
    let wanted = true;
    void import("./highlight")
      .then(({ highlight }) => {
        const tree = highlight(code, lang);
        if (wanted && tree) setColoured({ code, tree });
      })
      .catch(() => undefined); /* plain code is good enough */
    return () => {
      wanted = false;
    };
  }, [closed, lang, code]);
  return (
    <CodeBlock title={lang || undefined} text={code}>
      {coloured?.code === code ? tokens(coloured.tree) : <Growing code={code} />}
    </CodeBlock>
  );
});
