import { editDistance, isBegun } from '../util/suggest.ts';

/** The word of a list that a mistyped one most likely means: at most two edits away, and at most a third of its length; or else the only one that it is a part of. */
export function nearest(word: string, words: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.min(2, Math.floor(Math.max(word.length, 3) / 3)) + 1;
  for (const candidate of words) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    const isSooner = distance === bestDistance && best !== undefined && isBegun(candidate, best, word);
    if (distance < bestDistance || isSooner) [best, bestDistance] = [candidate, distance];
  }
  if (best !== undefined || word.length < 3) return best;
  const whole = words.filter((candidate) => candidate.toLowerCase().includes(word.toLowerCase()));
  return whole.length === 1 ? whole[0] : undefined;
}

/** A hint that names the nearest word, or else lists all. */
export function suggestion(word: string, words: readonly string[]): string {
  const near = nearest(word, words);
  return near === undefined ? `known are ${words.join(', ')}` : `did you mean \`${near}\`?`;
}
