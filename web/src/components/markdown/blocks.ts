/* Cuts Markdown into blocks that render on their own, so that while an answer grows only its last
 * block is parsed again. All blocks but the last are settled: more text never changes them. */

export type Block =
  | { kind: "text"; start: number; text: string }
  | { kind: "fence"; start: number; lang: string; code: string; closed: boolean };

const fenceOpen = /^( {0,3})(`{3,}(?=[^`]*$)|~{3,})(.*)$/;
const listMarker = /^ {0,3}(?:[-*+]|\d{1,9}[.)])(?:\s|$)/;
const maybeMarker = /^\s*(?:\d{1,9}[.)]?|[-*+])?$/;
const indented = /^(?: {2,}|\t)/;
const codeIndent = /^(?: {4}|\t)/;
const blank = /^\s*$/;

const heading = /^ {0,3}(#{1,6})(?:[ \t]|$)/gm;
const underlined = /^ {0,3}=+[ \t]*$/m;

/* The greatest heading that a text has, 1 to 6; 1 when it has none. */
export function topHeading(blocks: readonly Block[]): number {
  let top = 7;
  for (const block of blocks) {
    if (block.kind !== "text") continue;
    for (const match of block.text.matchAll(heading)) {
      top = Math.min(top, match[1]?.length ?? 7);
    }
    if (underlined.test(block.text)) top = 1;
  }
  return top === 7 ? 1 : top;
}

type Line = { start: number; end: number; next: number; text: string; whole: boolean };

function lineAt(text: string, start: number): Line | null {
  if (start >= text.length) return null;
  const newline = text.indexOf("\n", start);
  const end = newline < 0 ? text.length : newline;
  return {
    start,
    end,
    next: newline < 0 ? text.length : newline + 1,
    text: text.slice(start, end),
    whole: newline >= 0,
  };
}

function closes(line: string, marker: string): boolean {
  const trimmed = line.trim();
  if (line.length - line.trimStart().length > 3 || trimmed.length < marker.length) return false;
  return trimmed === (marker[0] ?? "`").repeat(trimmed.length);
}

function readFence(
  text: string,
  first: Line,
  open: RegExpMatchArray,
): { block: Block; next: number } {
  const indent = open[1]?.length ?? 0;
  const marker = open[2] ?? "```";
  const lang = (open[3] ?? "").trim().split(/\s+/)[0] ?? "";
  const lines: string[] = [];
  let at = first.next;
  let closed = false;
  for (let line = lineAt(text, at); line; line = lineAt(text, at)) {
    at = line.next;
    if (closes(line.text, marker)) {
      closed = true;
      break;
    }
    let cut = 0;
    while (cut < indent && line.text[cut] === " ") cut++;
    lines.push(line.text.slice(cut));
  }
  return {
    block: { kind: "fence", start: first.start, lang, code: lines.join("\n"), closed },
    next: at,
  };
}

/* Where the text block that begins with `first` ends. */
function textEnd(text: string, first: Line): number {
  const list = listMarker.test(first.text);
  const code = codeIndent.test(first.text);
  let innerFence: string | null = null;
  let end = first.next;
  let line: Line | null = first;
  while (line) {
    if (innerFence) {
      if (closes(line.text.trimStart(), innerFence)) innerFence = null;
    } else if (list) {
      const inner = fenceOpen.exec(line.text.replace(/^\s*(?:(?:[-*+]|\d{1,9}[.)])\s+)?/, ""));
      if (inner) innerFence = inner[2] ?? null;
    }
    end = line.next;
    line = lineAt(text, end);
    if (!line || innerFence) continue;
    if (blank.test(line.text)) {
      let after: Line | null = line;
      while (after && blank.test(after.text)) after = lineAt(text, after.next);
      if (!after) return text.length; /* not known yet what follows */
      const goesOn =
        (list &&
          (listMarker.test(after.text) ||
            indented.test(after.text) ||
            (!after.whole && maybeMarker.test(after.text)))) ||
        (code && codeIndent.test(after.text));
      if (!goesOn) return after.start;
      line = after;
    } else if (fenceOpen.test(line.text) && !(list && indented.test(line.text))) {
      return line.start;
    }
  }
  return end;
}

/* `before` is what this function gave for a beginning of the same text: its settled blocks are
 * kept as the same objects. */
export function splitBlocks(text: string, before: readonly Block[] = []): Block[] {
  const blocks = before.slice(0, -1);
  let at = before.at(-1)?.start ?? 0;
  for (let line = lineAt(text, at); line; line = lineAt(text, at)) {
    if (blank.test(line.text)) {
      at = line.next;
      continue;
    }
    const open = fenceOpen.exec(line.text);
    if (open) {
      const { block, next } = readFence(text, line, open);
      blocks.push(block);
      at = next;
    } else {
      const end = textEnd(text, line);
      blocks.push({ kind: "text", start: line.start, text: text.slice(line.start, end).trimEnd() });
      at = end;
    }
  }
  return blocks;
}

const definition = /^ {0,3}\[[^\]^][^\]]*\]:[ \t]+\S.*$/gm;

/* Link definitions count for the whole text, so each block must see them. */
export function definitions(text: string): string {
  if (!text.includes("]:")) return "";
  return (text.match(definition) ?? []).join("\n");
}

/* The run of ticks that has begun code and found no equal one; null when there is none. */
function openTicks(text: string): string | null {
  const runs: string[] = text.match(/`+/g) ?? [];
  for (let at = 0; at < runs.length; at++) {
    const close = runs.indexOf(runs[at] ?? "", at + 1);
    if (close < 0) return runs[at] ?? null;
    at = close;
  }
  return null;
}

/* Ends what the last block has begun, so that half a marker does not flicker: `**bo` is bold. */
export function closeInline(text: string): string {
  let out = text.replace(/!?\[([^\]\n]*)\]\([^)\s]*$/, "$1").replace(/(^|\s)[*_~]{1,3}$/, "$1");
  const open = openTicks(out);
  if (open) return out + open;
  const plain = out.replace(/(`+)[\s\S]*?\1/g, "").replace(/\\./g, "");
  for (const marker of ["**", "~~", "__"]) {
    const count = plain.split(marker).length - 1;
    if (count % 2 === 1) out = out.trimEnd() + marker;
  }
  return out;
}
