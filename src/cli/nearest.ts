import { editDistance } from '../util/suggest.ts';

/** The word of a list that a mistyped one most likely means: at most two edits away, and at most a third of its length. */
export function nearest(word: string, words: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.min(2, Math.floor(Math.max(word.length, 3) / 3)) + 1;
  for (const candidate of words) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** A hint that names the nearest word, or else lists all. */
export function suggestion(word: string, words: readonly string[]): string {
  const near = nearest(word, words);
  return near === undefined ? `known are ${words.join(', ')}` : `did you mean \`${near}\`?`;
}
