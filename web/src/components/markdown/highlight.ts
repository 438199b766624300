import hljs from "highlight.js/lib/core";
import bash from "highlight.js/lib/languages/bash";
import c from "highlight.js/lib/languages/c";
import cpp from "highlight.js/lib/languages/cpp";
import css from "highlight.js/lib/languages/css";
import diff from "highlight.js/lib/languages/diff";
import go from "highlight.js/lib/languages/go";
import java from "highlight.js/lib/languages/java";
import javascript from "highlight.js/lib/languages/javascript";
import json from "highlight.js/lib/languages/json";
import python from "highlight.js/lib/languages/python";
import rust from "highlight.js/lib/languages/rust";
import sql from "highlight.js/lib/languages/sql";
import typescript from "highlight.js/lib/languages/typescript";
import xml from "highlight.js/lib/languages/xml";
import yaml from "highlight.js/lib/languages/yaml";

/* Loaded with the first block of code. Gives a tree and not HTML: nothing is ever set as markup. */

export type Token = string | { scope: string; children: Token[] };

const languages = {
  bash,
  c,
  cpp,
  css,
  diff,
  go,
  java,
  javascript,
  json,
  python,
  rust,
  sql,
  typescript,
  xml,
  yaml,
};
for (const [name, language] of Object.entries(languages)) hljs.registerLanguage(name, language);

type Node = string | { scope?: string; children: Node[] };

function toToken(node: Node): Token {
  if (typeof node === "string") return node;
  return { scope: node.scope ?? "", children: node.children.map(toToken) };
}

/* Null when the language is not known. */
export function highlight(code: string, lang: string): Token[] | null {
  const name = lang.toLowerCase();
  if (!hljs.getLanguage(name)) return null;
  const result = hljs.highlight(code, { language: name, ignoreIllegals: true });
  const root = (result._emitter as unknown as { rootNode: { children: Node[] } }).rootNode;
  return root.children.map(toToken);
}
