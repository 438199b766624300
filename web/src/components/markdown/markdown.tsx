import { memo, useMemo, useState } from "react";
import { closeInline, definitions, splitBlocks, topHeading, type Block } from "./blocks";
import { Fence } from "./code";
import { parse } from "./parse";
import { drawTree } from "./render";
import "./markdown.css";

/* oxlint-disable react/immutability -- caches: what they hold follows from the text alone */

type TextProps = { text: string; defs: string; top: number };

const TextBlock = memo(function TextBlock({ text, defs, top }: TextProps) {
  return drawTree(parse(defs ? `${text}\n\n${defs}` : text), top);
});

const TAIL_CHARS = 600;

/* The block that still grows. A long one is parsed only every n-th time; what came since then
 * stands behind it as it is. */
function Tail({ text, defs, top }: TextProps) {
  const [now] = useState(() => ({ turn: 0, parsed: "" }));
  const parsed = useMemo(() => {
    const every = Math.min(30, Math.max(1, Math.floor(text.length / TAIL_CHARS)));
    now.turn++;
    if (now.turn % every === 0 || !text.startsWith(now.parsed) || !now.parsed) now.parsed = text;
    return now.parsed;
  }, [text, now]);
  const rest = text.slice(parsed.length);
  return (
    <div className={rest ? "md-growing" : undefined}>
      <TextBlock text={closeInline(parsed)} defs={defs} top={top} />
      {rest && <span className="whitespace-pre-wrap">{rest}</span>}
    </div>
  );
}

type MarkdownProps = { text: string; growing?: boolean };

export const Markdown = memo(function Markdown({ text, growing = false }: MarkdownProps) {
  const [before] = useState(() => ({ text: "", blocks: [] as Block[] }));
  const blocks = useMemo(() => {
    const next = splitBlocks(text, text.startsWith(before.text) ? before.blocks : []);
    Object.assign(before, { text, blocks: next });
    return next;
  }, [text, before]);
  const defs = useMemo(() => definitions(text), [text]);
  const top = topHeading(blocks);
  return (
    <div className="md">
      {blocks.map((block, index) => {
        const last = index === blocks.length - 1;
        if (block.kind === "fence") {
          const closed = block.closed || !growing;
          return <Fence key={block.start} lang={block.lang} code={block.code} closed={closed} />;
        }
        return (
          <div key={block.start} className="md-block">
            {last && growing ? (
              <Tail text={block.text} defs={defs} top={top} />
            ) : (
              <TextBlock text={block.text} defs={defs} top={top} />
            )}
          </div>
        );
      })}
    </div>
  );
});
