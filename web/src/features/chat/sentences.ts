/* For screen readers: of a growing text, the sentences that are finished and not yet said. */
export function finishedSentences(text: string, from: number): { said: string; upTo: number } {
  const fresh = text.slice(from);
  let upTo = 0;
  for (const match of fresh.matchAll(/[.!?…:](?=\s)|\n{2,}/g)) upTo = match.index + match[0].length;
  return {
    said: fresh
      .slice(0, upTo)
      .replace(/[`*_#>|]+/g, "")
      .trim(),
    upTo: from + upTo,
  };
}
