import { memo, useMemo, useRef } from "react";
import { closeInline, definitions, splitBlocks, type Block } from "./blocks";
import { Fence } from "./code";
import { parse } from "./parse";
import { drawTree } from "./render";
import "./markdown.css";

const TextBlock = memo(function TextBlock({ text, defs }: { text: string; defs: string }) {
  return drawTree(parse(defs ? `${text}\n\n${defs}` : text));
});

const TAIL_CHARS = 600;

/* The block that still grows. A long one is parsed only every n-th time; what came since then
 * stands behind it as it is. */
function Tail({ text, defs }: { text: string; defs: string }) {
  const state = useRef({ turn: 0, parsed: "" });
  const parsed = useMemo(() => {
    const now = state.current;
    const every = Math.min(30, Math.max(1, Math.floor(text.length / TAIL_CHARS)));
    now.turn++;
    if (now.turn % every === 0 || !text.startsWith(now.parsed) || !now.parsed) now.parsed = text;
    return now.parsed;
  }, [text]);
  const rest = text.slice(parsed.length);
  return (
    <div className={rest ? "md-growing" : undefined}>
      <TextBlock text={closeInline(parsed)} defs={defs} />
      {rest && <span className="whitespace-pre-wrap">{rest}</span>}
    </div>
  );
}

type MarkdownProps = { text: string; growing?: boolean };

export const Markdown = memo(function Markdown({ text, growing = false }: MarkdownProps) {
  const before = useRef<{ text: string; blocks: Block[] }>({ text: "", blocks: [] });
  const blocks = useMemo(() => {
    const last = before.current;
    const next = splitBlocks(text, text.startsWith(last.text) ? last.blocks : []);
    before.current = { text, blocks: next };
    return next;
  }, [text]);
  const defs = useMemo(() => definitions(text), [text]);
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
              <Tail text={block.text} defs={defs} />
            ) : (
              <TextBlock text={block.text} defs={defs} />
            )}
          </div>
        );
      })}
    </div>
  );
});
